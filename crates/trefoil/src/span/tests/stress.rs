//! Many threads at once: nothing is lost, nothing counts twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use tracing::{Span, error, info, info_span};

use super::*;
use crate::account::Dropped;

/// Threads make traces whose spans end on other threads, while one reads and one decides.
#[test]
fn spans_of_many_threads_are_conserved() {
    for (sampler, bytes_max) in [
        (SamplerSettings::AlwaysOn, 16 << 20),
        (SamplerSettings::Ratio(0.3), 16 << 20),
        (SamplerSettings::Ratio(0.3), 100 << 10),
    ] {
        let mut settings = settings(sampler.clone());
        settings.keep.pending_bytes_max = bytes_max;
        let rig = Rig::new(&settings);
        let made = AtomicU64::new(0);
        let failed_traces = AtomicU64::new(0);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel::<Span>(64);
            let receiver = Arc::new(Mutex::new(receiver));
            let makers: Vec<_> = (0..3_u64)
                .map(|thread| {
                    let (rig, made, failed, sender) = (&rig, &made, &failed_traces, sender.clone());
                    scope.spawn(move || {
                        rig.run(|| {
                            for round in 0..2_000 {
                                let fails = round % 50 == thread;
                                make(&sender, fails, made);
                                failed.fetch_add(fails.into(), Ordering::Relaxed);
                            }
                        });
                    })
                })
                .collect();
            drop(sender);
            for _ in 0..2 {
                let (receiver, rig) = (Arc::clone(&receiver), &rig);
                scope.spawn(move || {
                    rig.run(|| {
                        loop {
                            let next = receiver.lock().unwrap().recv();
                            let Ok(span) = next else { break };
                            span.in_scope(|| info!("on another thread"));
                            span.set_attribute("moved", true);
                        }
                    });
                });
            }
            let (rig, stop_now) = (&rig, &stop);
            scope.spawn(move || {
                while !stop_now.load(Ordering::Relaxed) {
                    rig.spans.decide_all();
                    clock::reanchor();
                    std::thread::yield_now();
                }
            });
            makers.into_iter().for_each(|maker| maker.join().unwrap());
            stop.store(true, Ordering::Relaxed);
        });
        let counts = rig.counts();
        let left = rig.left();
        assert_eq!(counts.produced, made.into_inner());
        let evicted = counts.dropped(Dropped::Evicted);
        assert_eq!(
            counts.produced,
            left.len() as u64 + counts.sampled_out + evicted,
            "{sampler:?} {bytes_max} {counts:?}"
        );
        let failed = left.iter().filter(|span| span.status.0 == 2).count() as u64;
        assert_eq!(failed, failed_traces.into_inner(), "every failed span leaves");
        assert_eq!(rig.spans.0.alive(), (0, 0));
        for span in &left {
            assert!(span.attributes.contains_key("n"), "a whole span: {span:?}");
        }
        drop(left);
        // Threads that end give back what they had, and so does one that changes its store.
        Local::with(&Rig::always_on().spans.0, |_| ());
        assert_eq!(rig.spans.0.budget.used(), 0);
    }
}

fn make(sender: &mpsc::SyncSender<Span>, fails: bool, made: &AtomicU64) {
    let root = info_span!("root", n = 1).entered();
    let mut count = 1;
    for n in 0..4 {
        let child = info_span!("child", n).entered();
        info!(n, "event");
        if n == 2 && fails {
            error!("failed");
        }
        count += 1;
        if n == 3 {
            let (grandchild, kept) = (info_span!("moved", n), child.clone());
            count += 1;
            sender.send(grandchild).unwrap();
            sender.send(kept).unwrap();
        }
    }
    made.fetch_add(count, Ordering::Relaxed);
    drop(root);
}

/// Threads that live for a few spans, some of which fail, while one takes what left: the last
/// words of each are there when it has ended, and whole.
#[test]
fn spans_of_threads_that_end_are_in_the_queue() {
    const ROUNDS: usize = 40;
    const THREADS: usize = 6;
    let (rig, queue) = Rig::queued(&settings(SamplerSettings::AlwaysOn));
    let taken = Mutex::new(Vec::new());
    let take = || {
        let mut taken = taken.lock().unwrap();
        queue.drain(&mut |scope, priority, message| taken.push(decode(scope, priority, message)));
    };
    let mut made = 0;
    for round in 0..ROUNDS {
        let count = |thread: usize| (round * THREADS + thread) * 7 % 90;
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let rig = &rig;
                scope.spawn(move || {
                    rig.run(|| {
                        for n in 0..count(thread) {
                            let _span = info_span!("work", n, thread, round).entered();
                            if n % 10 == 3 {
                                error!("failed");
                            }
                        }
                    });
                });
            }
            scope.spawn(take);
        });
        made += (0..THREADS).map(count).sum::<usize>();
        take();
        assert_eq!(taken.lock().unwrap().len(), made, "round {round}");
    }
    let counts = rig.counts();
    assert_eq!((counts.produced, counts.dropped_total()), (made as u64, 0));
    for span in taken.into_inner().unwrap() {
        assert_eq!(span.attributes.len(), 3, "a whole span: {span:?}");
        assert_eq!(span.urgent, span.attributes["n"].ends_with('3'), "{span:?}");
    }
}
