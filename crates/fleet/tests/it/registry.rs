//! `registry/*.toml`: what the services say that they emit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    service: String,
    groups: Vec<Group>,
    /// For `cargo xtask codegen`.
    #[serde(default, rename = "attributes")]
    _attributes: Vec<toml::Table>,
}

/// A group of the semantic conventions' registry form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    id: String,
    r#type: String,
    brief: String,
    metric_name: Option<String>,
    instrument: Option<String>,
    unit: Option<String>,
    span_kind: Option<String>,
    name: Option<String>,
    #[serde(default)]
    attributes: Vec<String>,
    /// For `cargo xtask codegen`.
    #[serde(default, rename = "annotations")]
    _annotations: toml::Table,
}

/// What is emitted: metrics as `counter name unit`, spans as `span kind name`, logs as
/// `log message`; each with the attributes it may have.
pub(crate) type Emitted = BTreeMap<String, BTreeSet<String>>;

/// The service that stands for all: what the crate itself emits in each of them.
pub(crate) const ALL: &str = "*";

/// Everything declared, by service.
pub(crate) fn declared() -> BTreeMap<String, Emitted> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../registry");
    let mut services = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let document: Document =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let groups = document.groups.into_iter().map(|group| {
            assert!(!group.brief.is_empty(), "{}: say what it is", group.id);
            (key(&group), group.attributes.iter().cloned().collect())
        });
        services.insert(document.service, groups.collect());
    }
    services
}

fn key(group: &Group) -> String {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    match group.r#type.as_str() {
        "metric" => {
            let name = text(&group.metric_name);
            assert_eq!(group.id, format!("metric.{name}"));
            format!("{} {name} {}", text(&group.instrument), text(&group.unit))
        }
        "span" => format!("span {} {}", text(&group.span_kind), text(&group.name)),
        "event" => format!("log {}", text(&group.name)),
        // On everything whose key begins so.
        "attribute_group" => format!("on {}", text(&group.name)),
        other => panic!("{}: `{other}` is no type", group.id),
    }
}

/// How something that is emitted would be declared.
pub(crate) fn declaration(key: &str, attributes: &BTreeSet<String>) -> String {
    let (first, rest) = key.split_once(' ').unwrap_or((key, ""));
    let mut lines = vec!["[[groups]]".to_owned()];
    match first {
        "span" => {
            let (kind, name) = rest.split_once(' ').unwrap_or((rest, ""));
            lines.push(format!("id = \"span.{name}\"\ntype = \"span\"\nbrief = \"\""));
            lines.push(format!("span_kind = \"{kind}\"\nname = \"{name}\""));
        }
        "log" => {
            lines.push(format!("id = \"event.{}\"\ntype = \"event\"", rest.replace(' ', "_")));
            lines.push(format!("brief = \"\"\nname = \"{rest}\""));
        }
        instrument => {
            let (name, unit) = rest.split_once(' ').unwrap_or((rest, ""));
            lines.push(format!("id = \"metric.{name}\"\ntype = \"metric\"\nbrief = \"\""));
            lines.push(format!("metric_name = \"{name}\"\ninstrument = \"{instrument}\""));
            lines.push(format!("unit = \"{unit}\""));
        }
    }
    let attributes: Vec<_> = attributes.iter().map(|name| format!("\"{name}\"")).collect();
    lines.push(format!("attributes = [{}]\n", attributes.join(", ")));
    lines.join("\n")
}
