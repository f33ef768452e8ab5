//! What spans cost.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;

use tracing::{info, info_span};

use super::*;

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all is left to the system's allocator.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: as asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: it came from `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The pair by which libraries are compared: root and child, four attributes, one event.
fn pair(user: u64) {
    let root = info_span!("GET /users/{id}", http.request.method = "GET", user).entered();
    let child = info_span!("SELECT", db.system.name = "postgresql", db.rows = 7).entered();
    info!("cache miss");
    drop(child);
    drop(root);
}

fn cases() -> [(&'static str, Rig); 4] {
    let without_errors = {
        let mut settings = settings(SamplerSettings::AlwaysOff);
        settings.keep.errors = false;
        settings
    };
    [
        ("sampled", Rig::nowhere(&settings(SamplerSettings::AlwaysOn))),
        ("left out, errors kept", Rig::nowhere(&settings(SamplerSettings::AlwaysOff))),
        ("sampled with a share", Rig::nowhere(&settings(SamplerSettings::Ratio(0.9999)))),
        ("left out", Rig::nowhere(&without_errors)),
    ]
}

#[test]
fn the_steady_state_does_not_allocate() {
    for (name, rig) in cases() {
        rig.run(|| {
            (0..100).for_each(pair);
            let before = ALLOCATIONS.get();
            (0..1000).for_each(pair);
            assert_eq!(ALLOCATIONS.get() - before, 0, "{name}");
        });
    }
}

#[test]
fn nor_does_it_where_spans_go_to_the_exporter() {
    let (rig, queue) = Rig::queued(&settings(SamplerSettings::AlwaysOn));
    let thousand = || {
        for user in 0..1000 {
            pair(user);
            if user % 100 == 0 {
                queue.drain(&mut |_, _, _| {});
            }
        }
    };
    rig.run(|| {
        thousand();
        let before = ALLOCATIONS.get();
        thousand();
        assert_eq!(ALLOCATIONS.get() - before, 0);
    });
    queue.drain(&mut |_, _, _| {});
    assert_eq!(rig.counts().dropped_total(), 0);
}

crate::labels! {
    struct Request<'a> { method: &'a str, status: u16, cached: bool }
}

/// Once a series is there and has its exemplar, measuring in it allocates nothing.
#[test]
fn metrics_of_known_series_do_not_allocate() {
    use crate::metric::{AnyLabels, Counter, Gauge, Histogram, Registry};
    let registry = Registry::new();
    let requests: Counter<Request<'_>> = registry.metric("requests").counter();
    let seconds: Histogram<Request<'_>> = registry.metric("seconds").unit("s").histogram();
    let level: Gauge = registry.metric("level").gauge();
    let any: Counter<AnyLabels> = registry.metric("any").counter();
    let measure = |i: u64| {
        let labels = Request { method: "GET", status: 200, cached: i.is_multiple_of(2) };
        requests.inc(labels);
        seconds.record(i as f64 * 0.01, labels);
        level.set(i as f64, ());
        any.add(1, &[("queue", "mail".into()), ("shard", (i as u32 % 4).into())]);
    };
    let count = || {
        (0..1500).for_each(measure);
        let before = ALLOCATIONS.get();
        (0..1500).for_each(measure);
        ALLOCATIONS.get() - before
    };
    assert_eq!(count(), 0, "outside of spans");
    for sampler in [SamplerSettings::AlwaysOn, SamplerSettings::AlwaysOff] {
        let rig = Rig::new(&settings(sampler.clone()));
        rig.run(|| {
            let _inside = info_span!("request").entered();
            assert_eq!(count(), 0, "inside a span, {sampler:?}");
        });
    }
}

/// For `valgrind --tool=callgrind` and for a look; figures to publish come from
/// `cargo xtask bench sdk`.
#[test]
#[ignore = "measures, and shows figures instead of failing"]
fn cost_of_a_pair() {
    let rounds = std::env::var("ROUNDS").map_or(1_000_000, |rounds| rounds.parse().unwrap());
    let only = std::env::var("CASE").unwrap_or_default();
    clock::reanchor();
    let start = Instant::now();
    while start.elapsed().as_millis() < 40 {}
    clock::reanchor();
    for (name, rig) in cases() {
        if !name.starts_with(&only) {
            continue;
        }
        rig.run(|| {
            (0..100).for_each(pair);
            let before = ALLOCATIONS.get();
            let mut best = u128::MAX;
            for _ in 0..5 {
                let start = Instant::now();
                (0..rounds / 5).for_each(pair);
                best = best.min(start.elapsed().as_nanos() * 5 / u128::from(rounds));
            }
            let allocations = (ALLOCATIONS.get() - before) as f64 / rounds as f64;
            println!("{name}: {best} ns, {allocations} allocations");
        });
    }
}
