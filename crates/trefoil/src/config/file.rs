//! OpenTelemetry's declarative configuration: a file of YAML, or of JSON, which is YAML.
//!
//! Names are those of the schema "1.0" of opentelemetry-configuration. A provider that the
//! file leaves out exports nothing, as the schema has it. What the schema knows and this
//! crate does not is told with its line; the rest of the file counts.

mod exporter;
mod sampler;
mod tree;

use std::fs::File;
use std::io::Read as _;

use super::draft::{Choice, Draft, SignalDraft};
use super::environment::Environment;
use super::source::{Layer, Source};
use super::{parse, standard};
use crate::account::Signal;
use crate::value::Value;
use tree::Node;

/// A file of settings is read whole; a larger one is another kind of file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Lays the file over the draft.
///
/// # Errors
/// It cannot be read, is no YAML, or is no file of configuration. Nothing was changed then.
pub(super) fn apply(
    draft: &mut Draft,
    environment: &mut Environment<'_>,
    path: &str,
) -> Result<(), String> {
    let text = read(path)?;
    let root = tree::parse(&text, &|name| environment.get(name).map(str::to_owned))?;
    if !root.is_mapping() {
        return Err("it holds no settings".to_owned());
    }
    let format = root.text("file_format").ok_or("it has no file_format")?;
    let mut reading = Reading { source: Source::named(Layer::File, path), problems: Vec::new() };
    if !(format.starts_with("1.") || format.starts_with("0.")) {
        let problem = format!("file_format {format} is not known; it is read as 1.0");
        reading.problem(&root, &problem);
    }
    reading.root(draft, &root);
    for problem in reading.problems {
        environment.note(format!("{path}{problem}"));
    }
    Ok(())
}

fn read(path: &str) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    let bytes = read.map_err(|error| error.to_string())?;
    if bytes as u64 > FILE_BYTES_MAX {
        return Err("it is larger than 1 MiB".to_owned());
    }
    Ok(text)
}

/// The file's name for sources, and what was wrong in it.
struct Reading {
    source: Source,
    /// After the file's name: `:12: …`.
    problems: Vec<String>,
}

impl Reading {
    fn root(&mut self, draft: &mut Draft, root: &Node) {
        self.known(
            root,
            &[
                "file_format",
                "disabled",
                "log_level",
                "resource",
                "attribute_limits",
                "propagator",
                "tracer_provider",
                "meter_provider",
                "logger_provider",
                // Not of this crate: each instrumentation is a layer that the program adds.
                "instrumentation/development",
            ],
        );
        if let Some(disabled) = self.parsed(root, "disabled", parse::bool) {
            draft.enabled.set(!disabled, &self.source);
        }
        if let Some(level) = self.parsed(root, "log_level", parse::level) {
            draft.status_line.set(level != "off", &self.source);
        }
        self.resource(draft, root.get("resource"));
        self.limits(draft, root.get("attribute_limits"));
        self.propagators(draft, root.get("propagator"));
        self.traces(draft, root.get("tracer_provider"));
        self.metrics(draft, root.get("meter_provider"));
        self.logs(draft, root.get("logger_provider"));
    }

    fn resource(&mut self, draft: &mut Draft, node: Option<&Node>) {
        let Some(node) = node else { return };
        self.known(node, &["attributes", "attributes_list", "schema_url", "detection/development"]);
        let list = self.parsed(node, "attributes_list", parse::pairs).unwrap_or_default();
        for (key, value) in list {
            draft.attribute(&key, value, &self.source);
        }
        for attribute in node.items("attributes") {
            let Some(name) = attribute.text("name") else {
                self.problem(attribute, "an attribute has no name");
                continue;
            };
            match attribute.get("value").and_then(|value| typed(value, attribute.text("type"))) {
                Some(value) => draft.attribute(name, value, &self.source),
                None => self.problem(attribute, &format!("attribute {name} has no such value")),
            }
        }
    }

    fn limits(&mut self, draft: &mut Draft, node: Option<&Node>) {
        let Some(node) = node else { return };
        if let Some(limit) = self.parsed(node, "attribute_count_limit", parse::whole) {
            draft.limits.attributes.set(limit, &self.source);
        }
        if let Some(limit) = self.parsed(node, "attribute_value_length_limit", parse::whole) {
            draft.limits.value_bytes.set(Some(limit), &self.source);
        }
    }

