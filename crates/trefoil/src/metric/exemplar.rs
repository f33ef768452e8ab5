//! Example measurements: which trace one of them came from.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::clock;
use crate::id::{SpanId, TraceId};

/// One measurement and the span it was made in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    /// Unix nanoseconds.
    pub(crate) time_ns: u64,
    pub(crate) value: f64,
}

/// The latest exemplar of each place (a bucket, or the series). After each collection every
/// place wants one more; the measurements between cost a load.
pub(super) struct Exemplars {
    wanted: Box<[AtomicBool]>,
    taken: Mutex<Box<[Option<Exemplar>]>>,
}

impl Exemplars {
    pub(super) fn new(places: usize) -> Self {
        Exemplars {
            wanted: (0..places).map(|_| AtomicBool::new(true)).collect(),
            taken: Mutex::new(vec![None; places].into()),
        }
    }

    #[inline]
    pub(super) fn wants(&self, place: usize) -> bool {
        self.wanted.get(place).is_some_and(|wanted| wanted.load(Relaxed))
    }

    /// Takes the measurement if it is made inside a span that is exported.
    #[inline(never)]
    pub(super) fn offer(&self, place: usize, value: f64) {
        let Some((trace_id, span_id)) = current_sampled() else { return };
        let exemplar = Exemplar { trace_id, span_id, time_ns: clock::now_ns(), value };
        // Whoever holds the lock is about to take one as good.
        let Ok(mut taken) = self.taken.try_lock() else { return };
        if let (Some(slot), Some(wanted)) = (taken.get_mut(place), self.wanted.get(place)) {
            *slot = Some(exemplar);
            wanted.store(false, Relaxed);
        }
    }

    /// The latest of each place; each wants a new one from now on.
    pub(super) fn read(&self) -> Vec<Exemplar> {
        if self.wanted.is_empty() {
            return Vec::new();
        }
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        self.wanted.iter().for_each(|wanted| wanted.store(true, Relaxed));
        taken.iter().flatten().cloned().collect()
    }
}

/// The current span if it is sampled.
///
/// A trace that is not decided yet does not count: an exemplar must lead to a trace that
/// was exported.
fn current_sampled() -> Option<(TraceId, SpanId)> {
    let current = crate::span::current().filter(|current| current.flags.is_sampled())?;
    Some((current.trace_id, current.span_id))
}
