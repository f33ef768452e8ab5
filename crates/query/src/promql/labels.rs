//! Label sets cut down, in the encoded form the store keeps them in: a name's length, the
//! name, the value's length, the value, sorted by name. Grouping a hundred thousand
//! series must not allocate a string per label.

use trefoil_store::{Labels, LabelsBuilder, SeriesReader};

/// Name, type and unit of a metric: they do not describe what is computed from it.
const METADATA: [&str; 3] = ["__name__", "__type__", "__unit__"];

/// Which labels of the series that are read somebody looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needed<'a> {
    /// All of them.
    All,
    /// These and the name of the metric.
    Only(&'a [String]),
}

impl Needed<'_> {
    /// The labels of a series as far as they are needed.
    pub(crate) fn read(self, reader: &mut SeriesReader<'_>, series: usize) -> Labels {
        match self {
            Needed::All => reader.labels(series),
            Needed::Only(names) => {
                reader.labels_named(series, &|n| n == b"__name__" || is_among(n, names))
            }
        }
    }
}

/// Writes the labels for which `keep` holds into `out`, replacing what was there.
fn write_kept(out: &mut Vec<u8>, labels: &Labels, mut keep: impl FnMut(&[u8]) -> bool) {
    out.clear();
    for (name, value) in labels.iter_bytes() {
        if keep(name) {
            put(out, name);
            put(out, value);
        }
    }
}

fn put(out: &mut Vec<u8>, text: &[u8]) {
    let mut len = text.len();
    while len >= 0x80 {
        out.push((len & 0x7f) as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(text);
}

fn is_among(name: &[u8], names: &[String]) -> bool {
    names.iter().any(|n| n.as_bytes() == name)
}

/// Only the named labels.
pub(crate) fn write_only(out: &mut Vec<u8>, labels: &Labels, names: &[String]) {
    write_kept(out, labels, |name| is_among(name, names));
}

/// All labels but the named ones and the metric's name.
pub(crate) fn write_without(out: &mut Vec<u8>, labels: &Labels, names: &[String]) {
    write_kept(out, labels, |name| name != b"__name__" && !is_among(name, names));
}

/// Labels from bytes that one of the functions above wrote.
pub(crate) fn from_written(bytes: &[u8]) -> Labels {
    // The bytes come from a valid set with pairs left out, so they are one.
    Labels::from_bytes(bytes).unwrap_or_default()
}

/// All labels but one.
pub(crate) fn without_label(labels: &Labels, dropped: &[&str]) -> Labels {
    let mut out = Vec::with_capacity(labels.as_bytes().len());
    write_kept(&mut out, labels, |name| !dropped.iter().any(|d| d.as_bytes() == name));
    from_written(&out)
}

/// All labels but name, type and unit.
pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    without_label(labels, &METADATA)
}

/// The set with one label changed; an empty value removes it.
pub(crate) fn with_label(labels: &Labels, name: &str, value: &str) -> Labels {
    let mut builder = LabelsBuilder::from_labels(labels);
    builder.set(name, value);
    builder.build()
}

/// As Prometheus prints a set in messages: `{a="b", c="d"}`.
pub(crate) fn text(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            format!("{}={}", super::print::label_text(name), super::print::quote(value))
        })
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_down_sets_are_valid_sets() {
        let long = "v".repeat(200);
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "api"), ("zone", &long)]);
        let mut out = Vec::new();
        write_only(&mut out, &labels, &["zone".to_owned(), "nope".to_owned()]);
        assert_eq!(from_written(&out), Labels::from_pairs([("zone", long.as_str())]));
        write_without(&mut out, &labels, &["zone".to_owned()]);
        assert_eq!(from_written(&out), Labels::from_pairs([("job", "api")]));
        assert_eq!(text(&without_label(&labels, &["zone"])), r#"{__name__="up", job="api"}"#);
    }
}