    fn propagators(&mut self, draft: &mut Draft, node: Option<&Node>) {
        // "If omitted, a noop propagator is used."
        let mut propagators = Vec::new();
        if let Some(node) = node {
            self.known(node, &["composite", "composite_list"]);
            for name in node.items("composite").flat_map(Node::keys) {
                match standard::propagators(name) {
                    Ok(named) => propagators.extend(named),
                    Err(problem) => self.problem(node, &problem),
                }
            }
            let list = self.parsed(node, "composite_list", standard::propagators);
            for propagator in list.unwrap_or_default() {
                if !propagators.contains(&propagator) {
                    propagators.push(propagator);
                }
            }
        }
        draft.propagators.set(propagators, &self.source);
    }

    fn traces(&mut self, draft: &mut Draft, node: Option<&Node>) {
        draft.traces.exporters.set(Vec::new(), &self.source);
        let Some(node) = node else { return };
        self.known(node, &["processors", "limits", "sampler", "tracer_configurator/development"]);
        self.processors(&mut draft.traces, Signal::Traces, node);
        if let Some(sampler) = node.get("sampler").and_then(|node| self.sampler(node)) {
            draft.sampler.set(sampler, &self.source);
        }
        let Some(node) = node.get("limits") else { return };
        let limits = &mut draft.limits;
        if let Some(limit) = self.parsed(node, "attribute_count_limit", parse::whole) {
            limits.span_attributes.set(Some(limit), &self.source);
        }
        if let Some(limit) = self.parsed(node, "attribute_value_length_limit", parse::whole) {
            limits.span_value_bytes.set(Some(limit), &self.source);
        }
        for (name, given) in [
            ("event_count_limit", &mut limits.events),
            ("link_count_limit", &mut limits.links),
            ("event_attribute_count_limit", &mut limits.attributes_per_event),
            ("link_attribute_count_limit", &mut limits.attributes_per_link),
        ] {
            if let Some(limit) = self.parsed(node, name, parse::whole) {
                given.set(limit, &self.source);
            }
        }
    }

    fn logs(&mut self, draft: &mut Draft, node: Option<&Node>) {
        draft.logs.exporters.set(Vec::new(), &self.source);
        let Some(node) = node else { return };
        self.known(node, &["processors", "limits", "logger_configurator/development"]);
        self.processors(&mut draft.logs, Signal::Logs, node);
        let Some(node) = node.get("limits") else { return };
        if let Some(limit) = self.parsed(node, "attribute_count_limit", parse::whole) {
            draft.limits.log_attributes.set(Some(limit), &self.source);
        }
        if let Some(limit) = self.parsed(node, "attribute_value_length_limit", parse::whole) {
            draft.limits.log_value_bytes.set(Some(limit), &self.source);
        }
    }

    fn metrics(&mut self, draft: &mut Draft, node: Option<&Node>) {
        draft.metrics.exporters.set(Vec::new(), &self.source);
        let Some(node) = node else { return };
        self.known(
            node,
            &["readers", "exemplar_filter", "views", "meter_configurator/development"],
        );
        if let Some(views) = node.get("views") {
            self.problem(views, "views are not supported; declare buckets and labels in the code");
        }
        if let Some(on) = self.parsed(node, "exemplar_filter", standard::exemplar_filter) {
            draft.exemplars.set(on, &self.source);
        }
        for reader in node.items("readers") {
            self.known(reader, &["periodic", "pull"]);
            if let Some(pull) = reader.get("pull") {
                self.pull(draft, pull);
            }
            if let Some(periodic) = reader.get("periodic") {
                self.periodic(draft, periodic);
            }
        }
    }

    fn periodic(&mut self, draft: &mut Draft, node: &Node) {
        self.known(node, &["interval", "timeout", "exporter", "cardinality_limits", "producers"]);
        if let Some(interval) = self.parsed(node, "interval", parse::interval_millis) {
            draft.interval.set(interval, &self.source);
        }
        if let Some(timeout) = self.parsed(node, "timeout", parse::timeout_millis) {
            draft.metrics.batch.export_timeout.set(timeout, &self.source);
        }
        self.cardinality(draft, node);
        let Some(exporter) = node.get("exporter") else {
            return self.problem(node, "a reader has no exporter");
        };
        for kind in ["otlp_http", "otlp_grpc", "console", "otlp_file/development"] {
            let Some(node) = exporter.get(kind) else { continue };
            let delta = self.parsed(node, "temporality_preference", standard::is_delta);
            if let Some(delta) = delta {
                draft.delta.set(delta, &self.source);
            }
            let name = "default_histogram_aggregation";
            if let Some(exponential) = self.parsed(node, name, standard::is_exponential) {
                draft.exponential_histograms.set(exponential, &self.source);
            }
        }
        if let Some(choice) = self.exporter(Signal::Metrics, exporter) {
            draft.metrics.choose(choice, &self.source);
        }
    }

