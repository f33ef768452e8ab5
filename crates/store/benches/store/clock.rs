//! Time that this thread spent on a processor: what others do on the machine is not in it.

use std::time::{Duration, Instant};

/// Started when made.
pub(crate) struct Clock {
    wall: Instant,
    busy_ns: Option<u64>,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock { wall: Instant::now(), busy_ns: busy_ns() }
    }

    /// Seconds on a processor since the start, or by the clock where the kernel does not say.
    pub(crate) fn seconds(&self) -> f64 {
        match (self.busy_ns, busy_ns()) {
            (Some(before), Some(now)) => Duration::from_nanos(now - before).as_secs_f64(),
            _ => self.wall.elapsed().as_secs_f64(),
        }
    }
}

/// Source: Linux, `Documentation/scheduler/sched-stats.rst`, `/proc/<pid>/schedstat`.
fn busy_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}
