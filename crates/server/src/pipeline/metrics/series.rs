//! The labels of a series: from the resource, the scope and the data point.

use std::borrow::Cow;

use trefoil_store::model::{Resource, Scope, Value};
use trefoil_store::{Labels, LabelsBuilder};
use trefoil_wire::otlp::Attributes;
use xxhash_rust::xxh3::Xxh3;

use crate::pipeline::attribute::{attributes, label_name, string, text};
use crate::pipeline::refusal::ItemError;

/// Labels of one series.
const LABELS_MAX: usize = 128;
/// Bytes of a label's value; it is repeated in every index entry.
const VALUE_BYTES_MAX: usize = 16 << 10;

/// Attributes that make `job` and `instance`, and so are not repeated in `target_info`.
const IDENTITY: [&str; 3] = ["service.namespace", "service.name", "service.instance.id"];

/// What all series of one resource have in common.
#[derive(Clone, Debug)]
pub(super) struct Base {
    /// `job` and `instance`, as far as known: they win over a point's attributes.
    identity: Vec<(&'static str, String)>,
    /// Promoted resource attributes, and the scope's: a point's attributes win.
    promoted: Vec<(String, String)>,
    /// Attributes for `target_info`.
    others: Labels,
}

impl Base {
    pub(super) fn new(resource: &Resource<'_>, promote: &[String]) -> Result<Base, ItemError> {
        let attribute = |key| string(&resource.attributes, key).filter(|value| !value.is_empty());
        let mut identity = Vec::new();
        if let Some(name) = attribute("service.name") {
            let job = match attribute("service.namespace") {
                Some(namespace) => format!("{namespace}/{name}"),
                None => name.into_owned(),
            };
            identity.push(("job", job));
        }
        if let Some(instance) = attribute("service.instance.id") {
            identity.push(("instance", instance.into_owned()));
        }
        let mut promoted = Vec::new();
        for key in promote {
            if let Some(value) = attribute(key) {
                promoted.push((label_name(key).into_owned(), value.into_owned()));
            }
        }
        let mut others = PointLabels::default();
        for attribute in &resource.attributes {
            if !IDENTITY.contains(&&*attribute.key) {
                others.add(label_name(&attribute.key), text(&attribute.value));
            }
        }
        others.check()?;
        let base = Base { identity, promoted, others: others.build() };
        base.labels().check()?;
        Ok(base)
    }

    /// Adds the scope's name, version, schema and attributes as `otel_scope_…`.
    pub(super) fn with_scope(&self, scope: &Scope<'_>) -> Result<Base, ItemError> {
        let mut base = self.clone();
        if scope.name.is_empty() {
            return Ok(base);
        }
        let mut push = |name: String, value: &str| base.promoted.push((name, value.to_owned()));
        push("otel_scope_name".to_owned(), &scope.name);
        push("otel_scope_version".to_owned(), &scope.version);
        push("otel_scope_schema_url".to_owned(), &scope.schema_url);
        for attribute in &scope.attributes {
            let name = format!("otel_scope_{}", attribute.key);
            push(label_name(&name).into_owned(), &text(&attribute.value));
        }
        base.labels().check()?;
        Ok(base)
    }