    fn pull(&mut self, draft: &mut Draft, node: &Node) {
        self.known(node, &["exporter", "cardinality_limits", "producers"]);
        self.cardinality(draft, node);
        let exporter = node.get("exporter");
        let prometheus = exporter
            .and_then(|node| node.get("prometheus/development").or_else(|| node.get("prometheus")));
        let Some(prometheus) = prometheus else {
            return self.problem(node, "of exporters that are pulled there is prometheus alone");
        };
        draft.prometheus.enabled.set(true, &self.source);
        if let Some(host) = self.parsed(prometheus, "host", parse::host) {
            draft.prometheus.host.set(host, &self.source);
        }
        if let Some(port) = self.parsed(prometheus, "port", parse::port) {
            draft.prometheus.port.set(port, &self.source);
        }
    }

    fn cardinality(&mut self, draft: &mut Draft, node: &Node) {
        let Some(limits) = node.get("cardinality_limits") else { return };
        if let Some(limit) = self.parsed(limits, "default", parse::positive) {
            draft.cardinality_limit.set(limit, &self.source);
        }
        if limits.keys().any(|key| key != "default") {
            self.problem(limits, "all kinds of instruments have the limit of default");
        }
    }

    fn processors(&mut self, draft: &mut SignalDraft, signal: Signal, node: &Node) {
        let mut batches = 0;
        for processor in node.items("processors") {
            self.known(processor, &["batch", "simple"]);
            let batch = processor.get("batch");
            if let Some(batch) = batch {
                batches += 1;
                if batches == 1 {
                    self.batch(draft, batch);
                } else if batch.keys().any(|key| key != "exporter") {
                    self.problem(batch, "a signal has one queue; the first processor's counts");
                }
            }
            let exporter =
                batch.or_else(|| processor.get("simple")).and_then(|n| n.get("exporter"));
            let Some(exporter) = exporter else {
                self.problem(processor, "a processor has no exporter");
                continue;
            };
            if let Some(choice) = self.exporter(signal, exporter) {
                draft.choose(choice, &self.source);
            }
        }
    }

    fn batch(&mut self, draft: &mut SignalDraft, node: &Node) {
        self.known(
            node,
            &[
                "schedule_delay",
                "export_timeout",
                "max_queue_size",
                "max_export_batch_size",
                "exporter",
            ],
        );
        if let Some(delay) = self.parsed(node, "schedule_delay", parse::millis) {
            draft.batch.delay.set(delay, &self.source);
        }
        if let Some(timeout) = self.parsed(node, "export_timeout", parse::timeout_millis) {
            draft.batch.export_timeout.set(timeout, &self.source);
        }
        if let Some(items) = self.parsed(node, "max_queue_size", parse::positive) {
            draft.batch.queue_items_max.set(items, &self.source);
        }
        if let Some(items) = self.parsed(node, "max_export_batch_size", parse::positive) {
            draft.batch.batch_items_max.set(items, &self.source);
        }
    }

    /// The value of a key, or `None` if it is not there, null or meaningless.
    fn parsed<T>(
        &mut self,
        node: &Node,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let child = node.get(key)?;
        let Some(text) = child.as_text() else {
            if !child.is_null() {
                self.problem(child, &format!("{key}: expected one value"));
            }
            return None;
        };
        match parse(text) {
            Ok(value) => Some(value),
            Err(problem) => {
                // Lists of headers carry keys.
                let shown = if key.contains("headers") { "" } else { text };
                self.problem(child, &format!("{key}: {shown}: {problem}"));
                None
            }
        }
    }

    /// Tells keys that mean nothing here.
    fn known(&mut self, node: &Node, keys: &[&str]) {
        for key in node.keys().filter(|key| !keys.contains(key)) {
            let at = node.get(key).unwrap_or(node);
            self.problem(at, &format!("{key} is not known; known here are {}", keys.join(", ")));
        }
    }

    fn problem(&mut self, node: &Node, problem: &str) {
        self.problems.push(format!(":{}: {problem}", node.line()));
    }
}

/// A value of the type that the file names; text unless it names one.
fn typed(node: &Node, kind: Option<&str>) -> Option<Value> {
    let kind = kind.unwrap_or("string");
    if let Some(kind) = kind.strip_suffix("_array") {
        let values = node.all().map(|item| typed(item, Some(kind)));
        return Some(Value::Array(values.collect::<Option<_>>()?));
    }
    let text = node.as_text()?;
    Some(match kind {
        "string" => Value::from(text.to_owned()),
        "bool" => Value::Bool(text.parse().ok()?),
        "int" => Value::Int(text.parse().ok()?),
        "double" => Value::Double(text.parse().ok()?),
        _ => return None,
    })
}
