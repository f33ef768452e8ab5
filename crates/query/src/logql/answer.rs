//! What a LogQL query answers.

use std::fmt;

use crate::logql::row::Category;

/// Labels sorted by name. Unlike a stream's labels they may have empty values, because
/// `| json a="b"` makes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSet(pub Vec<(String, String)>);

impl LabelSet {
    /// The value of a label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// Sets a label.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.0.binary_search_by(|(n, _)| n.as_str().cmp(name)) {
            Ok(at) => value.clone_into(&mut self.0[at].1),
            Err(at) => self.0.insert(at, (name.to_owned(), value.to_owned())),
        }
    }

    /// Removes all labels for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }
}

/// As LogQL writes a selector.
impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name}={value:?}", if i > 0 { ", " } else { "" })?;
        }
        f.write_str("}")
    }
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Unix nanoseconds.
    pub time_ns: i64,
    /// The line as the pipeline left it.
    pub line: String,
    /// Its labels, sorted by name, with where each came from.
    pub labels: Vec<(String, String, Category)>,
}

impl Entry {
    /// The labels of some categories.
    #[must_use]
    pub fn labels_of(&self, wanted: &[Category]) -> LabelSet {
        LabelSet(
            self.labels
                .iter()
                .filter(|(_, _, category)| wanted.contains(category))
                .map(|(name, value, _)| (name.clone(), value.clone()))
                .collect(),
        )
    }
}

/// A series over time: Unix milliseconds and values, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesValues {
    /// Labels.
    pub labels: LabelSet,
    /// Unix nanoseconds and values.
    pub values: Vec<(i64, f64)>,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Lines, in the order that was asked for.
    Streams(Vec<Entry>),
    /// Series over time, sorted by labels.
    Matrix(Vec<SeriesValues>),
    /// Series at one instant; sorted by labels unless the query orders them.
    Vector(Vec<(LabelSet, f64)>),
    /// A number at one instant.
    Scalar(f64),
}

/// An answer with what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The answer.
    pub data: Data,
    /// What it took.
    pub stats: Stats,
}

/// What a query read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Decoded bytes looked at.
    pub bytes_processed: u64,
    /// Records looked at.
    pub lines_processed: u64,
    /// Records that the pipeline let through.
    pub lines_matched: u64,
    /// Blocks set aside because they are damaged: the answer is partial.
    pub blocks_damaged: u64,
}

/// Lines grouped into streams: labels and entries, streams sorted by labels, entries in
/// the order they had.
pub type Grouped<'e> = Vec<(LabelSet, Vec<&'e Entry>)>;

/// Groups lines by the labels of some categories.
#[must_use]
pub fn group<'e>(entries: &'e [Entry], by: &[Category]) -> Grouped<'e> {
    let mut groups: std::collections::BTreeMap<LabelSet, Vec<&Entry>> = Default::default();
    for entry in entries {
        groups.entry(entry.labels_of(by)).or_default().push(entry);
    }
    groups.into_iter().collect()
}
