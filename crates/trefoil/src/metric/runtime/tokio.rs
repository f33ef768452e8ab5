//! A tokio runtime, by what is stable of its own metrics.

use ::tokio::runtime::Handle;

use super::{Audience, Kind, Registry, observe};
use crate::labels;

labels! {
    struct Worker { worker: u32 as "tokio.worker" }
}

/// Reports the runtime of a handle. A registry reports one; the last is the one.
pub(super) fn observe_runtime(registry: &Registry, handle: &Handle) {
    let runtime = handle.metrics();
    let about = ("tokio.runtime.workers", "{thread}", "Worker threads of the runtime.");
    let metrics = runtime.clone();
    observe::<(), u64>(registry, about, Kind::Gauge, Audience::Both, move |observer| {
        observer.set(metrics.num_workers() as u64, ());
    });
    let about = ("tokio.runtime.alive_tasks", "{task}", "Tasks that have not ended.");
    let metrics = runtime.clone();
    observe::<(), u64>(registry, about, Kind::Gauge, Audience::Both, move |observer| {
        observer.set(metrics.num_alive_tasks() as u64, ());
    });
    let about = (
        "tokio.runtime.global_queue.depth",
        "{task}",
        "Tasks that wait in the queue that all workers share.",
    );
    let metrics = runtime.clone();
    observe::<(), u64>(registry, about, Kind::Gauge, Audience::Both, move |observer| {
        observer.set(metrics.global_queue_depth() as u64, ());
    });
    #[cfg(target_has_atomic = "64")]
    workers(registry, &runtime);
}

/// Busy time over time is the share of it that a worker is busy.
#[cfg(target_has_atomic = "64")]
fn workers(registry: &Registry, runtime: &::tokio::runtime::RuntimeMetrics) {
    let about = ("tokio.runtime.worker.busy_time", "s", "Time that the worker ran tasks.");
    let metrics = runtime.clone();
    observe::<Worker, f64>(registry, about, Kind::Counter, Audience::Both, move |observer| {
        for worker in 0..metrics.num_workers() {
            let busy = metrics.worker_total_busy_duration(worker).as_secs_f64();
            observer.set(busy, Worker { worker: worker as u32 });
        }
    });
    let about = ("tokio.runtime.worker.parks", "{park}", "Times that the worker went to sleep.");
    let metrics = runtime.clone();
    observe::<Worker, u64>(registry, about, Kind::Counter, Audience::Both, move |observer| {
        for worker in 0..metrics.num_workers() {
            observer.set(metrics.worker_park_count(worker), Worker { worker: worker as u32 });
        }
    });
}
