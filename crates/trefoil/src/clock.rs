//! Unix time in nanoseconds, from the processor's counter where that can be trusted.
//!
//! A span reads the time twice and each event once, and the kernel's clock costs as much as
//! all else that a span does. An invariant time stamp counter costs half. It counts at a rate
//! that has to be measured: [`reanchor`], called about once a second, compares it with the
//! kernel's clock and corrects rate and offset. Until it has been called twice, and on
//! processors without such a counter, time comes from the kernel.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Unix nanoseconds. Never goes back within a thread or from one thread to another by more
/// than the counters of two cores differ, unless the system's clock was set.
#[inline]
pub(crate) fn now_ns() -> u64 {
    if ANCHOR.usable.load(Ordering::Acquire)
        && let Some(count) = counter::read()
        && let Some(line) = ANCHOR.read()
    {
        return line.at(count);
    }
    system_ns()
}

/// Compares the counter with the system's clock. To be called about once a second; more
/// often does no harm.
pub(crate) fn reanchor() {
    if let Some(counter) = counter::trusted() {
        let mut measure = MEASURE.lock().unwrap_or_else(PoisonError::into_inner);
        measure.step(&ANCHOR, counter, system_ns);
    }
}

/// What the kernel says, in Unix nanoseconds.
fn system_ns() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

static ANCHOR: Anchor = Anchor::new();
static MEASURE: Mutex<Measure> = Mutex::new(Measure::new());

/// Bits behind the point of a rate.
const RATE_BITS: u32 = 32;
/// Shortest distance by which a rate is measured, in nanoseconds. Over 20 ms a reading that
/// is 50 ns late makes an error of 2.5 millionths.
const MEASURE_NS_MIN: u64 = 20_000_000;
/// Beyond this error the clock was set or the machine slept: time jumps instead of running
/// faster or slower until it is right again.
const JUMP_NS: u64 = 10_000_000;
/// A counter that is that far off so often in a row is not what it claims to be.
const JUMPS_MAX: u32 = 3;

/// `unix = unix_0 + (count - count_0) * rate`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    count: u64,
    unix_ns: u64,
    /// Nanoseconds per count, with [`RATE_BITS`] bits behind the point.
    rate: u64,
}

