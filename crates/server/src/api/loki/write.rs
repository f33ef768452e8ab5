//! Answers as Loki's JSON.

use std::io::Write;
use std::time::Duration;

use trefoil_query::logql::{
    Answer, Category, Data, Entry, LabelSet, SeriesValues, Stats, answer::group,
};

/// Who asked, as far as it changes the shape of the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Structured metadata and parsed labels beside each line, not among the stream's labels.
    pub(super) categorize: bool,
    /// The time of an instant query, in Unix nanoseconds.
    pub(super) at_ns: i64,
}

/// A whole answer of `query` or `query_range`.
pub(super) fn answer(answer: &Answer, shape: Shape, took: Duration) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    out.extend_from_slice(br#"{"status":"success","#);
    if answer.stats.blocks_damaged > 0 {
        let damaged = answer.stats.blocks_damaged;
        out.extend_from_slice(br#""warnings":["#);
        string(
            &mut out,
            &format!("{damaged} blocks are damaged and left out: the answer is partial"),
        );
        out.extend_from_slice(b"],");
    }
    out.extend_from_slice(br#""data":{"resultType":"#);
    match &answer.data {
        Data::Streams(entries) => {
            out.extend_from_slice(br#""streams","#);
            if shape.categorize {
                out.extend_from_slice(br#""encodingFlags":["categorize-labels"],"#);
            }
            out.extend_from_slice(br#""result":"#);
            streams(&mut out, entries, shape.categorize);
        }
        Data::Matrix(series) => {
            out.extend_from_slice(br#""matrix","result":"#);
            list(&mut out, series, matrix_series);
        }
        Data::Vector(series) => {
            out.extend_from_slice(br#""vector","result":"#);
            list(&mut out, series, |out, (labels, value)| {
                out.extend_from_slice(br#"{"metric":"#);
                label_set(out, labels);
                out.extend_from_slice(br#","value":"#);
                sample(out, shape.at_ns, *value);
                out.push(b'}');
            });
        }
        Data::Scalar(value) => {
            out.extend_from_slice(br#""scalar","result":"#);
            sample(&mut out, shape.at_ns, *value);
        }
    }
    out.extend_from_slice(br#","stats":"#);
    out.extend_from_slice(stats(&answer.stats, entries_returned(&answer.data), took).as_bytes());
    out.extend_from_slice(b"}}");
    out
}

fn entries_returned(data: &Data) -> usize {
    match data {
        Data::Streams(entries) => entries.len(),
        Data::Matrix(series) => series.len(),
        Data::Vector(series) => series.len(),
        Data::Scalar(_) => 1,
    }
}

/// A list with what `item` writes for each.
pub(super) fn list<T>(out: &mut Vec<u8>, items: &[T], mut item: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (i, each) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        item(out, each);
    }
    out.push(b']');
}

/// Streams with their lines.
pub(super) fn streams(out: &mut Vec<u8>, entries: &[Entry], categorize: bool) {
    use Category::{Parsed, Stream, Structured};
    let by: &[Category] = if categorize { &[Stream] } else { &[Stream, Structured, Parsed] };
    list(out, &group(entries, by), |out, (labels, lines)| {
        out.extend_from_slice(br#"{"stream":"#);
        label_set(out, labels);
        out.extend_from_slice(br#","values":"#);
        list(out, lines, |out, entry| {
            write_text(out, format_args!("[\"{}\",", entry.time_ns));
            string(out, &entry.line);
            if categorize {
                out.push(b',');
                categories(out, entry);
            }
            out.push(b']');
        });
        out.push(b'}');
    });
}

fn categories(out: &mut Vec<u8>, entry: &Entry) {
    let kinds = [("structuredMetadata", Category::Structured), ("parsed", Category::Parsed)];
    let mut first = true;
    out.push(b'{');
    for (name, category) in kinds {
        let labels = entry.labels_of(&[category]);
        if !labels.0.is_empty() {
            write_text(out, format_args!("{}\"{name}\":", if first { "" } else { "," }));
            label_set(out, &labels);
            first = false;
        }
    }
    out.push(b'}');
}

fn matrix_series(out: &mut Vec<u8>, series: &SeriesValues) {
    out.extend_from_slice(br#"{"metric":"#);
    label_set(out, &series.labels);
    out.extend_from_slice(br#","values":"#);
    list(out, &series.values, |out, (time_ns, value)| sample(out, *time_ns, *value));
    out.push(b'}');
}

pub(super) fn label_set(out: &mut Vec<u8>, labels: &LabelSet) {
    out.push(b'{');
    for (i, (name, value)) in labels.0.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
        string(out, value);
    }
    out.push(b'}');
}

/// `[seconds,"value"]`, seconds with milliseconds if there are any.
pub(super) fn sample(out: &mut Vec<u8>, time_ns: i64, value: f64) {
    let ms = time_ns.div_euclid(1_000_000);
    let (seconds, part) = (ms.div_euclid(1000), ms.rem_euclid(1000));
    if part == 0 {
        write_text(out, format_args!("[{seconds},"));
    } else {
        let text = format!("{seconds}.{part:03}");
        write_text(out, format_args!("[{},", text.trim_end_matches('0')));
    }
    if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"\"+Inf\"]" } else { b"\"-Inf\"]" });
    } else {
        write_text(out, format_args!("\"{value}\"]"));
    }
}

/// A JSON string with its quotes.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    // Writing a string into memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn write_text(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing into memory cannot fail.
    let _ = out.write_fmt(text);
}

/// Everything was read here, so what Loki splits over ingester and store is all "store".
fn stats(stats: &Stats, entries: usize, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    let per_second = |n: u64| if seconds > 0.0 { (n as f64 / seconds) as u64 } else { 0 };
    serde_json::json!({
        "summary": {
            "bytesProcessedPerSecond": per_second(stats.bytes_processed),
            "linesProcessedPerSecond": per_second(stats.lines_processed),
            "totalBytesProcessed": stats.bytes_processed,
            "totalLinesProcessed": stats.lines_processed,
            "execTime": seconds,
            "queueTime": 0,
            "subqueries": 0,
            "totalEntriesReturned": entries,
            "splits": 0,
            "shards": 0,
            "totalPostFilterLines": stats.lines_matched,
            "totalStructuredMetadataBytesProcessed": 0,
        },
        "querier": {
            "store": {
                "totalChunksRef": 0,
                "totalChunksDownloaded": 0,
                "chunksDownloadTime": 0,
                "chunk": {
                    "headChunkBytes": 0,
                    "headChunkLines": 0,
                    "decompressedBytes": stats.bytes_processed,
                    "decompressedLines": stats.lines_processed,
                    "compressedBytes": 0,
                    "totalDuplicates": 0,
                    "postFilterLines": stats.lines_matched,
                },
            },
        },
        "ingester": {
            "totalReached": 0,
            "totalChunksMatched": 0,
            "totalBatches": 0,
            "totalLinesSent": 0,
            "store": {
                "totalChunksRef": 0,
                "totalChunksDownloaded": 0,
                "chunksDownloadTime": 0,
                "chunk": {
                    "headChunkBytes": 0,
                    "headChunkLines": 0,
                    "decompressedBytes": 0,
                    "decompressedLines": 0,
                    "compressedBytes": 0,
                    "totalDuplicates": 0,
                    "postFilterLines": 0,
                },
            },
        },
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_leaves_out_damaged_blocks_says_so() {
        let written = |blocks_damaged| {
            let stats = Stats { blocks_damaged, ..Stats::default() };
            let shape = Shape { categorize: false, at_ns: 0 };
            let body = answer(&Answer { data: Data::Scalar(1.0), stats }, shape, Duration::ZERO);
            serde_json::from_slice::<serde_json::Value>(&body).unwrap()
        };
        assert!(written(0).get("warnings").is_none());
        let warnings = &written(2)["warnings"];
        assert!(warnings[0].as_str().unwrap().starts_with("2 blocks are damaged"), "{warnings}");
        assert_eq!(written(2)["data"]["result"], serde_json::json!([0, "1"]));
    }

    #[test]
    fn samples() {
        let cases = [
            (1_600_000_000_000_000_000, 1.5, r#"[1600000000,"1.5"]"#),
            (1_600_000_000_250_999_999, 1e21, r#"[1600000000.25,"1000000000000000000000"]"#),
            (-1_500_000_000, f64::NAN, r#"[-2.5,"NaN"]"#),
            (0, f64::INFINITY, r#"[0,"+Inf"]"#),
            (0, 1e-7, r#"[0,"0.0000001"]"#),
        ];
        for (time, value, expected) in cases {
            let mut out = Vec::new();
            sample(&mut out, time, value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
