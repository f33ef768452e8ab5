//! What the verbs print: from the JSON of an operation to lines of text.

use serde_json::Value;

use crate::args::Exit;
use crate::config::show_size;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn backup(answer: &Value) -> (String, Exit) {
    let (files, bytes) = (number(&answer["files"]), show_size(number(&answer["bytes"])));
    let to = text(&answer["to"]);
    (format!("backed up {files} parts, {bytes}, to {to}"), Exit::Success)
}

pub(super) fn verify(answer: &Value) -> (String, Exit) {
    let mut lines = format!(
        "read {} files, {} blocks, {}\n",
        number(&answer["files"]),
        number(&answer["blocks"]),
        show_size(number(&answer["bytes"]))
    );
    let (found, left) = (list(&answer["found"]), list(&answer["damaged"]));
    for line in found {
        lines.push_str(&format!("damaged: {}\n", text(line)));
    }
    match number(&answer["moved"]) {
        0 => {}
        moved => lines.push_str(&format!("{moved} damaged parts were moved to quarantine/\n")),
    }
    match list(&answer["quarantined"]) {
        [] => {}
        files => lines.push_str(&format!(
            "{} files are in quarantine/; remove them when you have seen enough\n",
            files.len()
        )),
    }
    if left.is_empty() {
        lines.push_str("all checksums hold\n");
        return (lines, Exit::Success);
    }
    lines.push_str("the rest is intact; `trefoil verify --quarantine` moves damaged parts aside\n");
    (lines, Exit::Failed)
}

pub(super) fn stats(answer: &Value) -> (String, Exit) {
    let mut lines = format!(
        "{:<10} {:>14} {:>10} {:>12} {:>7}\n",
        "signal", "items", "disk", "bytes/item", "parts"
    );
    for signal in list(&answer["signals"]) {
        lines.push_str(&format!(
            "{:<10} {:>14} {:>10} {:>12} {:>7}\n",
            text(&signal["signal"]),
            number(&signal["items"]),
            show_size(number(&signal["bytes"])),
            signal["bytes_per_item"].as_f64().unwrap_or(0.0),
            number(&signal["parts"]),
        ));
    }
    lines.push_str(&format!("write-ahead log {}\n", show_size(number(&answer["wal_bytes"]))));
    for (key, title, item) in [
        ("spans_by_service", "spans by service", "spans"),
        ("logs_by_service", "log records by service", "records"),
        ("series_by_service", "samples by service", "series"),
        ("series_by_metric", "samples by metric", "series"),
    ] {
        let shares = list(&answer[key]);
        if shares.is_empty() {
            continue;
        }
        lines.push_str(&format!("\n{title}\n"));
        for share in shares {
            lines.push_str(&format!(
                "  {:<40} {:>12} {item:<8} {:>10}\n",
                text(&share["name"]),
                number(&share["items"]),
                show_size(number(&share["bytes"])),
            ));
        }
    }
    (lines, Exit::Success)
}

pub(super) fn delete(answer: &Value) -> (String, Exit) {
    let [samples, logs, spans] = ["metrics", "logs", "traces"].map(|name| number(&answer[name]));
    (format!("deleted {spans} spans, {logs} log records, {samples} samples"), Exit::Success)
}
