//! `registry/<service>.toml`, as far as metrics go.
//!
//! The form is that of the semantic conventions' registry: groups with an instrument, a unit
//! and attributes, and attributes with a type. An attribute's definition holds for all
//! metrics, or for those it lists under `metrics`; one without a definition is text.

use toml::{Table, Value};

/// What a service declares.
pub(super) struct Registry {
    pub(super) service: String,
    pub(super) metrics: Vec<Metric>,
    attributes: Vec<Attribute>,
}

pub(super) struct Metric {
    pub(super) name: String,
    pub(super) brief: String,
    pub(super) instrument: Instrument,
    pub(super) unit: String,
    pub(super) attributes: Vec<String>,
    /// What the method is called behind `record_`, if not after the metric.
    pub(super) method: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Instrument {
    Counter,
    UpDownCounter,
    Gauge,
    /// A gauge that is asked for when metrics are collected.
    ObservableGauge,
    Histogram,
}

pub(super) struct Attribute {
    pub(super) id: String,
    pub(super) brief: String,
    pub(super) kind: Kind,
    pub(super) high_cardinality: bool,
    /// The metrics it is defined for; all others if there are none.
    metrics: Vec<String>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bool,
    Int,
    /// One of these; the name is that of the type.
    Members {
        name: Option<String>,
        members: Vec<String>,
    },
}

impl Registry {
    pub(super) fn parse(text: &str) -> Result<Registry, String> {
        let table: Table = text.parse().map_err(|e: toml::de::Error| e.to_string())?;
        let attributes = tables(&table, "attributes")?.map(attribute);
        let groups = tables(&table, "groups")?.filter(|group| text_of(group, "type") == "metric");
        Ok(Registry {
            service: required(&table, "service")?,
            attributes: attributes.collect::<Result<_, _>>()?,
            metrics: groups
                .filter(|group| !is_recorded_by_a_layer(group))
                .map(metric)
                .collect::<Result<_, _>>()?,
        })
    }

    /// How an attribute of a metric is defined.
    pub(super) fn attribute(&self, metric: &Metric, id: &str) -> Option<&Attribute> {
        let named = || self.attributes.iter().filter(|attribute| attribute.id == id);
        let own = named().find(|attribute| attribute.metrics.contains(&metric.name));
        own.or_else(|| named().find(|attribute| attribute.metrics.is_empty()))
    }

    pub(super) fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }
}

/// The crate's own layers record these; a service does not.
fn is_recorded_by_a_layer(group: &Table) -> bool {
    let by = group.get("annotations").and_then(|annotations| annotations.get("recorded_by"));
    by.is_some_and(|by| by.as_str() == Some("layer"))
}

fn metric(group: &Table) -> Result<Metric, String> {
    let name = required(group, "metric_name")?;
    let annotation =
        |key: &str| group.get("annotations").and_then(|annotations| annotations.get(key));
    let observed = annotation("observed").and_then(Value::as_bool).unwrap_or_default();
    let instrument = match required(group, "instrument")?.as_str() {
        "counter" => Instrument::Counter,
        "updowncounter" => Instrument::UpDownCounter,
        "gauge" if observed => Instrument::ObservableGauge,
        "gauge" => Instrument::Gauge,
        "histogram" => Instrument::Histogram,
        other => return Err(format!("{name}: `{other}` is no instrument")),
    };
    Ok(Metric {
        brief: required(group, "brief")?,
        unit: text_of(group, "unit"),
        attributes: texts(group, "attributes"),
        method: annotation("method").and_then(Value::as_str).map(str::to_owned),
        instrument,
        name,
    })
}

fn attribute(table: &Table) -> Result<Attribute, String> {
    let id = required(table, "id")?;
    let kind = match text_of(table, "type").as_str() {
        "string" | "" => Kind::Text,
        "boolean" => Kind::Bool,
        "int" => Kind::Int,
        "enum" => {
            let name = table.get("name").and_then(Value::as_str).map(str::to_owned);
            Kind::Members { name, members: texts(table, "members") }
        }
        other => {
            return Err(format!("{id}: `{other}` is no type; string, boolean, int and enum are"));
        }
    };
    let high_cardinality = table.get("high_cardinality").and_then(Value::as_bool);
    Ok(Attribute {
        brief: required(table, "brief")?,
        kind,
        high_cardinality: high_cardinality.unwrap_or_default(),
        metrics: texts(table, "metrics"),
        id,
    })
}

fn tables<'t>(table: &'t Table, key: &str) -> Result<impl Iterator<Item = &'t Table>, String> {
    let array = match table.get(key) {
        None => &[],
        Some(Value::Array(array)) => array.as_slice(),
        Some(_) => return Err(format!("`{key}` is not written as [[{key}]]")),
    };
    Ok(array.iter().filter_map(Value::as_table))
}

fn required(table: &Table, key: &str) -> Result<String, String> {
    let text = text_of(table, key);
    let id = text_of(table, "id");
    if text.is_empty() { Err(format!("{id}: `{key}` is missing")) } else { Ok(text) }
}

fn text_of(table: &Table, key: &str) -> String {
    table.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn texts(table: &Table, key: &str) -> Vec<String> {
    let array = table.get(key).and_then(Value::as_array);
    array.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
