//! The object that records a service's metrics, as Rust.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::MADE_FROM;
use super::names::{field, pascal, stem};
use super::registry::{Attribute, Instrument, Kind, Metric, Registry};

/// The file of a service. `source` is where its registry lies. Not formatted.
pub(super) fn business(registry: &Registry, source: &str) -> Result<String, String> {
    let service = &registry.service;
    let mut out = format!(
        "{MADE_FROM}{source} by `cargo xtask codegen`; a change belongs there.\n\n\
         //! What {service} measures: a method for each metric that it declares.\n\
         #![allow(dead_code, reason = \"a test judges what is declared by what is emitted\")]\n\n"
    );
    imports(&mut out, registry);
    for attribute in registry.attributes() {
        label_enum(&mut out, attribute)?;
    }
    for metric in registry.metrics.iter().filter(|metric| !metric.attributes.is_empty()) {
        label_set(&mut out, registry, metric);
    }
    object(&mut out, registry);
    Ok(out)
}

fn imports(out: &mut String, registry: &Registry) {
    let mut names: BTreeSet<&str> = BTreeSet::from(["Registry"]);
    for metric in &registry.metrics {
        names.insert(instrument(metric));
        if metric.instrument == Instrument::ObservableGauge {
            names.insert("Observer");
        }
        if is_duration(metric) {
            out.push_str(if out.contains("Duration;") {
                ""
            } else {
                "use std::time::Duration;\n\n"
            });
        }
    }
    let names: Vec<_> = names.into_iter().collect();
    let _ = writeln!(out, "use trefoil::metric::{{{}}};\n", names.join(", "));
}

fn label_enum(out: &mut String, attribute: &Attribute) -> Result<(), String> {
    let Kind::Members { members, .. } = &attribute.kind else { return Ok(()) };
    if members.is_empty() {
        return Err(format!("{}: an enum without members", attribute.id));
    }
    let _ = writeln!(out, "trefoil::label_enum! {{\n    /// {}", attribute.brief);
    let _ = writeln!(out, "    pub(crate) enum {} {{", enum_name(attribute));
    for member in members {
        let _ = writeln!(out, "        {} = {member:?},", pascal(member));
    }
    out.push_str("    }\n}\n\n");
    Ok(())
}

fn label_set(out: &mut String, registry: &Registry, metric: &Metric) {
    let borrows = if borrows(registry, metric) { "<'a>" } else { "" };
    let _ = writeln!(out, "trefoil::labels! {{\n    /// Labels of `{}`.", metric.name);
    let _ = writeln!(out, "    pub(crate) struct {}{borrows} {{", labels_name(registry, metric));
    for id in &metric.attributes {
        let attribute = registry.attribute(metric, id);
        if attribute.is_some_and(|attribute| attribute.high_cardinality) {
            out.push_str("        #[high_cardinality]\n");
        }
        let name = field(id);
        let _ = write!(out, "        {name}: {}", type_of(attribute, "&'a str"));
        if name != *id {
            let _ = write!(out, " as {id:?}");
        }
        out.push_str(",\n");
    }
    out.push_str("    }\n}\n\n");
}

fn object(out: &mut String, registry: &Registry) {
    let service = &registry.service;
    let _ = writeln!(
        out,
        "/// The metrics of {service}.\n#[derive(Debug)]\npub(crate) struct Business {{"
    );
    for metric in &registry.metrics {
        let labels = match metric.attributes.is_empty() {
            true => "()".to_owned(),
            false if borrows(registry, metric) => {
                format!("{}<'static>", labels_name(registry, metric))
            }
            false => labels_name(registry, metric),
        };
        let _ = writeln!(out, "    {}: {}<{labels}>,", stem(metric, service), instrument(metric));
    }
    out.push_str("}\n\nimpl Business {\n    /// All of them, in a registry.\n");
    out.push_str("    pub(crate) fn new(registry: &Registry) -> Business {\n");
    out.push_str("let metric = |name: &'static str, description: &'static str| {\n");
    let _ = writeln!(out, "let scope = ({service:?}, env!(\"CARGO_PKG_VERSION\"));");
    out.push_str("registry.metric(name).description(description).scope(scope.0, scope.1)\n};\n");
    out.push_str("        Business {\n");
    for metric in &registry.metrics {
        let Metric { name, brief, unit, .. } = metric;
        let _ = write!(out, "{}: metric({name:?}, {brief:?})", stem(metric, service));
        if !unit.is_empty() {
            let _ = write!(out, ".unit({unit:?})");
        }
        let _ = writeln!(out, ".{}(),", builder(metric));
    }
    out.push_str("        }\n    }\n");
    for metric in &registry.metrics {
        method(out, registry, metric);
    }
    out.push_str("}\n");
}

