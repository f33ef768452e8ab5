//! The settings of a server, read once at start and passed down.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use trefoil_query::duration::parse_prometheus_ms;
use trefoil_store::{KeptTraces, Retention, RetentionBytes};

use crate::args::{Flag, Values};
use crate::pipeline::cardinality;

/// The flags of `serve`; `demo` has them too.
pub(crate) const FLAGS: &[Flag] = &[
    flag("config", "FILE", "", "TOML file with these settings"),
    flag("data", "DIR", "trefoil-data", "directory of the data, made if missing"),
    flag("http", "ADDR", "127.0.0.1:4316", "main port: web app, APIs, OTLP/HTTP"),
    flag("otlp-grpc", "ADDR", "127.0.0.1:4317", "OTLP/gRPC port, or off"),
    flag("otlp-http", "ADDR", "127.0.0.1:4318", "OTLP/HTTP port, or off"),
    flag("standard-ports", "", "", "also open 9090, 3100, 3200, 16686 on the main port's address"),
    flag("memory", "SIZE", "1GiB", "memory for everything together"),
    flag("retention-metrics", "TIME", "15d", "how long samples are kept, or none for ever"),
    flag("retention-logs", "TIME", "7d", "how long log records are kept, or none for ever"),
    flag("retention-traces", "TIME", "72h", "how long spans are kept, or none for ever"),
    flag("retention-metrics-size", "SIZE", "none", "bytes of samples on disk; the oldest go first"),
    flag("retention-logs-size", "SIZE", "none", "bytes of log records on disk, likewise"),
    flag("retention-traces-size", "SIZE", "none", "bytes of spans on disk, likewise"),
    flag(
        "retention-traces-kept",
        "TIME",
        "",
        "how long traces with an error, slow ones and those exemplars point at are kept",
    ),
    flag("slow-trace", "TIME", "1s", "a span that lasts so long makes its trace a slow one"),
    flag("disk-reserve", "SIZE", "256MiB", "writes are refused while less of the disk is free"),
    flag("fsync", "BOOL", "true", "whether a write waits for the disk before it is acknowledged"),
    flag("max-body", "SIZE", "32MiB", "largest request body, after decompression"),
    flag("query-timeout", "TIME", "2m", "when a query is stopped"),
    flag("query-concurrency", "N", "8", "queries that run at once"),
    flag("query-bytes", "SIZE", "16GiB", "decoded bytes one query may look at"),
    flag("cors-origin", "URL…", "", "origins whose pages may send OTLP and read the APIs, or *"),
    flag(
        "promote-resource-attributes",
        "NAME…",
        "service.name,service.namespace,service.instance.id,deployment.environment.name",
        "resource attributes that become labels of every series",
    ),
    flag(
        "series-per-metric",
        "N",
        "200000",
        "series of one metric that may appear in half a day; the excess shares one",
    ),
    flag("values-per-label", "N", "100000", "values of one label of a metric, likewise"),
    flag("promote-scope", "BOOL", "false", "whether scopes become labels otel_scope_… of series"),
    flag("ui-dir", "DIR", "", "serve the web app from this folder instead (for its development)"),
    flag("print-config", "", "", "print each value and where it came from, then exit"),
];

const fn flag(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    about: &'static str,
) -> Flag {
    Flag { name, value, default, about }
}

/// The settings of a server.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Directory of the store.
    pub(crate) data: PathBuf,
    /// Main port.
    pub(crate) http: SocketAddr,
    /// OTLP/gRPC port, if open.
    pub(crate) otlp_grpc: Option<SocketAddr>,
    /// OTLP/HTTP port, if open.
    pub(crate) otlp_http: Option<SocketAddr>,
    /// Whether each system's own port is open as well.
    pub(crate) standard_ports: bool,
    /// Memory for everything together, in bytes.
    pub(crate) memory_bytes: u64,
    /// How long each signal is kept.
    pub(crate) retention: Retention,
    /// How much of each signal is kept.
    pub(crate) retention_bytes: RetentionBytes,
    /// Traces that are kept for longer.
    pub(crate) kept_traces: Option<KeptTraces>,
    /// Writes are refused while less than this is free on the disk, in bytes.
    pub(crate) disk_reserve_bytes: u64,
    /// Whether a write waits for the disk.
    pub(crate) fsync: bool,
    /// Largest request body after decompression, in bytes.
    pub(crate) body_bytes_max: usize,
    /// When a query is stopped.
    pub(crate) query_timeout: Duration,
    /// Queries that run at once.
    pub(crate) query_concurrency: usize,
    /// Decoded bytes one query may look at.
    pub(crate) query_bytes_max: u64,
    /// Origins of pages that may use the APIs; `*` for all.
    pub(crate) cors_origins: Vec<String>,
    /// Resource attributes that become labels of every series.
    pub(crate) promoted_attributes: Vec<String>,
    /// How many series a metric may have.
    pub(crate) cardinality: cardinality::Limits,
    /// Whether the scope's name, version and attributes become labels.
    pub(crate) promote_scope: bool,
    /// Folder the web app is served from, if not from the binary.
    pub(crate) ui_dir: Option<PathBuf>,
}

