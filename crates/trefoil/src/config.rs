//! What the crate does, worked out once from the builder, the environment and a file.
//!
//! Layers are laid over each other from the weakest to the strongest: defaults, what was
//! detected, the program's defaults, the file or the standard variables, the documents'
//! names, the application's prefix, the builder. A value that means nothing is told and
//! changes nothing.

mod document;
mod draft;
mod endpoint;
mod environment;
#[cfg(feature = "config-file")]
mod file;
mod finish;
mod parse;
mod prefix;
mod proxy;
mod sampler;
mod settings;
mod source;
mod standard;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use draft::{Choice, Draft};
pub(crate) use endpoint::Endpoint;
pub(crate) use proxy::Proxy;
pub(crate) use settings::{
    BatchSettings, ExporterSettings, KeepSettings, LogLimits, LogSettings, MetricSettings,
    OperationRule, OtlpSettings, SamplerSettings, Settings, SpanLimits, SpoolSettings, TlsSettings,
    Told, TraceSettings,
};
pub use settings::{Console, ConsoleStream, OtlpProtocol, PropagatorName};
pub(crate) use source::Source;
pub use view::Config;
pub(crate) use view::without_secrets;

pub(crate) use document::{directives, log_level};
use environment::Environment;
pub(crate) use sampler::{ratio, under_parent};
use source::Layer;
pub(crate) use standard::jaeger_url;

use crate::resource::Instance;
use crate::value::Value;

/// The variable that names a file of declarative configuration, and its former name.
const CONFIG_FILE: [&str; 2] = ["OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"];

/// A setting that the program makes, and the name of the builder's method.
pub(crate) struct Change {
    pub(crate) method: &'static str,
    pub(crate) apply: Box<Apply>,
}

/// Lays one value over the draft, or says what is wrong with it.
type Apply = dyn Fn(&mut Draft, &Source) -> Result<(), String> + Send + Sync;

/// All that the settings are made of.
pub(crate) struct Inputs<'a> {
    /// Name of the service unless the operator has another.
    pub(crate) service_name: &'a str,
    /// Attributes of the resource found out about the machine and the process.
    pub(crate) detected: Vec<(String, Value)>,
    /// The program's defaults, below the operator's word.
    pub(crate) defaults: &'a [Change],
    /// The program's last word.
    pub(crate) changes: &'a [Change],
    pub(crate) prefix: Option<&'a str>,
    pub(crate) variables: &'a BTreeMap<String, String>,
}

/// The settings, how they came about, and what was wrong.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) settings: Settings,
    pub(crate) config: Config,
    /// A line each.
    pub(crate) warnings: Vec<String>,
}

impl Resolved {
    /// Takes an id for this instance, unless somebody has given one or nothing starts.
    pub(crate) fn claim_instance(&mut self) -> Option<Instance> {
        const KEY: &str = "service.instance.id";
        let text = |key: &str| {
            self.settings.resource.iter().find_map(|(known, value)| match value {
                Value::Str(value) if known == key => Some(value.to_string()),
                _ => None,
            })
        };
        if !self.settings.enabled || text(KEY).is_some() {
            return None;
        }
        let host = text("host.name").unwrap_or_default();
        let instance = Instance::claim(&text("service.name").unwrap_or_default(), &host);
        self.settings.resource.push((KEY.to_owned(), instance.id.clone().into()));
        self.config.detected(&format!("resource.{KEY}"), instance.id.clone());
        Some(instance)
    }
}

/// Lays the layers over each other.
pub(crate) fn resolve(inputs: Inputs<'_>) -> Resolved {
    let mut warnings = BTreeSet::new();
    let mut draft = Draft::new();
    let detected = Source::of(Layer::Detected);
    for (key, value) in inputs.detected {
        draft.attribute(&key, value, &detected);
    }
    let program = Source::of(Layer::Program);
    draft.attribute("service.name", inputs.service_name.to_owned(), &program);
    apply_changes(&mut draft, inputs.defaults, &program, &mut warnings);

    let mut environment = Environment::new(inputs.variables, &mut warnings);
    if !from_file(&mut draft, &mut environment) {
        standard::apply(&mut draft, &mut environment);
    }
    document::apply(&mut draft, &mut environment);
    if let Some(prefix) = inputs.prefix {
        prefix::apply(&mut draft, &mut environment, prefix);
    }
    apply_changes(&mut draft, inputs.changes, &Source::of(Layer::Builder), &mut warnings);

    let mut settings = finish::settings(&mut draft, &mut warnings);
    proxy::apply(&mut settings, inputs.variables, &mut warnings);
    let config = Config::new(&draft, &settings);
    Resolved { settings, config, warnings: warnings.into_iter().collect() }
}

fn apply_changes(
    draft: &mut Draft,
    changes: &[Change],
    source: &Source,
    warnings: &mut BTreeSet<String>,
) {
    for change in changes {
        if let Err(problem) = (change.apply)(draft, source) {
            warnings.insert(format!("Builder::{}: {problem}", change.method));
        }
    }
}

/// Lays a file's settings over the draft, if there is one that can be read. By the
/// specification it then stands in place of the standard variables, all of them.
#[cfg(feature = "config-file")]
fn from_file(draft: &mut Draft, environment: &mut Environment<'_>) -> bool {
    let named = CONFIG_FILE.iter().find_map(|name| Some((*name, environment.get(name)?)));
    let Some((variable, path)) = named else { return false };
    if let Err(problem) = file::apply(draft, environment, path) {
        let problem = format!("{problem}; the file is ignored and the other variables count");
        environment.warn(variable, path, &problem);
        return false;
    }
    let ignored = environment.beginning_with("OTEL_");
    let names = ignored.iter().map(|(name, _)| format!("OTEL_{name}"));
    let names = names.filter(|name| standard::is_standard(name)).collect::<Vec<_>>();
    if !names.is_empty() {
        let names = names.join(", ");
        environment.note(format!("{variable} is set, so these are ignored: {names}"));
    }
    true
}

#[cfg(not(feature = "config-file"))]
fn from_file(_draft: &mut Draft, environment: &mut Environment<'_>) -> bool {
    for variable in CONFIG_FILE {
        if let Some(path) = environment.get(variable) {
            let problem = "needs the feature config-file of trefoil; the other variables count";
            environment.warn(variable, path, problem);
        }
    }
    false
}
