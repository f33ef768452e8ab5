//! What settings and counters say.

use std::time::{Duration, SystemTime};

use super::{Cause, Finding, Thresholds};
use crate::account::{Dropped, Signal};
use crate::clock;
use crate::config::{SamplerSettings, without_secrets};
use crate::init::Parts;

/// Names of open spans that are told.
const NAMES_TOLD: usize = 3;

pub(super) fn examine(parts: &Parts, thresholds: &Thresholds, findings: &mut Vec<Finding>) {
    for warning in &parts.warnings {
        findings.push(Finding::new(Cause::BadSetting, None, warning.clone(), ""));
    }
    if !parts.settings.enabled {
        let source = parts.config.source("enabled").unwrap_or_default();
        let message = format!("telemetry is switched off by {source}");
        findings.push(Finding::new(Cause::Disabled, None, message, "switch it on there"));
        return;
    }
    exporters(parts, findings);
    sampling(parts, findings);
    requests(parts, thresholds, findings);
    scrapes(parts, thresholds, findings);
    losses(parts, findings);
    failures(parts, findings);
    open_spans(parts, thresholds, findings);
}

fn exporters(parts: &Parts, findings: &mut Vec<Finding>) {
    let settings = &parts.settings;
    for (signal, none, name) in [
        (Signal::Traces, settings.traces.exporters.is_empty(), "traces.exporter"),
        (Signal::Metrics, settings.metrics.exporters.is_empty(), "metrics.exporter"),
        (Signal::Logs, settings.logs.exporters.is_empty(), "logs.exporter"),
    ] {
        let pulled = signal == Signal::Metrics && settings.metrics.prometheus.is_some();
        if none && !pulled {
            let source = parts.config.source(name).unwrap_or_default();
            let message = format!("go nowhere, by {source}");
            findings.push(Finding::new(Cause::NoExporter, Some(signal), message, ""));
        }
    }
}

fn sampling(parts: &Parts, findings: &mut Vec<Finding>) {
    let traces = &parts.settings.traces;
    let mut found = |message: String, advice: &str| {
        findings.push(Finding::new(Cause::NotSampled, Some(Signal::Traces), message, advice));
    };
    if traces.levels == "off" {
        let source = parts.config.source("traces.level").unwrap_or_default();
        return found(format!("no span is recorded: the level is off, by {source}"), "");
    }
    if is_never(&traces.sampler) {
        let source = parts.config.source("traces.sampler").unwrap_or_default();
        return found(
            format!("the share of sampled traces is 0, by {source}"),
            "set a share above 0; until then only traces with errors leave, if those are kept",
        );
    }
    let counts = parts.account(Signal::Traces).read();
    if counts.sampled_out > 0 && counts.exported == 0 && counts.pending() == 0 {
        let all = counts.sampled_out;
        let advice = "callers that decided not to sample decide for this service, too";
        found(format!("all {all} spans so far were sampled out"), advice);
    }
}

fn is_never(sampler: &SamplerSettings) -> bool {
    match sampler {
        SamplerSettings::AlwaysOff => true,
        SamplerSettings::Ratio(share) => *share <= 0.0,
        SamplerSettings::RateLimited(rate) => *rate <= 0.0,
        SamplerSettings::ParentBased { root } => is_never(root),
        _ => false,
    }
}

fn requests(parts: &Parts, thresholds: &Thresholds, findings: &mut Vec<Finding>) {
    let seen = parts.vitals.read();
    if seen.layers == 0 {
        let message = "no HTTP layer is in use".to_owned();
        let advice = "if this is a server: Router::layer(telemetry.http_layer())";
        findings.push(Finding::new(Cause::NoHttpLayer, Some(Signal::Traces), message, advice));
        return;
    }
    if seen.requests < thresholds.requests.max(1) {
        return;
    }
    let requests = seen.requests;
    if seen.with_span == 0 {
        let message = format!("no span was begun in {requests} requests");
        let advice = "a level hides the target trefoil::http, or the layer's telemetry is not \
                      the one that receives spans";
        findings.push(Finding::new(Cause::NoServerSpan, Some(Signal::Traces), message, advice));
    } else if seen.with_caller == 0 {
        let message = format!("none of {requests} requests brought its caller's context");
        let advice = "if callers are traced: a proxy may drop the header traceparent, or they \
                      speak another format (OTEL_PROPAGATORS)";
        findings.push(Finding::new(Cause::NoCallerContext, Some(Signal::Traces), message, advice));
    }
}