/// Below this nothing useful fits: heads, one request in flight, one query.
const MEMORY_BYTES_MIN: u64 = 64 << 20;

impl Config {
    /// Reads the values of [`FLAGS`].
    ///
    /// # Errors
    /// A line for the user that names the flag and what is expected.
    pub(crate) fn from_values(values: &Values) -> Result<Config, String> {
        let config = Config {
            data: values.read("data", |text| match text {
                "" => Err("a directory is expected".to_owned()),
                _ => Ok(PathBuf::from(text)),
            })?,
            http: values.read("http", address)?,
            otlp_grpc: values.read("otlp-grpc", address_or_off)?,
            otlp_http: values.read("otlp-http", address_or_off)?,
            standard_ports: values.switch("standard-ports")?,
            memory_bytes: values.read("memory", |text| match size(text)? {
                bytes if bytes < MEMORY_BYTES_MIN => Err("at least 64MiB are needed".to_owned()),
                bytes => Ok(bytes),
            })?,
            retention: Retention {
                metrics: values.read("retention-metrics", retention)?,
                logs: values.read("retention-logs", retention)?,
                traces: values.read("retention-traces", retention)?,
            },
            retention_bytes: RetentionBytes {
                metrics: values.read("retention-metrics-size", size_or_none)?,
                logs: values.read("retention-logs-size", size_or_none)?,
                traces: values.read("retention-traces-size", size_or_none)?,
            },
            kept_traces: kept_traces(values)?,
            disk_reserve_bytes: values.read("disk-reserve", size)?,
            fsync: values.switch("fsync")?,
            body_bytes_max: values.read("max-body", |text| {
                let bytes = size(text)?;
                usize::try_from(bytes).map_err(|_| "too large for this machine".to_owned())
            })?,
            query_timeout: values.read("query-timeout", duration)?,
            query_concurrency: values.read("query-concurrency", |text| match text.parse() {
                Ok(count @ 1..=1024) => Ok(count),
                _ => Err("a number from 1 to 1024 is expected".to_owned()),
            })?,
            query_bytes_max: values.read("query-bytes", size)?,
            cors_origins: values.read("cors-origin", list)?,
            promoted_attributes: values.read("promote-resource-attributes", list)?,
            cardinality: cardinality::Limits {
                series: values.read("series-per-metric", count)?,
                values: values.read("values-per-label", count)?,
            },
            promote_scope: values.switch("promote-scope")?,
            ui_dir: values
                .read("ui-dir", |text| Ok((!text.is_empty()).then(|| PathBuf::from(text))))?,
        };
        // A request in flight needs its body, its decoded form and its batch.
        if config.body_bytes_max as u64 > config.memory_bytes / 8 {
            return Err(format!(
                "--max-body {} is more than an eighth of --memory {}; lower one or raise the other",
                show_size(config.body_bytes_max as u64),
                show_size(config.memory_bytes),
            ));
        }
        Ok(config)
    }

    /// Settings for tests inside this crate: free ports, a small budget.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Config {
        let flags = ["--http=127.0.0.1:0", "--otlp-grpc=127.0.0.1:0", "--otlp-http=127.0.0.1:0"];
        let parsed = crate::args::parse(lexopt::Parser::from_args(flags), FLAGS, |_| None);
        let Ok(crate::args::Parsed::Run(values)) = parsed else { panic!("the defaults parse") };
        Config::from_values(&values).unwrap()
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix("http://").unwrap_or(text);
    let text = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None if text.starts_with(':') => format!("0.0.0.0{text}"),
        None => text.to_owned(),
    };
    text.parse().map_err(|_| "an address is expected, e.g. 127.0.0.1:4316 or [::]:4316".to_owned())
}

