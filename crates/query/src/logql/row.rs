//! One record on its way through a pipeline: its line and its labels.

use std::borrow::Cow;
use std::collections::BTreeSet;

use trefoil_store::model::StoredLog;

use crate::logql::metadata;

/// Where a label came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// A label of the stream.
    Stream,
    /// Structured metadata.
    Structured,
    /// Extracted or made by the query.
    Parsed,
}

/// The label that says which stage failed.
pub(crate) const ERROR: &str = "__error__";
/// The label that says why.
pub(crate) const ERROR_DETAILS: &str = "__error_details__";

/// Which extracted labels anybody will look at; parsers skip the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Needed {
    /// All of them.
    All,
    /// These.
    Names(BTreeSet<String>),
}

impl Needed {
    pub(crate) fn contains(&self, name: &str) -> bool {
        match self {
            Needed::All => true,
            Needed::Names(names) => names.contains(name),
        }
    }

    /// The names, unless all are needed.
    pub(crate) fn names(&self) -> Option<&BTreeSet<String>> {
        match self {
            Needed::All => None,
            Needed::Names(names) => Some(names),
        }
    }

    /// Whether no label is needed at all.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Needed::Names(names) if names.is_empty())
    }

    /// Whether this name is needed, or what it is called if the record came with it.
    fn may_become(&self, name: &str) -> bool {
        match self {
            Needed::All => true,
            Needed::Names(names) => names
                .iter()
                .any(|needed| needed == name || needed.strip_suffix("_extracted") == Some(name)),
        }
    }

    pub(crate) fn add(&mut self, name: &str) {
        if let Needed::Names(names) = self {
            names.insert(name.to_owned());
        }
    }
}

/// A label that the pipeline set.
#[derive(Debug)]
struct SetLabel<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
    category: Category,
}

/// One record on its way through a pipeline.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// The record as stored.
    log: &'a StoredLog<'a>,
    /// The line as it is now.
    pub(crate) line: Cow<'a, str>,
    /// The error of the first stage that failed.
    pub(crate) error: Option<&'static str>,
    /// Why it failed.
    pub(crate) details: String,
    /// Labels that were set; they hide those of the record.
    set: Vec<SetLabel<'a>>,
    /// Labels of the record that were removed.
    removed: Vec<String>,
    /// True if of the record's own labels none is left.
    only_set: bool,
    needed: &'a Needed,
}

impl<'a> Row<'a> {
    pub(crate) fn new(log: &'a StoredLog<'a>, needed: &'a Needed) -> Self {
        Row {
            log,
            line: metadata::line(&log.record),
            error: None,
            details: String::new(),
            set: Vec::new(),
            removed: Vec::new(),
            only_set: false,
            needed,
        }
    }

    /// Unix nanoseconds.
    pub(crate) fn time_ns(&self) -> i64 {
        i64::try_from(self.log.record.time_ns).unwrap_or(i64::MAX)
    }

    /// Notes that a stage failed. The first failure is the one that is told.
    pub(crate) fn fail(&mut self, kind: &'static str, details: impl Into<String>) {
        if self.error.is_none() {
            self.error = Some(kind);
            self.details = details.into();
        }
    }