impl Line {
    fn at(&self, count: u64) -> u64 {
        // A core whose counter is a little behind may be before the anchor.
        let passed = count.saturating_sub(self.count);
        let ns = (u128::from(passed) * u128::from(self.rate)) >> RATE_BITS;
        self.unix_ns.saturating_add(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

/// The line in use: a sequence lock, so that readers neither wait nor write.
struct Anchor {
    usable: AtomicBool,
    /// Odd while it is being written.
    sequence: AtomicU64,
    count: AtomicU64,
    unix_ns: AtomicU64,
    rate: AtomicU64,
}

impl Anchor {
    const fn new() -> Anchor {
        Anchor {
            usable: AtomicBool::new(false),
            sequence: AtomicU64::new(0),
            count: AtomicU64::new(0),
            unix_ns: AtomicU64::new(0),
            rate: AtomicU64::new(0),
        }
    }

    /// `None` while it is being written: rarer than once in a million, and then the kernel's
    /// clock will do.
    #[inline]
    fn read(&self) -> Option<Line> {
        let before = self.sequence.load(Ordering::Acquire);
        let line = Line {
            count: self.count.load(Ordering::Acquire),
            unix_ns: self.unix_ns.load(Ordering::Acquire),
            rate: self.rate.load(Ordering::Acquire),
        };
        let after = self.sequence.load(Ordering::Relaxed);
        (before == after && before & 1 == 0).then_some(line)
    }

    /// Only one thread writes at a time: the caller holds [`MEASURE`].
    fn write(&self, line: Line) {
        self.sequence.fetch_add(1, Ordering::AcqRel);
        self.count.store(line.count, Ordering::Release);
        self.unix_ns.store(line.unix_ns, Ordering::Release);
        self.rate.store(line.rate, Ordering::Release);
        self.sequence.fetch_add(1, Ordering::Release);
        self.usable.store(true, Ordering::Release);
    }
}

/// What the last call of [`reanchor`] saw.
struct Measure {
    last: Option<(u64, u64)>,
    jumps: u32,
}

impl Measure {
    const fn new() -> Measure {
        Measure { last: None, jumps: 0 }
    }

    fn step(&mut self, anchor: &Anchor, counter: impl Fn() -> u64, system: impl Fn() -> u64) {
        if self.jumps >= JUMPS_MAX {
            return;
        }
        let (count, unix_ns) = read_both(&counter, &system);
        let Some((last_count, last_ns)) = self.last else {
            self.last = Some((count, unix_ns));
            return;
        };
        let passed_ns = unix_ns.saturating_sub(last_ns);
        let passed = count.saturating_sub(last_count);
        if unix_ns >= last_ns && passed_ns < MEASURE_NS_MIN {
            return;
        }
        self.last = Some((count, unix_ns));
        let rate = (u128::from(passed_ns) << RATE_BITS).checked_div(u128::from(passed));
        let rate = rate.and_then(|rate| u64::try_from(rate).ok()).unwrap_or(0);
        let ours = if anchor.usable.load(Ordering::Relaxed) { anchor.read() } else { None };
        let Some(ours_ns) = ours.map(|line| line.at(count)) else {
            if rate > 0 {
                anchor.write(Line { count, unix_ns, rate });
            }
            return;
        };
        if ours_ns.abs_diff(unix_ns) > JUMP_NS {
            self.jumps += 1;
            if self.jumps >= JUMPS_MAX {
                self.distrust(anchor);
            } else {
                // The measured rate holds the jump in it; the old one does not.
                let rate = ours.map_or(rate, |line| line.rate);
                anchor.write(Line { count, unix_ns, rate });
            }
            return;
        }
        self.jumps = 0;
        // Goes on from where we are, at a rate that is right again after as long a time.
        let target = i128::from(passed_ns) + i128::from(unix_ns) - i128::from(ours_ns);
        let rate = i128::from(rate) * target / i128::from(passed_ns.max(1));
        let rate = u64::try_from(rate.max(1)).unwrap_or(u64::MAX);
        anchor.write(Line { count, unix_ns: ours_ns, rate });
    }

    fn distrust(&mut self, anchor: &Anchor) {
        self.jumps = JUMPS_MAX;
        anchor.usable.store(false, Ordering::Release);
    }
}

/// Both clocks at the same moment: of a few tries the one that took the least time, since a
/// thread that is interrupted between the readings reads them apart.
fn read_both(counter: &impl Fn() -> u64, system: &impl Fn() -> u64) -> (u64, u64) {
    let once = || {
        let before = counter();
        let unix_ns = system();
        let took = counter().saturating_sub(before);
        (took, before + took / 2, unix_ns)
    };
    let mut best = once();
    for _ in 0..4 {
        let next = once();
        if next.0 < best.0 {
            best = next;
        }
    }
    (best.1, best.2)
}

#[cfg(target_arch = "x86_64")]
mod counter {
    use std::arch::x86_64::{__cpuid, _rdtsc};
    use std::sync::OnceLock;

    /// The counter, read.
    #[inline]
    #[allow(unsafe_code)]
    pub(super) fn read() -> Option<u64> {
        // SAFETY: every x86-64 processor has `rdtsc`. A kernel may forbid it to processes
        // (PR_SET_TSC), for which nothing is known to do so but deterministic replayers;
        // `trusted` reads it first, once, when telemetry starts.
        Some(unsafe { _rdtsc() })
    }

    /// The counter, if it runs at one rate on all cores and the kernel itself goes by it.
    pub(super) fn trusted() -> Option<fn() -> u64> {
        static TRUSTED: OnceLock<bool> = OnceLock::new();
        let trusted = *TRUSTED.get_or_init(|| is_invariant() && kernel_uses_it());
        trusted.then_some(|| read().unwrap_or(0))
    }

    /// Intel's and AMD's manuals: leaf 8000_0007h, EDX bit 8, "invariant TSC".
    fn is_invariant() -> bool {
        let leaf_max = __cpuid(0x8000_0000).eax;
        leaf_max >= 0x8000_0007 && __cpuid(0x8000_0007).edx & (1 << 8) != 0
    }

    /// The kernel tests the counters of all cores against each other before it uses them.
    fn kernel_uses_it() -> bool {
        let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        std::fs::read_to_string(path).is_ok_and(|name| {
            matches!(name.trim(), "tsc" | "kvm-clock" | "hyperv_clocksource_tsc_page")
        })
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod counter {
    #[inline]
    pub(super) fn read() -> Option<u64> {
        None
    }

    pub(super) fn trusted() -> Option<fn() -> u64> {
        None
    }
}

#[cfg(test)]
mod tests;
