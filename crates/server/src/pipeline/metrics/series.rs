//! The labels of a series: from the resource, the scope and the data point.

use trefoil_store::model::{Resource, Scope};
use trefoil_store::{Labels, LabelsBuilder};
use trefoil_wire::otlp::Attributes;

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
    others: LabelsBuilder,
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
        let mut others = LabelsBuilder::default();
        for attribute in &resource.attributes {
            if !IDENTITY.contains(&&*attribute.key) {
                add(&mut others, &label_name(&attribute.key), &text(&attribute.value));
            }
        }
        let base = Base { identity, promoted, others };
        check(&base.others)?;
        check(&base.labels())?;
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
        check(&base.labels())?;
        Ok(base)
    }

    /// The labels of a point with these attributes, without `__name__`.
    pub(super) fn with_attributes(&self, view: Attributes<'_>) -> Result<LabelsBuilder, ItemError> {
        let mut labels = LabelsBuilder::default();
        set_attributes(&mut labels, view)?;
        for (name, value) in &self.promoted {
            if labels.get(name).is_none() {
                labels.set(name, value);
            }
        }
        for (name, value) in &self.identity {
            labels.set(name, value);
        }
        check(&labels)?;
        Ok(labels)
    }

    fn labels(&self) -> LabelsBuilder {
        let mut labels = LabelsBuilder::default();
        for (name, value) in &self.promoted {
            labels.set(name, value);
        }
        for (name, value) in &self.identity {
            labels.set(name, value);
        }
        labels
    }

    /// The labels of `target_info`; `None` without an identity or without anything to tell.
    pub(super) fn target_info(&self) -> Option<Labels> {
        if self.identity.is_empty() || self.others.build().is_empty() {
            return None;
        }
        let mut labels = self.others.clone();
        for (name, value) in &self.identity {
            labels.set(name, value);
        }
        labels.set("__name__", "target_info");
        Some(labels.build())
    }
}

/// Sets a label for each attribute. Keys that become the same name share it, their values
/// joined by `;` in the order of the keys.
pub(super) fn set_attributes(
    labels: &mut LabelsBuilder,
    view: Attributes<'_>,
) -> Result<(), ItemError> {
    let mut pairs = Vec::new();
    attributes(view, &mut pairs)?;
    pairs.sort_by(|a, b| a.key.cmp(&b.key));
    for attribute in pairs.iter().filter(|attribute| !attribute.key.is_empty()) {
        add(labels, &label_name(&attribute.key), &text(&attribute.value));
    }
    Ok(())
}

fn add(labels: &mut LabelsBuilder, name: &str, value: &str) {
    match labels.get(name) {
        Some(existing) => {
            let joined = format!("{existing};{value}");
            labels.set(name, &joined);
        }
        None => labels.set(name, value),
    }
}

fn check(labels: &LabelsBuilder) -> Result<(), ItemError> {
    if labels.len() > LABELS_MAX {
        return Err(ItemError::Rule("too_many_labels"));
    }
    if labels.iter().any(|(_, value)| value.len() > VALUE_BYTES_MAX) {
        return Err(ItemError::Rule("label_value_too_long"));
    }
    Ok(())
}