    /// The value of a label, `None` if the row does not have it.
    pub(crate) fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            ERROR => return self.error.map(Cow::Borrowed),
            ERROR_DETAILS => {
                return self.error.map(|_| Cow::Borrowed(self.details.as_str()));
            }
            _ => {}
        }
        if let Some(label) = self.set.iter().find(|l| l.name == name) {
            return Some(Cow::Borrowed(&label.value));
        }
        if self.is_removed(name) {
            return None;
        }
        if let Some(value) = self.log.stream.get(name) {
            return Some(Cow::Borrowed(value));
        }
        self.structured(name)
    }

    fn is_removed(&self, name: &str) -> bool {
        self.only_set || self.removed.iter().any(|removed| removed == name)
    }

    /// Leaves these labels and no others, but for the errors.
    pub(crate) fn keep_only(&mut self, kept: Vec<(String, String, Category)>) {
        self.only_set = true;
        self.set.clear();
        self.set.extend(kept.into_iter().map(|(name, value, category)| SetLabel {
            name: Cow::Owned(name),
            value: Cow::Owned(value),
            category,
        }));
    }

    /// The value of a structured metadata label, under the name it is shown with.
    fn structured(&self, name: &str) -> Option<Cow<'a, str>> {
        if name == "detected_level" {
            return Some(
                metadata::get(self.log, name)
                    .unwrap_or_else(|| metadata::detected_level(self.log).into()),
            );
        }
        metadata::get(self.log, name).or_else(|| {
            let hidden = name.strip_suffix("_extracted")?;
            self.log.stream.get(hidden)?;
            metadata::get(self.log, hidden)
        })
    }

    /// Whether the record itself came with this label (parsers then add `_extracted`).
    fn came_with(&self, name: &str) -> bool {
        if self.log.stream.get(name).is_some() {
            return true;
        }
        let kept = !self.is_removed(name);
        kept && (name == "detected_level" || metadata::has(self.log, name))
    }

    /// Sets a label that a parser extracted: under another name if the record came with
    /// one of this name, and not at all if an earlier extraction set it or nobody needs it.
    pub(crate) fn extract(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        if name.is_empty() || !self.needed.may_become(&name) {
            return;
        }
        let name =
            if self.came_with(&name) { Cow::Owned(format!("{name}_extracted")) } else { name };
        if !self.needed.contains(&name) || self.set.iter().any(|l| l.name == name) {
            return;
        }
        self.set.push(SetLabel { name, value, category: Category::Parsed });
    }

    /// Sets a label, whatever was there before.
    pub(crate) fn set(&mut self, name: &str, value: String, category: Category) {
        if name == ERROR || name == ERROR_DETAILS {
            return;
        }
        match self.set.iter_mut().find(|l| l.name == name) {
            Some(label) => {
                label.value = Cow::Owned(value);
                label.category = category;
            }
            None => self.set.push(SetLabel {
                name: Cow::Owned(name.to_owned()),
                value: Cow::Owned(value),
                category,
            }),
        }
    }

    /// Removes a label.
    pub(crate) fn remove(&mut self, name: &str) {
        match name {
            ERROR => {
                self.error = None;
                self.details.clear();
            }
            ERROR_DETAILS => self.details.clear(),
            _ => {
                self.set.retain(|l| l.name != name);
                if !self.removed.iter().any(|removed| removed == name) {
                    self.removed.push(name.to_owned());
                }
            }
        }
    }

    /// Where a label came from, `None` if the row does not have it.
    pub(crate) fn category(&self, name: &str) -> Option<Category> {
        if let Some(label) = self.set.iter().find(|l| l.name == name) {
            return Some(label.category);
        }
        if self.is_removed(name) {
            return None;
        }
        if self.log.stream.get(name).is_some() {
            return Some(Category::Stream);
        }
        self.structured(name).map(|_| Category::Structured)
    }

    /// All labels with where they came from, sorted by name, the errors among them.
    pub(crate) fn labels(&self) -> Vec<(Cow<'_, str>, Cow<'_, str>, Category)> {
        let mut all: Vec<(Cow<'_, str>, Cow<'_, str>, Category)> = Vec::with_capacity(16);
        for label in &self.set {
            all.push((Cow::Borrowed(&*label.name), Cow::Borrowed(&*label.value), label.category));
        }
        if self.only_set {
            self.add_errors(&mut all);
            all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            return all;
        }
        let hidden = |name: &str| {
            self.set.iter().any(|l| l.name == name) || self.removed.iter().any(|r| r == name)
        };
        for (name, value) in self.log.stream.iter() {
            if !hidden(name) {
                all.push((name.into(), value.into(), Category::Stream));
            }
        }
        let structured_from = all.len();
        let mut add = |name: Cow<'a, str>, value: Cow<'a, str>| {
            let name = match self.log.stream.get(&name) {
                Some(_) => Cow::Owned(format!("{name}_extracted")),
                None => name,
            };
            if !hidden(&name) && !all[structured_from..].iter().any(|(n, _, _)| *n == name) {
                all.push((name, value, Category::Structured));
            }
        };
        metadata::visit(self.log, &mut add);
        if self.log.stream.get("detected_level").is_none() && !hidden("detected_level") {
            add("detected_level".into(), metadata::detected_level(self.log).into());
        }
        self.add_errors(&mut all);
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        all
    }

    fn add_errors<'s>(&'s self, all: &mut Vec<(Cow<'s, str>, Cow<'s, str>, Category)>) {
        if let Some(error) = self.error {
            all.push((ERROR.into(), error.into(), Category::Parsed));
            if !self.details.is_empty() {
                all.push((ERROR_DETAILS.into(), self.details.as_str().into(), Category::Parsed));
            }
        }
    }

    /// Runs an extraction over the line: `scan` gets the line and a place to put labels.
    pub(crate) fn extract_from_line<E>(
        &mut self,
        scan: impl for<'x> Fn(&'x str, &mut dyn FnMut(Cow<'x, str>, Cow<'x, str>)) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.line {
            Cow::Borrowed(line) => {
                let line: &'a str = line;
                scan(line, &mut |name, value| self.extract(name, value))
            }
            Cow::Owned(_) => {
                let line = std::mem::take(&mut self.line);
                let result = scan(&line, &mut |name, value| {
                    self.extract(Cow::Owned(name.into_owned()), Cow::Owned(value.into_owned()));
                });
                self.line = line;
                result
            }
        }
    }
}
