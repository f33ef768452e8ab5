//! What an operator does with the data itself: backup, restore, verify, stats, delete.
//!
//! One operation, two ways to it: `trefoil VERB --data DIR` opens the directory, which no
//! server may be using then; `--url` asks a running server, over `/-/admin/VERB`. Both read
//! the same parameters and give the same JSON.

mod ask;
mod show;

use std::path::PathBuf;

use serde_json::{Value, json};
use trefoil_store::{Deletion, Share, SignalStats, Store, TimeRange};

use crate::timestamp;

pub(crate) use ask::{backup, delete, restore, stats, verify};

/// One operation with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Hard links of everything acknowledged.
    Backup(PathBuf),
    /// Every checksum; damaged parts may be set aside.
    Verify { quarantine: bool },
    /// Who fills the disk: so many names of each kind.
    Stats { top: usize },
    /// Rows of a tenant or service within a time.
    Delete(Deletion),
}

impl Operation {
    /// Reads an operation from its verb and parameters.
    ///
    /// # Errors
    /// A line for the user.
    pub(crate) fn read(
        verb: &str,
        parameter: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Operation, String> {
        let parameter = |name: &str| parameter(name).filter(|text| !text.is_empty());
        match verb {
            "backup" => match parameter("to") {
                Some(to) => Ok(Operation::Backup(PathBuf::from(to))),
                None => Err("where the backup goes is missing".to_owned()),
            },
            "verify" => {
                let quarantine = parameter("quarantine").is_some_and(|text| text == "true");
                Ok(Operation::Verify { quarantine })
            }
            "stats" => {
                let top = parameter("top").map_or(Ok(10), |text| text.parse());
                let top = top.map_err(|_| "--top: a number is expected".to_owned())?;
                Ok(Operation::Stats { top })
            }
            "delete" => read_deletion(&parameter).map(Operation::Delete),
            _ => Err(format!("there is no operation `{verb}`")),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// A line for the user: the store's own.
    pub(crate) fn run(&self, store: &Store) -> Result<Value, String> {
        let failed = |error: trefoil_store::Error| error.to_string();
        match self {
            Operation::Backup(to) => {
                let copied = store.backup(to).map_err(failed)?;
                let to = to.display().to_string();
                Ok(json!({"to": to, "files": copied.files, "bytes": copied.bytes}))
            }
            Operation::Verify { quarantine } => {
                let mut report = store.verify().map_err(failed)?;
                let found = std::mem::take(&mut report.damaged);
                let mut moved = 0;
                if *quarantine {
                    moved = store.quarantine().map_err(failed)?;
                    report = store.verify().map_err(failed)?;
                } else {
                    report.damaged.clone_from(&found);
                }
                Ok(json!({
                    "files": report.files,
                    "blocks": report.blocks,
                    "bytes": report.bytes,
                    "found": found,
                    "moved": moved,
                    "damaged": report.damaged,
                    "quarantined": report.quarantined,
                }))
            }
            Operation::Stats { top } => usage(store, *top),
            Operation::Delete(deletion) => {
                let deleted = store.delete(deletion).map_err(failed)?;
                Ok(json!({
                    "metrics": deleted.samples,
                    "logs": deleted.logs,
                    "traces": deleted.spans,
                }))
            }
        }
    }
}

fn read_deletion(parameter: &dyn Fn(&str) -> Option<String>) -> Result<Deletion, String> {
    let attribute = match (parameter("service"), parameter("attribute")) {
        (Some(_), Some(_)) => return Err("give a service or an attribute, not both".to_owned()),
        (Some(service), None) => Some(("service.name".to_owned(), service)),
        (None, Some(text)) => match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Some((key.to_owned(), value.to_owned())),
            _ => return Err("--attribute: KEY=VALUE is expected".to_owned()),
        },
        (None, None) => None,
    };
    let when = |name: &str, otherwise: i64| match parameter(name) {
        None => Ok(otherwise),
        Some(text) => timestamp::parse(&text)
            .ok_or(format!("--{name} {text}: Unix seconds or RFC 3339 is expected")),
    };
    let range = TimeRange { start_ns: when("from", i64::MIN)?, end_ns: when("to", i64::MAX)? };
    if range.start_ns > range.end_ns {
        return Err("the range ends before it begins".to_owned());
    }
    if attribute.is_none() && range == TimeRange::ALL {
        let why = "say what: --service, --attribute, --from or --to; to delete everything, \
                   remove the directory";
        return Err(why.to_owned());
    }
    let signals = parameter("signals").unwrap_or_else(|| "metrics,logs,traces".to_owned());
    let (mut metrics, mut logs, mut traces) = (false, false, false);
    for signal in signals.split(',').map(str::trim) {
        match signal {
            "metrics" => metrics = true,
            "logs" => logs = true,
            "traces" => traces = true,
            _ => return Err(format!("--signals {signal}: metrics, logs or traces is expected")),
        }
    }
    Ok(Deletion { metrics, logs, traces, attribute, range })
}

fn usage(store: &Store, top: usize) -> Result<Value, String> {
    let usage = store.usage().map_err(|error| error.to_string())?;
    let stats = store.stats();
    let signal = |name: &str, s: &SignalStats| {
        let each = |bytes: u64| bytes as f64 / s.part_items.max(1) as f64;
        json!({
            "signal": name,
            "items": s.part_items + s.head_items,
            "bytes": s.part_bytes,
            "bytes_per_item": (each(s.part_bytes) * 100.0).round() / 100.0,
            "parts": s.parts,
        })
    };
    let list = |shares: &[(String, Share)]| -> Vec<Value> {
        let named = |(name, share): &(String, Share)| {
            let name = if name.is_empty() { "(none)" } else { name };
            json!({"name": name, "items": share.items, "bytes": share.bytes})
        };
        shares.iter().take(top).map(named).collect()
    };
    Ok(json!({
        "signals": [
            signal("traces", &stats.traces),
            signal("metrics", &stats.metrics),
            signal("logs", &stats.logs),
        ],
        "wal_bytes": stats.wal_bytes,
        "disk_free_bytes": stats.disk_free_bytes,
        "quarantined_files": stats.quarantined_files,
        "spans_by_service": list(&usage.spans_by_service),
        "logs_by_service": list(&usage.logs_by_service),
        "series_by_service": list(&usage.samples_by_service),
        "series_by_metric": list(&usage.samples_by_metric),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(verb: &str, text: &str) -> Result<Operation, String> {
        Operation::read(verb, &|name| {
            let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
        })
    }

    #[test]
    fn deletions_are_read_and_checked() {
        let Ok(Operation::Delete(one)) = read("delete", "service=cart&to=100&signals=logs") else {
            panic!("it is right");
        };
        assert_eq!(one.attribute, Some(("service.name".to_owned(), "cart".to_owned())));
        assert_eq!(one.range, TimeRange { start_ns: i64::MIN, end_ns: 100_000_000_000 });
        assert_eq!((one.metrics, one.logs, one.traces), (false, true, false));
        for bad in [
            "",
            "signals=logs",
            "service=a&attribute=b=c",
            "attribute=b",
            "from=5&to=4",
            "from=soon",
            "service=a&signals=spans",
        ] {
            assert!(read("delete", bad).is_err(), "{bad}");
        }
        assert!(read("backup", "").is_err() && read("format", "").is_err());
        assert_eq!(read("stats", "top=3"), Ok(Operation::Stats { top: 3 }));
    }
}