/// The method by which a metric is recorded.
fn method(out: &mut String, registry: &Registry, metric: &Metric) {
    let name = stem(metric, &registry.service);
    let called = metric.method.as_ref().unwrap_or(&name);
    let mut parameters = String::from("&self");
    let (verb, value, call) = match metric.instrument {
        Instrument::Counter if metric.unit.is_empty() => ("record", "", "inc("),
        Instrument::Counter => ("record", "value: u64", "add(value, "),
        Instrument::UpDownCounter => ("add", "delta: i64", "add(delta, "),
        Instrument::Gauge => ("set", "value: f64", "set(value, "),
        Instrument::Histogram if is_duration(metric) => {
            ("record", "duration: Duration", "record_duration(duration, ")
        }
        Instrument::Histogram => ("record", "value: f64", "record(value, "),
        Instrument::ObservableGauge => return observe(out, registry, metric, &name),
    };
    if !value.is_empty() {
        parameters += &format!(", {value}");
    }
    for id in &metric.attributes {
        let kind = type_of(registry.attribute(metric, id), "&str");
        parameters += &format!(", {}: {kind}", field(id));
    }
    let _ = writeln!(out, "\n    /// {}", metric.brief);
    let _ = writeln!(out, "    pub(crate) fn {verb}_{called}({parameters}) {{");
    let _ = writeln!(out, "        self.{name}.{call}{});\n    }}", labels_value(registry, metric));
}

fn observe(out: &mut String, registry: &Registry, metric: &Metric, name: &str) {
    let labels = match metric.attributes.is_empty() {
        true => "()".to_owned(),
        false if borrows(registry, metric) => format!("{}<'static>", labels_name(registry, metric)),
        false => labels_name(registry, metric),
    };
    let _ = writeln!(out, "\n    /// {} Asked for at each collection.", metric.brief);
    let _ = writeln!(
        out,
        "    pub(crate) fn observe_{name}(&self, callback: impl Fn(&Observer<'_, {labels}, f64>) + Send + 'static) {{\n        self.{name}.observe(callback);\n    }}"
    );
}

fn labels_value(registry: &Registry, metric: &Metric) -> String {
    if metric.attributes.is_empty() {
        return "()".to_owned();
    }
    let fields: Vec<_> = metric.attributes.iter().map(|id| field(id)).collect();
    format!("{} {{ {} }}", labels_name(registry, metric), fields.join(", "))
}

fn labels_name(registry: &Registry, metric: &Metric) -> String {
    format!("{}Labels", pascal(&stem(metric, &registry.service)))
}

fn enum_name(attribute: &Attribute) -> String {
    match &attribute.kind {
        Kind::Members { name: Some(name), .. } => name.clone(),
        _ => pascal(&attribute.id),
    }
}

fn type_of(attribute: Option<&Attribute>, text: &str) -> String {
    match attribute.map(|attribute| (attribute, &attribute.kind)) {
        None | Some((_, Kind::Text)) => text.to_owned(),
        Some((_, Kind::Bool)) => "bool".to_owned(),
        Some((_, Kind::Int)) => "i64".to_owned(),
        Some((attribute, Kind::Members { .. })) => enum_name(attribute),
    }
}

/// Whether a label of the metric is borrowed text.
fn borrows(registry: &Registry, metric: &Metric) -> bool {
    let kinds = metric.attributes.iter().map(|id| type_of(registry.attribute(metric, id), "&"));
    kinds.into_iter().any(|kind| kind == "&")
}

fn is_duration(metric: &Metric) -> bool {
    metric.instrument == Instrument::Histogram && metric.unit == "s"
}

fn instrument(metric: &Metric) -> &'static str {
    match metric.instrument {
        Instrument::Counter => "Counter",
        Instrument::UpDownCounter => "UpDownCounter",
        Instrument::Gauge => "Gauge",
        Instrument::ObservableGauge => "ObservableGauge",
        Instrument::Histogram => "Histogram",
    }
}

fn builder(metric: &Metric) -> &'static str {
    match metric.instrument {
        Instrument::Counter => "counter",
        Instrument::UpDownCounter => "up_down_counter",
        Instrument::Gauge => "gauge",
        Instrument::ObservableGauge => "observable_gauge",
        Instrument::Histogram => "histogram",
    }
}
