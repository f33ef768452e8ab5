//! Example measurements: which trace one of them came from.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock;
use crate::id::{SpanId, TraceId};
use crate::span;

/// One measurement and the span it was made in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    /// Unix nanoseconds.
    pub(crate) time_ns: u64,
    /// Since when it is known that its trace leaves, in Unix nanoseconds.
    pub(super) known_ns: u64,
    pub(crate) value: f64,
}

/// The latest exemplar of each place (a bucket, or the series). After each collection every
/// place wants one more; the measurements between cost a load.
#[derive(Clone, Debug)]
pub(super) struct Exemplars {
    wanted: Arc<[AtomicBool]>,
    taken: Arc<Mutex<Box<[Option<Exemplar>]>>>,
}

impl Exemplars {
    pub(super) fn new(places: usize) -> Self {
        Exemplars {
            wanted: (0..places).map(|_| AtomicBool::new(true)).collect(),
            taken: Arc::new(Mutex::new(vec![None; places].into())),
        }
    }

    #[inline]
    pub(super) fn wants(&self, place: usize) -> bool {
        self.wanted.get(place).is_some_and(|wanted| wanted.load(Relaxed))
    }

    /// Takes the measurement if it is made inside a span that is exported. In a trace that is
    /// not decided yet it waits with the trace: an exemplar must lead to one that left.
    #[inline(never)]
    pub(super) fn offer(&self, place: usize, value: f64) {
        let Some(current) = span::current() else { return };
        let (is_sampled, is_undecided) = (current.flags.is_sampled(), current.is_undecided());
        if !is_sampled && !is_undecided {
            return;
        }
        let now_ns = clock::now_ns();
        let exemplar = Exemplar {
            trace_id: current.trace_id,
            span_id: current.span_id,
            time_ns: now_ns,
            known_ns: now_ns,
            value,
        };
        if is_sampled {
            self.take(place, exemplar);
        } else {
            let candidate = Candidate { exemplars: self.clone(), place, exemplar };
            span::hold_exemplar(&current, candidate);
        }
    }

    fn take(&self, place: usize, exemplar: Exemplar) {
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

/// A measurement in a trace that is not decided yet.
#[derive(Debug)]
pub(crate) struct Candidate {
    exemplars: Exemplars,
    place: usize,
    exemplar: Exemplar,
}

impl Candidate {
    /// Whether both are for one place.
    pub(crate) fn has_place_of(&self, other: &Candidate) -> bool {
        self.place == other.place && Arc::ptr_eq(&self.exemplars.wanted, &other.exemplars.wanted)
    }

    /// Its trace is kept.
    pub(crate) fn elect(self) {
        let Candidate { exemplars, place, exemplar } = self;
        exemplars.take(place, Exemplar { known_ns: clock::now_ns(), ..exemplar });
    }
}
