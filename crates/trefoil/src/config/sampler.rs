//! Samplers as variables name them.

use std::time::Duration;

use super::draft::Draft;
use super::environment::Environment;
use super::source::{Layer, Source};
use super::{SamplerSettings, parse};

/// Where Jaeger's agent hands out strategies.
const JAEGER_SAMPLING: &str = "http://localhost:5778/sampling";
/// How often strategies are asked for, as Jaeger's clients do.
const JAEGER_POLL: Duration = Duration::from_secs(60);

/// `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
pub(super) fn standard(draft: &mut Draft, environment: &mut Environment<'_>) {
    const NAME: &str = "OTEL_TRACES_SAMPLER";
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let argument = environment.get(ARGUMENT);
    let Some(name) = environment.get(NAME) else {
        if let Some(argument) = argument {
            environment.warn(ARGUMENT, argument, "counts only with OTEL_TRACES_SAMPLER");
        }
        return;
    };
    let source = Source::named(Layer::Standard, NAME);
    match by_name(name, argument) {
        Ok((sampler, warning)) => {
            draft.sampler.set(sampler, &source);
            if let (Some(warning), Some(argument)) = (warning, argument) {
                environment.warn(ARGUMENT, argument, &warning);
            }
        }
        Err(problem) => environment.warn(NAME, name, &problem),
    }
}

/// The sampler, and what is wrong with the argument, without which it does.
fn by_name(
    name: &str,
    argument: Option<&str>,
) -> Result<(SamplerSettings, Option<String>), String> {
    let name = name.to_ascii_lowercase();
    let (parent_based, base) = match name.strip_prefix("parentbased_") {
        Some(base) => (true, base),
        None => (false, name.as_str()),
    };
    let mut warning = None;
    let sampler = match base {
        "always_on" => SamplerSettings::AlwaysOn,
        "always_off" => SamplerSettings::AlwaysOff,
        "traceidratio" => ratio(match argument.map(parse::ratio) {
            Some(Ok(share)) => share,
            Some(Err(problem)) => {
                warning = Some(format!("{problem}; all traces are sampled"));
                1.0
            }
            None => 1.0,
        }),
        "jaeger_remote" => {
            let (sampler, problem) = jaeger_remote(argument.unwrap_or_default());
            warning = problem;
            sampler
        }
        _ => {
            return Err("there is no such sampler; known are always_on, always_off, \
                        traceidratio, jaeger_remote and each with parentbased_ before it"
                .to_owned());
        }
    };
    Ok((if parent_based { under_parent(sampler) } else { sampler }, warning))
}

/// `endpoint=http://localhost:14250,pollingIntervalMs=5000,initialSamplingRate=0.25`
fn jaeger_remote(argument: &str) -> (SamplerSettings, Option<String>) {
    let mut endpoint = JAEGER_SAMPLING.to_owned();
    let mut interval = JAEGER_POLL;
    let mut initial = 0.001;
    let mut problems = Vec::new();
    for part in argument.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let set = match part.split_once('=') {
            Some(("endpoint", value)) => {
                value.clone_into(&mut endpoint);
                Ok(())
            }
            Some(("pollingIntervalMs" | "pollingInterval", value)) => {
                parse::interval_millis(value).map(|value| interval = value)
            }
            Some(("initialSamplingRate", value)) => parse::ratio(value).map(|v| initial = v),
            _ => Err("is not known".to_owned()),
        };
        if let Err(problem) = set {
            problems.push(format!("{part}: {problem}"));
        }
    }
    let initial = Box::new(ratio(initial));
    let sampler = SamplerSettings::JaegerRemote { endpoint, interval, initial };
    (sampler, (!problems.is_empty()).then(|| problems.join(", ")))
}

/// `JAEGER_SAMPLER_TYPE`, `JAEGER_SAMPLER_PARAM` and where remote strategies come from.
pub(super) fn jaeger(draft: &mut Draft, environment: &mut Environment<'_>) {
    const KIND: &str = "JAEGER_SAMPLER_TYPE";
    const PARAM: &str = "JAEGER_SAMPLER_PARAM";
    let param = environment.get(PARAM);
    let Some(kind) = environment.get(KIND) else {
        if let Some(param) = param {
            environment.warn(PARAM, param, "counts only with JAEGER_SAMPLER_TYPE");
        }
        return;
    };
    let number = match param.map(str::parse::<f64>) {
        None => None,
        Some(Ok(number)) if number >= 0.0 && number.is_finite() => Some(number),
        Some(_) => {
            environment.warn(PARAM, param.unwrap_or_default(), "expected a number, 0 or more");
            None
        }
    };
    let sampler = match kind.to_ascii_lowercase().as_str() {
        "const" if number == Some(0.0) => SamplerSettings::AlwaysOff,
        "const" => SamplerSettings::AlwaysOn,
        "probabilistic" => match number {
            Some(share) if share <= 1.0 => ratio(share),
            Some(_) => {
                environment.warn(PARAM, param.unwrap_or_default(), "expected 0.0 to 1.0");
                ratio(0.001)
            }
            None => ratio(0.001),
        },
        "ratelimiting" => SamplerSettings::RateLimited(number.unwrap_or(100.0)),
        "remote" => {
            let endpoint = draft.jaeger.sampling_endpoint.value.clone();
            SamplerSettings::JaegerRemote {
                endpoint: endpoint.unwrap_or_else(|| JAEGER_SAMPLING.to_owned()),
                interval: JAEGER_POLL,
                initial: Box::new(ratio(number.filter(|share| *share <= 1.0).unwrap_or(0.001))),
            }
        }
        _ => {
            let problem = "expected const, probabilistic, ratelimiting or remote";
            environment.warn(KIND, kind, problem);
            return;
        }
    };
    // Jaeger's clients ask their sampler for roots alone.
    draft.sampler.set(under_parent(sampler), &Source::named(Layer::Document, KIND));
}

/// A share of all traces; the ends have simpler samplers.
pub(crate) fn ratio(share: f64) -> SamplerSettings {
    if share >= 1.0 {
        SamplerSettings::AlwaysOn
    } else if share <= 0.0 {
        SamplerSettings::AlwaysOff
    } else {
        SamplerSettings::Ratio(share)
    }
}

/// The caller's decision where there is a caller.
pub(crate) fn under_parent(root: SamplerSettings) -> SamplerSettings {
    SamplerSettings::ParentBased { root: Box::new(root) }
}
