//! What became of the telemetry itself.

use std::sync::Arc;

use super::{Audience, Kind, Registry, observe};
use crate::account::{Account, Counts, Dropped, Signal};
use crate::labels;

labels! {
    struct Of { signal: &'static str }
    struct Loss { signal: &'static str, reason: &'static str }
    struct Overflow<'a> { metric: &'a str }
}

/// What a signal's exporter knows of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SignalState {
    pub(crate) queue_items: u64,
    pub(crate) queue_bytes: u64,
    /// Seconds of all exports, tries that failed included.
    pub(crate) export_seconds: f64,
    pub(crate) exports: u64,
    pub(crate) failed_exports: u64,
}

type About = (&'static str, &'static str, &'static str);

/// Reports a signal: produced = exported + dropped + sampled out + pending.
pub(crate) fn observe_signal(
    registry: &Registry,
    signal: Signal,
    account: &Arc<Account>,
    state: impl Fn() -> SignalState + Clone + Send + 'static,
) {
    let items = |about: About, of: fn(&Counts) -> u64| {
        let account = Arc::clone(account);
        observe::<Of, u64>(registry, about, Kind::Counter, Audience::Both, move |observer| {
            observer.set(of(&account.read()), Of { signal: signal.as_str() });
        });
    };
    items(("trefoil_sdk_produced_total", "", "Items that came into being."), |c| c.produced);
    items(("trefoil_sdk_exported_total", "", "Items that a receiver acknowledged."), |c| {
        c.exported
    });
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
    observe_state(registry, signal, state);
}

fn observe_state(
    registry: &Registry,
    signal: Signal,
    state: impl Fn() -> SignalState + Clone + Send + 'static,
) {
    let of = Of { signal: signal.as_str() };
    let number = |about: About, kind: Kind, read: fn(&SignalState) -> u64| {
        let state = state.clone();
        observe::<Of, u64>(registry, about, kind, Audience::Both, move |observer| {
            observer.set(read(&state()), of);
        });
    };
    let about = ("trefoil_sdk_queue_items", "", "Items that wait to be exported.");
    number(about, Kind::Gauge, |s| s.queue_items);
    let about = ("trefoil_sdk_queue_bytes", "By", "Bytes that wait to be exported.");
    number(about, Kind::Gauge, |s| s.queue_bytes);
    number(("trefoil_sdk_exports_total", "", "Batches that were tried."), Kind::Counter, |s| {
        s.exports
    });
    let about = ("trefoil_sdk_export_failures_total", "", "Batches that did not get through.");
    number(about, Kind::Counter, |s| s.failed_exports);
    let about = ("trefoil_sdk_export_seconds_total", "s", "Time that exports took.");
    observe::<Of, f64>(registry, about, Kind::Counter, Audience::Both, move |observer| {
        observer.set(state().export_seconds, of);
    });
}

/// Reports which metrics have more series than they may.
pub(super) fn observe_overflow(registry: &Arc<Registry>) {
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