    /// The labels of a point with these attributes, without `__name__`.
    pub(super) fn with_attributes<'a>(
        &'a self,
        view: Attributes<'a>,
    ) -> Result<PointLabels<'a>, ItemError> {
        let mut labels = PointLabels::default();
        labels.add_attributes(view)?;
        for (name, value) in &self.promoted {
            if labels.get(name).is_none() {
                labels.set(name, value);
            }
        }
        for (name, value) in &self.identity {
            labels.set(*name, value);
        }
        labels.check()?;
        Ok(labels)
    }

    /// The labels, without `__name__`, of the series that has what is too much.
    pub(super) fn overflow(&self) -> PointLabels<'_> {
        let mut labels = self.labels();
        labels.set(super::cardinality::OVERFLOW, "true");
        labels
    }

    fn labels(&self) -> PointLabels<'_> {
        let mut labels = PointLabels::default();
        for (name, value) in &self.promoted {
            labels.set(name, value);
        }
        for (name, value) in &self.identity {
            labels.set(*name, value);
        }
        labels
    }

    /// The labels of `target_info`; `None` without an identity or without anything to tell.
    pub(super) fn target_info(&self) -> Option<Labels> {
        if self.identity.is_empty() || self.others.is_empty() {
            return None;
        }
        let mut labels = LabelsBuilder::from_labels(&self.others);
        for (name, value) in &self.identity {
            labels.set(name, value);
        }
        labels.set("__name__", "target_info");
        Some(labels.build())
    }
}

/// The labels of one point. Like the store's builder, but it borrows what it can: a
/// request has thousands of points with a dozen labels each.
#[derive(Clone, Debug, Default)]
pub(super) struct PointLabels<'a> {
    /// Sorted by name, each name once, no value empty.
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> PointLabels<'a> {
    /// Sets a label; an empty value removes it.
    pub(super) fn set(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let (name, value) = (name.into(), value.into());
        match self.find(&name) {
            Ok(at) if value.is_empty() => drop(self.pairs.remove(at)),
            Ok(at) => self.pairs[at].1 = value,
            Err(_) if value.is_empty() => {}
            Err(at) => self.pairs.insert(at, (name, value)),
        }
    }

    /// Adds a label for each attribute. Keys that become the same name share it, their
    /// values joined by `;` in the order of the keys.
    pub(super) fn add_attributes(&mut self, view: Attributes<'a>) -> Result<(), ItemError> {
        let mut pairs = Vec::with_capacity(view.len().min(LABELS_MAX));
        attributes(view, &mut pairs)?;
        pairs.sort_by(|a, b| a.key.cmp(&b.key));
        self.pairs.reserve(pairs.len() + 8);
        for attribute in pairs.into_iter().filter(|attribute| !attribute.key.is_empty()) {
            let name = match attribute.key {
                Cow::Borrowed(key) => label_name(key),
                Cow::Owned(key) => Cow::Owned(label_name(&key).into_owned()),
            };
            let value = match attribute.value {
                Value::Str(text) => text,
                value => Cow::Owned(text(&value).into_owned()),
            };
            self.add(name, value);
        }
        Ok(())
    }

    /// Names and values, by name.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The same for the same labels.
    pub(super) fn hash(&self) -> u64 {
        let mut hasher = Xxh3::new();
        for (name, value) in self.pairs() {
            // The ends keep `ab`, `c` from being `a`, `bc`.
            hasher.update(name.as_bytes());
            hasher.update(&[0xff]);
            hasher.update(value.as_bytes());
            hasher.update(&[0xff]);
        }
        hasher.digest()
    }

    /// The value set so far.
    fn get(&self, name: &str) -> Option<&str> {
        self.find(name).ok().map(|at| &*self.pairs[at].1)
    }

    /// The finished set.
    pub(super) fn build(&self) -> Labels {
        Labels::from_sorted(self.pairs.iter().map(|(name, value)| (&**name, &**value)))
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.pairs.binary_search_by(|(known, _)| (**known).cmp(name))
    }

    fn add(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        match self.find(&name) {
            Ok(at) => self.pairs[at].1 = format!("{};{value}", self.pairs[at].1).into(),
            Err(_) if value.is_empty() => {}
            Err(at) => self.pairs.insert(at, (name, value)),
        }
    }

    fn check(&self) -> Result<(), ItemError> {
        if self.pairs.len() > LABELS_MAX {
            return Err(ItemError::Rule("too_many_labels"));
        }
        if self.pairs.iter().any(|(_, value)| value.len() > VALUE_BYTES_MAX) {
            return Err(ItemError::Rule("label_value_too_long"));
        }
        Ok(())
    }
}