fn address_or_off(text: &str) -> Result<Option<SocketAddr>, String> {
    match text {
        "off" | "none" | "false" => Ok(None),
        _ => address(text).map(Some).map_err(|why| format!("{why}, or off")),
    }
}

/// `1GiB`, `512MiB`, `64KiB`, `1GB`, `1000`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 8] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
    ];
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (number, unit) = text.split_at(digits);
    let number: Option<f64> = number.parse().ok();
    let factor = match unit.trim() {
        "" | "B" => Some(1),
        unit => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, f)| *f),
    };
    match (number, factor) {
        (Some(number), Some(factor)) if number * (factor as f64) < 9e15 => {
            Ok((number * factor as f64) as u64)
        }
        _ => Err("a size is expected, e.g. 512MiB or 1GiB".to_owned()),
    }
}

/// A size as [`size`] reads it, rounded to one decimal.
pub(crate) fn show_size(bytes: u64) -> String {
    for (unit, factor) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor {
            let text = format!("{:.1}", bytes as f64 / factor as f64);
            return format!("{}{unit}", text.trim_end_matches(".0"));
        }
    }
    format!("{bytes}B")
}

/// `15d`, `72h`, `30s`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match parse_prometheus_ms(text) {
        Some(ms) if ms > 0 => Ok(Duration::from_millis(ms.unsigned_abs())),
        _ => Err("a time is expected, e.g. 15d, 72h or 30s".to_owned()),
    }
}

fn retention(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "none" => Ok(None),
        _ => duration(text).map(Some).map_err(|why| format!("{why}, or none")),
    }
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("a number above 0 is expected".to_owned()),
    }
}

fn size_or_none(text: &str) -> Result<Option<u64>, String> {
    match text {
        "none" => Ok(None),
        _ => size(text).map(Some).map_err(|why| format!("{why}, or none")),
    }
}

fn kept_traces(values: &Values) -> Result<Option<KeptTraces>, String> {
    let slow = values.read("slow-trace", duration)?;
    let kept = values.read("retention-traces-kept", |text| match text {
        "" => Ok(None),
        _ => duration(text).map(Some),
    })?;
    let slow_ns = u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX);
    Ok(kept.map(|kept| KeptTraces { kept, slow_ns }))
}

fn list(text: &str) -> Result<Vec<String>, String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Ok(items.map(str::to_owned).collect())
}

/// A retention as the banner shows it.
pub(crate) fn show_retention(retention: Option<Duration>) -> String {
    match retention.map(|time| time.as_secs()) {
        None => "for ever".to_owned(),
        Some(secs) if secs >= 7 * 86_400 && secs.is_multiple_of(86_400) => {
            format!("{}d", secs / 86_400)
        }
        Some(secs) if secs.is_multiple_of(3600) => format!("{}h", secs / 3600),
        Some(secs) => format!("{secs}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let config = Config::for_tests();
        assert_eq!(config.retention, Retention::default());
        assert_eq!(config.memory_bytes, 1 << 30);
        assert!(config.fsync && !config.standard_ports);
    }

    #[test]
    fn sizes() {
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size("1.5mib"), Ok(3 << 19));
        assert_eq!(size("10"), Ok(10));
        for bad in ["", "GiB", "1XB", "-1", "1e9", "99999999TiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(show_size(1 << 30), "1GiB");
        assert_eq!(show_size(3 << 19), "1.5MiB");
    }

    #[test]
    fn addresses() {
        assert_eq!(address("localhost:1").unwrap().to_string(), "127.0.0.1:1");
        assert_eq!(address(":4317").unwrap().to_string(), "0.0.0.0:4317");
        assert_eq!(address("[::1]:4317").unwrap().to_string(), "[::1]:4317");
        assert_eq!(address_or_off("off"), Ok(None));
        for bad in ["", "4317", "example.com", "1.2.3.4:99999"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn retention_as_text() {
        for text in ["15d", "7d", "72h", "90s"] {
            assert_eq!(show_retention(retention(text).unwrap()), text);
        }
        assert_eq!(retention("none"), Ok(None));
        assert!(retention("0").is_err() && retention("soon").is_err());
    }
}
