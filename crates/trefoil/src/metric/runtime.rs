//! Metrics that a service has without doing anything: its process, its tokio, its
//! allocator, and what became of its telemetry.

mod allocator;
mod own;
mod process;
mod tokio;

pub use allocator::CountingAllocator;
pub(crate) use own::{observe_exporters, observe_signal};

use std::sync::Arc;

use super::declare::Audience;
use super::family::Kind;
use super::label::LabelSet;
use super::number::Number;
use super::observe::Observer;
use super::registry::Registry;

/// Begins to report the process, the allocator and the tokio runtime that this is called
/// in. A second call for the same registry does nothing but to add another runtime.
pub(crate) fn install(registry: &Arc<Registry>) {
    if registry.claim_runtime() {
        process::observe_process(registry);
        allocator::observe_allocator(registry);
        own::observe_overflow(registry);
    }
    if let Ok(handle) = ::tokio::runtime::Handle::try_current() {
        tokio::observe_runtime(registry, &handle);
    }
}

/// `<service>_info`, always 1, with labels that say what runs, and `<service>_uptime_seconds`.
pub(crate) fn install_service(registry: &Registry, service: &str, labels: &[(&str, &str)]) {
    let prefix = service.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let info =
        registry.metric(format!("{prefix}_info")).description("Build information; always 1.");
    let labels: Vec<_> = labels.iter().map(|(name, value)| (*name, (*value).into())).collect();
    info.gauge::<super::AnyLabels, u64>().set(1, &labels);
    let uptime = registry
        .metric(format!("{prefix}_uptime_seconds"))
        .description("Uptime of the process.")
        .unit("s")
        .observable::<(), f64>(Kind::Gauge);
    let started = std::time::Instant::now();
    let before = process::age().unwrap_or_default();
    uptime.observe(move |observer| observer.set((before + started.elapsed()).as_secs_f64(), ()));
}

/// Declares an observable metric of this crate and says where its values come from.
fn observe<L: LabelSet, V: Number>(
    registry: &Registry,
    (name, unit, description): (&'static str, &'static str, &'static str),
    kind: Kind,
    audience: Audience,
    callback: impl Fn(&Observer<'_, L, V>) + Send + 'static,
) {
    let metric = registry.metric(name).unit(unit).description(description);
    let metric = metric.scope("trefoil", env!("CARGO_PKG_VERSION")).audience(audience);
    metric.observable::<L, V>(kind).observe(callback);
}
