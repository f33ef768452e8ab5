//! The settings for people: each value and where it came from.

use std::fmt;
use std::time::Duration;

use super::draft::{Draft, SignalDraft};
use super::source::{Given, Layer, Source};
use super::{Console, ExporterSettings, OtlpProtocol, PropagatorName, SamplerSettings, Settings};
use crate::log::LogBody;
use crate::value::Value;

/// The settings in force, each with its source. Secrets are left out.
///
/// Displayed as a line each: `name = value  (source)`.
#[derive(Clone, Debug)]
pub struct Config {
    entries: Vec<Entry>,
}

/// One setting.
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    value: String,
    source: Source,
}

impl Config {
    pub(super) fn new(draft: &Draft, settings: &Settings) -> Config {
        let mut config = Config { entries: Vec::new() };
        config.general(draft);
        config.traces(draft, settings);
        config.metrics(draft, settings);
        config.logs(draft, settings);
        config
    }

    /// A setting's value as it is displayed, e.g. of `traces.sampler`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| entry.value.as_str())
    }

    /// Where a setting's value came from: a variable, a file, `the program`, `default`…
    #[must_use]
    pub fn source(&self, name: &str) -> Option<String> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        Some(entry.source.to_string())
    }

    /// Name, value and source of each setting.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, String)> {
        self.entries.iter().map(|e| (e.name.as_str(), e.value.as_str(), e.source.to_string()))
    }

    /// Adds what was found out after the layers were laid.
    pub(super) fn detected(&mut self, name: &str, value: String) {
        let last = self.entries.iter().rposition(|entry| entry.name.starts_with("resource."));
        let at = last.map_or(0, |last| last + 1);
        let source = Source::of(Layer::Detected);
        self.entries.insert(at, Entry { name: name.to_owned(), value, source });
    }

    fn general(&mut self, draft: &Draft) {
        self.given("enabled", &draft.enabled, bool::to_string);
        for (key, value) in &draft.resource {
            self.given(&format!("resource.{key}"), value, text);
        }
        self.given("propagators", &draft.propagators, |names| {
            join(names.iter().map(|name| propagator(*name)))
        });
        self.given("baggage_attributes", &draft.baggage_attributes, |keys| join(keys.iter()));
        self.given("shutdown_timeout", &draft.shutdown_timeout, duration);
        self.given("spool", &draft.spool, |spool| match spool {
            Some(spool) => format!("{}, {} bytes", spool.folder.display(), spool.bytes_max),
            None => "off".to_owned(),
        });
        self.given("status_line", &draft.status_line, bool::to_string);
        self.given("panic_hook", &draft.panic_hook, bool::to_string);
        self.given("flush_on_signals", &draft.flush_on_signals, bool::to_string);
    }

    fn traces(&mut self, draft: &Draft, settings: &Settings) {
        self.signal("traces", &draft.traces, &settings.traces.exporters);
        self.given("traces.sampler", &draft.sampler, sampler);
        self.given("traces.keep.errors", &draft.keep.errors, bool::to_string);
        self.given("traces.keep.slow", &draft.keep.slow, |slow| {
            slow.as_ref().map_or_else(|| "off".to_owned(), duration)
        });
        self.given("traces.keep.slow_by_route", &draft.keep.slow_by_route, |routes| {
            join(routes.iter().map(|(route, slow)| format!("{route} {}", duration(slow))))
        });
        self.given("traces.keep.pending_bytes", &draft.keep.pending_bytes_max, usize::to_string);
        self.given("traces.keep.open_spans", &draft.keep.open_spans_max, usize::to_string);
        self.batch("traces", &draft.traces);
        let limits = &draft.limits;
        let own = settings.traces.limits.clone();
        let attributes = or(&limits.span_attributes, &limits.attributes.source);
        self.entry("traces.limits.attributes", own.attributes.to_string(), attributes);
        let value_bytes = or(&limits.span_value_bytes, &limits.value_bytes.source);
        self.entry("traces.limits.value_bytes", unlimited(own.value_bytes), value_bytes);
        self.given("traces.limits.events", &limits.events, u32::to_string);
        self.given("traces.limits.links", &limits.links, u32::to_string);
        let per_event = &limits.attributes_per_event;
        self.given("traces.limits.attributes_per_event", per_event, u32::to_string);
        let per_link = &limits.attributes_per_link;
        self.given("traces.limits.attributes_per_link", per_link, u32::to_string);
        self.given("traces.level", &draft.span_levels, String::clone);
        self.given("traces.span_events", &draft.span_events, bool::to_string);
        self.given("traces.code_location", &draft.code_location, bool::to_string);
    }

    fn metrics(&mut self, draft: &Draft, settings: &Settings) {
        self.signal("metrics", &draft.metrics, &settings.metrics.exporters);
        self.given("metrics.interval", &draft.interval, duration);
        let timeout = &draft.metrics.batch.export_timeout;
        self.given("metrics.export_timeout", timeout, duration);
        self.given("metrics.temporality", &draft.delta, |delta| {
            if *delta { "delta" } else { "cumulative" }.to_owned()
        });
        let prometheus = &draft.prometheus;
        let (value, source) = match settings.metrics.prometheus {
            Some(address) => {
                let strongest = [&prometheus.port.source, &prometheus.host.source]
                    .into_iter()
                    .fold(&prometheus.enabled.source, |a, b| if b.layer > a.layer { b } else { a });
                (format!("http://{address}/metrics"), strongest)
            }
            None => ("off".to_owned(), &prometheus.enabled.source),
        };
        self.entry("metrics.prometheus", value, source);
        self.given("metrics.cardinality_limit", &draft.cardinality_limit, usize::to_string);
        self.given("metrics.high_cardinality", &draft.high_cardinality, bool::to_string);
        self.given("metrics.exemplars", &draft.exemplars, bool::to_string);
        self.given("metrics.histograms", &draft.exponential_histograms, |exponential| {
            if *exponential { "exponential" } else { "explicit buckets" }.to_owned()
        });
        self.given("metrics.runtime", &draft.runtime, bool::to_string);
    }

    fn logs(&mut self, draft: &Draft, settings: &Settings) {
        self.signal("logs", &draft.logs, &settings.logs.exporters);
        self.given("logs.console", &draft.console, |console| {
            match console {
                Console::Off => "off",
                Console::Pretty => "pretty",
                Console::Json => "json",
            }
            .to_owned()
        });
        self.given("logs.level", &draft.levels, String::clone);
        for (subsystem, level) in &draft.subsystem_levels {
            self.given(&format!("logs.level.{subsystem}"), level, String::clone);
        }
        self.batch("logs", &draft.logs);
        let limits = &draft.limits;
        let own = settings.logs.limits.clone();
        let attributes = or(&limits.log_attributes, &limits.attributes.source);
        self.entry("logs.limits.attributes", own.attributes.to_string(), attributes);
        let value_bytes = or(&limits.log_value_bytes, &limits.value_bytes.source);
        self.entry("logs.limits.value_bytes", unlimited(own.value_bytes), value_bytes);
        self.given("logs.span_fields", &draft.span_fields, |fields| join(fields.iter()));
        self.given("logs.repeat_limit", &draft.repeat_limit, |limit| match limit {
            Some(limit) => format!("{limit}/s"),
            None => "off".to_owned(),
        });
        self.given("logs.follow_sampling", &draft.follow_sampling, bool::to_string);
        self.given("logs.body", &draft.log_body, |body| match body {
            LogBody::Message => "message".to_owned(),
            LogBody::Logfmt => "logfmt".to_owned(),
            LogBody::Json => "json".to_owned(),
        });
    }

    fn signal(&mut self, name: &str, draft: &SignalDraft, exporters: &[ExporterSettings]) {
        let names = join(exporters.iter().map(exporter));
        let names = if names.is_empty() { "none".to_owned() } else { names };
        self.entry(&format!("{name}.exporter"), names, &draft.exporters.source);
        if let Some(proxy) = exporters.iter().find_map(ExporterSettings::proxy) {
            let value = format!("http://{}", proxy.authority());
            self.entry(
                &format!("{name}.proxy"),
                value,
                &Source::named(Layer::Standard, proxy.named_by),
            );
        }
        let Some(otlp) = exporters.iter().find_map(|exporter| match exporter {
            ExporterSettings::Otlp(otlp) => Some(otlp),
            _ => None,
        }) else {
            return;
        };
        let given = &draft.otlp;
        // An exporter that a file built has no other source than the file.
        let of = |source: &Source| source.clone().max(&draft.exporters.source);
        self.entry(
            &format!("{name}.endpoint"),
            without_secrets(&otlp.endpoint),
            &of(&given.endpoint.source),
        );
        let protocol = match otlp.protocol {
            OtlpProtocol::Grpc => "grpc",
            OtlpProtocol::HttpProtobuf => "http/protobuf",
            OtlpProtocol::HttpJson => "http/json",
        };
        let source = if given.protocol.value.is_some() {
            &given.protocol.source
        } else {
            &given.endpoint.source
        };
        self.entry(&format!("{name}.protocol"), protocol.to_owned(), &of(source));
        let headers = join(otlp.headers.iter().map(|(key, _)| format!("{key}=(hidden)")));
        self.entry(&format!("{name}.headers"), headers, &of(&given.headers.source));
        let compression = if otlp.gzip { "gzip" } else { "none" }.to_owned();
        self.entry(&format!("{name}.compression"), compression, &of(&given.gzip.source));
        self.entry(&format!("{name}.timeout"), duration(&otlp.timeout), &of(&given.timeout.source));
        for (what, path, source) in [
            ("ca", &otlp.tls.ca, &given.ca.source),
            ("client_certificate", &otlp.tls.client_certificate, &given.client_certificate.source),
            ("client_key", &otlp.tls.client_key, &given.client_key.source),
        ] {
            if let Some(path) = path {
                self.entry(&format!("{name}.tls.{what}"), path.display().to_string(), &of(source));
            }
        }
    }

    fn batch(&mut self, name: &str, draft: &SignalDraft) {
        let batch = &draft.batch;
        let items = usize::to_string;
        self.given(&format!("{name}.batch.items"), &batch.batch_items_max, items);
        self.given(&format!("{name}.batch.delay"), &batch.delay, duration);
        self.given(&format!("{name}.batch.export_timeout"), &batch.export_timeout, duration);
        self.given(&format!("{name}.queue.items"), &batch.queue_items_max, items);
        self.given(&format!("{name}.queue.bytes"), &batch.queue_bytes_max, items);
    }

    fn given<T>(&mut self, name: &str, given: &Given<T>, show: impl FnOnce(&T) -> String) {
        self.entry(name, show(&given.value), &given.source);
    }

    fn entry(&mut self, name: &str, value: String, source: &Source) {
        self.entries.push(Entry { name: name.to_owned(), value, source: source.clone() });
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name_width = self.entries.iter().map(|e| e.name.len()).max().unwrap_or_default();
        for Entry { name, value, source } in &self.entries {
            let value = if value.is_empty() { "(none)" } else { value };
            writeln!(f, "{name:name_width$} = {value}  ({source})")?;
        }
        Ok(())
    }
}

