//! What became of the telemetry itself.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Audience, Kind, Registry, observe};
use crate::account::{Account, Counts, Dropped, Signal};
use crate::export::ExporterStatus;
use crate::labels;

labels! {
    struct Of { signal: &'static str }
    struct Loss { signal: &'static str, reason: &'static str }
    struct Through<'a> { signal: &'static str, exporter: &'a str, endpoint: &'a str }
    struct Overflow<'a> { metric: &'a str }
}

type About = (&'static str, &'static str, &'static str);

/// Reports a signal: produced = exported + dropped + sampled out + pending.
pub(crate) fn observe_signal(registry: &Registry, signal: Signal, account: &Arc<Account>) {
    let items = |about: About, of: fn(&Counts) -> u64| {
        let account = Arc::clone(account);
        observe::<Of, u64>(registry, about, Kind::Counter, Audience::Both, move |observer| {
            observer.set(of(&account.read()), Of { signal: signal.as_str() });
        });
    };
    items(("trefoil_sdk_produced_total", "", "Items that came into being."), |c| c.produced);
    let about = ("trefoil_sdk_exported_total", "", "Items that a receiver acknowledged.");
    items(about, |c| c.exported);
    let about = ("trefoil_sdk_sampled_out_total", "", "Items of traces that sampling left out.");
    items(about, |c| c.sampled_out);
    let account = Arc::clone(account);
    let about = ("trefoil_sdk_dropped_total", "", "Items that were lost, by reason.");
    observe::<Loss, u64>(registry, about, Kind::Counter, Audience::Both, move |observer| {
        let counts = account.read();
        for reason in Dropped::ALL {
            let labels = Loss { signal: signal.as_str(), reason: reason.as_str() };
            observer.set(counts.dropped(reason), labels);
        }
    });
}

/// Reports each exporter of each signal.
pub(crate) fn observe_exporters(
    registry: &Registry,
    status: impl Fn() -> Vec<ExporterStatus> + Clone + Send + 'static,
) {
    let each = |about: About, kind: Kind, of: fn(&ExporterStatus) -> u64| {
        let status = status.clone();
        observe::<Through<'_>, u64>(registry, about, kind, Audience::Both, move |observer| {
            for exporter in status() {
                let labels = Through {
                    signal: exporter.signal.as_str(),
                    exporter: exporter.kind,
                    endpoint: &exporter.endpoint,
                };
                observer.set(of(&exporter), labels);
            }
        });
    };
    let about = ("trefoil_sdk_exporter_exported_total", "", "Items the exporter's receiver took.");
    each(about, Kind::Counter, |e| e.counts.exported);
    let about = ("trefoil_sdk_exporter_dropped_total", "", "Items the exporter lost.");
    each(about, Kind::Counter, |e| e.counts.dropped_total());
    let about = ("trefoil_sdk_queue_items", "", "Items that wait to be exported.");
    each(about, Kind::Gauge, |e| e.queued.0);
    let about = ("trefoil_sdk_queue_bytes", "By", "Bytes that wait to be exported.");
    each(about, Kind::Gauge, |e| e.queued.1);
    let about =
        ("trefoil_sdk_exporter_last_success_seconds", "s", "Unix time of the last success.");
    each(about, Kind::Gauge, |e| {
        let since = e.last_success.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        since.map_or(0, |since| since.as_secs())
    });
    let about = ("trefoil_sdk_exporter_failing", "", "1 if the last try failed and is repeated.");
    each(about, Kind::Gauge, |e| u64::from(e.failing));
}

/// Reports which metrics have more series than they may.
pub(super) fn observe_overflow(registry: &Arc<Registry>) {
    // TRAP: the registry keeps the callback; a strong reference would keep both for ever.
    let weak = Arc::downgrade(registry);
    let about = (
        "trefoil_sdk_metric_overflow_total",
        "",
        "Measurements that went to a metric's overflow series.",
    );
    observe::<Overflow<'_>, u64>(registry, about, Kind::Counter, Audience::Both, move |observer| {
        let Some(registry) = weak.upgrade() else { return };
        for (metric, count) in registry.overflowed() {
            observer.set(count, Overflow { metric: &metric });
        }
    });
}
