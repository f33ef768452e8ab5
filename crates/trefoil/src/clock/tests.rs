//! Against the system's clock, and with made-up counters.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::*;

/// Both clocks are read one after the other on a machine that others use, too: what is asked
/// is that some pair of readings is close, not that all are.
#[test]
fn agrees_with_the_system_clock() {
    let until = Instant::now() + Duration::from_secs(20);
    reanchor();
    let mut best = u64::MAX;
    while Instant::now() < until {
        reanchor();
        let before = system_ns();
        let ours = now_ns();
        let after = system_ns();
        if (before..=after).contains(&ours) {
            return;
        }
        best = best.min(ours.abs_diff(before).min(ours.abs_diff(after)));
        if best < 2_000 && ANCHOR.usable.load(Ordering::Relaxed) {
            return;
        }
    }
    panic!("never closer than {best} ns to the system's clock in 20 s");
}

#[test]
fn does_not_go_back_while_it_is_reanchored() {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                reanchor();
            }
        });
        let mut last = now_ns();
        for _ in 0..200_000 {
            let now = now_ns();
            // The switch from the kernel's clock to the counter may cost the time of a reading.
            assert!(now + 20_000 >= last, "went back by {} ns", last - now);
            last = now;
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// A counter and a system clock that the test moves.
struct Made {
    count: Cell<u64>,
    unix_ns: Cell<u64>,
}

impl Made {
    fn pass(&self, counts: u64, ns: i64) {
        self.count.set(self.count.get() + counts);
        self.unix_ns.set(self.unix_ns.get().wrapping_add_signed(ns));
    }

    fn step(&self, measure: &mut Measure, anchor: &Anchor) {
        measure.step(anchor, || self.count.get(), || self.unix_ns.get());
    }

    fn error(&self, anchor: &Anchor) -> u64 {
        anchor.read().unwrap().at(self.count.get()).abs_diff(self.unix_ns.get())
    }
}

const SECOND: i64 = 1_000_000_000;

#[test]
fn follows_a_rate_that_changes_without_a_jump() {
    let made = Made { count: Cell::new(77), unix_ns: Cell::new(1_700_000_000_000_000_000) };
    let (anchor, mut measure) = (Anchor::new(), Measure::new());
    made.step(&mut measure, &anchor);
    assert!(!anchor.usable.load(Ordering::Relaxed), "one reading has no rate");
    made.pass(3_000_000_000, SECOND);
    made.step(&mut measure, &anchor);
    assert_eq!(made.error(&anchor), 0);

    // From now on the counter is 100 millionths fast.
    for second in 0..20 {
        made.pass(3_000_300_000, SECOND);
        let before = anchor.read().unwrap().at(made.count.get());
        made.step(&mut measure, &anchor);
        let after = anchor.read().unwrap().at(made.count.get());
        assert_eq!(before, after, "second {second}: no jump where a new rate begins");
        assert!(made.error(&anchor) <= 210_000, "second {second}: {}", made.error(&anchor));
    }
    made.pass(3_000_300_000, SECOND);
    assert!(made.error(&anchor) <= 1_000, "{}", made.error(&anchor));
}

#[test]
fn jumps_when_the_clock_was_set_and_keeps_its_rate() {
    let made = Made { count: Cell::new(0), unix_ns: Cell::new(1_700_000_000_000_000_000) };
    let (anchor, mut measure) = (Anchor::new(), Measure::new());
    made.step(&mut measure, &anchor);
    for ns in [SECOND, SECOND, -3600 * SECOND] {
        made.pass(2_000_000_000, ns);
        made.step(&mut measure, &anchor);
        assert_eq!(made.error(&anchor), 0);
    }
    made.pass(2_000_000_000, SECOND);
    assert_eq!(made.error(&anchor), 0);
}

#[test]
fn gives_up_on_a_counter_that_lies() {
    let made = Made { count: Cell::new(0), unix_ns: Cell::new(1_700_000_000_000_000_000) };
    let (anchor, mut measure) = (Anchor::new(), Measure::new());
    made.step(&mut measure, &anchor);
    for factor in [1, 1, 5, 7, 3, 9] {
        made.pass(1_000_000_000 * factor, SECOND);
        made.step(&mut measure, &anchor);
    }
    assert!(!anchor.usable.load(Ordering::Relaxed));
}