impl Source {
    /// The stronger of two.
    fn max(self, other: &Source) -> Source {
        if other.layer > self.layer { other.clone() } else { self }
    }
}

/// The source of a special limit, or of the general one where it is not set.
fn or<'a, T>(special: &'a Given<Option<T>>, general: &'a Source) -> &'a Source {
    if special.value.is_some() { &special.source } else { general }
}

fn exporter(exporter: &ExporterSettings) -> String {
    match exporter {
        ExporterSettings::Otlp(_) => "otlp".to_owned(),
        ExporterSettings::JaegerCollector { endpoint, .. } => {
            format!("jaeger {}", without_secrets(endpoint))
        }
        ExporterSettings::JaegerAgent { address } => format!("jaeger udp://{address}"),
        ExporterSettings::Stdout { json: false } => "stdout".to_owned(),
        ExporterSettings::Stdout { json: true } => "stdout as json".to_owned(),
        ExporterSettings::Memory(_) => "memory".to_owned(),
    }
}

/// A URL without the user and the password in it.
pub(crate) fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://(hidden)@{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

fn sampler(sampler: &SamplerSettings) -> String {
    match sampler {
        SamplerSettings::AlwaysOn => "always".to_owned(),
        SamplerSettings::AlwaysOff => "never".to_owned(),
        SamplerSettings::Ratio(share) => format!("ratio {share}"),
        SamplerSettings::RateLimited(rate) => format!("{rate} per second"),
        SamplerSettings::PerOperation { rules, otherwise } => {
            format!("{} rules, otherwise {}", rules.len(), self::sampler(otherwise))
        }
        SamplerSettings::ParentBased { root } => format!("parent, else {}", self::sampler(root)),
        SamplerSettings::JaegerRemote { endpoint, interval, initial } => format!(
            "asked at {} every {}, at first {}",
            without_secrets(endpoint),
            duration(interval),
            self::sampler(initial)
        ),
    }
}

fn propagator(name: PropagatorName) -> &'static str {
    match name {
        PropagatorName::TraceContext => "tracecontext",
        PropagatorName::Baggage => "baggage",
        PropagatorName::Jaeger => "jaeger",
        PropagatorName::B3 => "b3",
        PropagatorName::B3Multi => "b3multi",
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Str(value) => value.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        Value::Array(values) => join(values.iter().map(text)),
    }
}

fn duration(value: &Duration) -> String {
    if *value == Duration::MAX { "no limit".to_owned() } else { format!("{value:?}") }
}

fn unlimited(value: Option<usize>) -> String {
    value.map_or_else(|| "no limit".to_owned(), |value| value.to_string())
}

fn join<T: fmt::Display>(values: impl Iterator<Item = T>) -> String {
    values.map(|value| value.to_string()).collect::<Vec<_>>().join(",")
}