fn scrapes(parts: &Parts, thresholds: &Thresholds, findings: &mut Vec<Finding>) {
    let Some(address) = parts.serving(crate::metric::Serving::address).flatten() else { return };
    let last = parts.serving(crate::metric::Serving::last_read_ns).flatten();
    let since = last.unwrap_or(parts.started_ns);
    let quiet = Duration::from_nanos(clock::now_ns().saturating_sub(since));
    if quiet < thresholds.scrape {
        return;
    }
    let message = match last {
        Some(_) => format!("http://{address}/metrics was last read {} ago", rough(quiet)),
        None => format!("http://{address}/metrics was never read in {}", rough(quiet)),
    };
    let advice = "add the target to Prometheus's scrape_configs; from another machine the \
                  address must not be a loopback one";
    findings.push(Finding::new(Cause::NotScraped, Some(Signal::Metrics), message, advice));
}

fn losses(parts: &Parts, findings: &mut Vec<Finding>) {
    for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
        let counts = parts.account(signal).read();
        for reason in Dropped::ALL {
            let lost = counts.dropped(reason);
            if lost == 0 || reason == Dropped::RateLimited {
                continue;
            }
            let message =
                format!("{lost} of {} items were lost: {}", counts.produced, said(reason));
            findings.push(Finding::new(Cause::Lost, Some(signal), message, remedy(reason)));
        }
    }
}

fn said(reason: Dropped) -> &'static str {
    match reason {
        Dropped::QueueFull => "the queue was full",
        Dropped::Evicted => "there was no room for undecided traces",
        Dropped::TooLarge => "they were larger than an item may be",
        Dropped::ExportFailed => "the receiver did not take them in time",
        Dropped::Refused => "the receiver refused them",
        Dropped::Shutdown => "the process ended",
        Dropped::RateLimited => "identical lines came too fast",
    }
}

fn remedy(reason: Dropped) -> &'static str {
    match reason {
        Dropped::QueueFull => {
            "the receiver is away or too slow; a larger queue (OTEL_BSP_MAX_QUEUE_SIZE) bridges \
             seconds, sampling lowers the load"
        }
        Dropped::Evicted => {
            "traces are open for long or many at once: raise Builder::pending_bytes"
        }
        Dropped::TooLarge => "shorten attributes: OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        Dropped::Shutdown => "give the end more time: Builder::shutdown_timeout",
        _ => "",
    }
}

fn failures(parts: &Parts, findings: &mut Vec<Finding>) {
    for status in parts.exporters().into_iter().filter(|status| status.failing) {
        let Some((at, why)) = status.last_error else { continue };
        let ago = SystemTime::now().duration_since(at).unwrap_or_default();
        let endpoint = without_secrets(&status.endpoint);
        let (items, bytes) = status.queued;
        let message = format!(
            "{endpoint} failed {} ago: {why}; {items} items ({bytes} bytes) wait",
            rough(ago)
        );
        findings.push(Finding::new(Cause::Failing, Some(status.signal), message, ""));
    }
}

fn open_spans(parts: &Parts, thresholds: &Thresholds, findings: &mut Vec<Finding>) {
    let Some(running) = &parts.running else { return };
    let survey = running.spans.survey(clock::now_ns(), thresholds.open_span);
    let Some(oldest) = survey.oldest else { return };
    let old: u64 = survey.old.values().sum();
    let mut names: Vec<_> = survey.old.into_iter().collect();
    names.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    let names = names.iter().take(NAMES_TOLD).map(|(name, count)| format!("{name} ({count})"));
    let names = names.collect::<Vec<_>>().join(", ");
    let message = format!(
        "{old} of {} open spans are older than {}, the oldest {}: {names}",
        survey.open,
        rough(thresholds.open_span),
        rough(oldest)
    );
    let advice = "a span that is never dropped holds its trace in memory: look for guards in \
                  statics, in tasks that never end, or given to mem::forget";
    findings.push(Finding::new(Cause::OpenSpans, Some(Signal::Traces), message, advice));
}

/// `12 s`, `5 min`, `3 h`.
fn rough(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
