//! One number for all memory, `--memory`, and who has which share of it.
//!
//! What comes in has priority: requests in flight, the head, the cache and merges have
//! fixed shares and refuse or flush at their end. Queries have the rest. Nobody can say
//! beforehand what a query will take, so the process as a whole is watched: when it comes
//! near the number, the query that has read most is stopped, with an error that says why.

pub(crate) mod allocator;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use trefoil_store::Tally;

use crate::api::AppState;
use crate::console::say;
use crate::ticker::Ticker;

/// Queries that run.
#[derive(Debug, Default)]
pub(crate) struct RunningQueries {
    queries: Mutex<Vec<(Instant, Weak<Tally>)>>,
}

impl RunningQueries {
    /// Watches a query until its tally is dropped.
    pub(crate) fn add(&self, tally: &Arc<Tally>) {
        let mut queries = self.queries.lock().unwrap_or_else(PoisonError::into_inner);
        queries.retain(|(_, known)| known.strong_count() > 0);
        queries.push((Instant::now(), Arc::downgrade(tally)));
    }

    /// Stops the one that has read most of those that run for longer than `young`. True if
    /// there was one.
    fn stop_largest(&self, memory_bytes: u64, young: Duration) -> bool {
        let queries = self.queries.lock().unwrap_or_else(PoisonError::into_inner);
        let old = queries.iter().filter(|(since, _)| since.elapsed() >= young);
        let running = old.filter_map(|(_, tally)| tally.upgrade()).filter(|t| !t.is_cancelled());
        let Some(largest) = running.max_by_key(|t| t.read_so_far()) else { return false };
        largest.starve(memory_bytes);
        true
    }
}

/// A query that has just begun is not what fills the memory.
const YOUNG: Duration = Duration::from_millis(50);
/// How often the process is looked at; a query can take some megabytes in between.
const INTERVAL: Duration = Duration::from_millis(20);
/// The share of the number that is left when queries are stopped: one more interval's.
const MARGIN: u64 = 16;

/// Starts to watch the memory of the process.
///
/// # Errors
/// A line for the user if there is no thread.
pub(crate) fn watch(state: Arc<AppState>) -> Result<Ticker, String> {
    let limit = state.config.memory_bytes;
    let mut said = false;
    let is_near = move || resident_bytes().is_some_and(|used| used > limit - limit / MARGIN);
    Ticker::start("memory", INTERVAL, move || {
        if !is_near() || state.queries_now().0 == 0 {
            return;
        }
        // What queries before have freed is no reason to stop one.
        allocator::give_back();
        if is_near() && state.running.stop_largest(limit, YOUNG) {
            state.counters.starved();
            if !said {
                say!("trefoil: a query was stopped because all memory is taken (--memory)");
            }
            said = true;
        }
    })
}

/// Memory of this process, in bytes, where the system tells.
pub(crate) fn resident_bytes() -> Option<u64> {
    // Source: proc_pid_statm(5). Pages are 4 KiB on every system this is built for.
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_that_has_read_most_is_stopped_and_told_why() {
        let running = RunningQueries::default();
        let queries = [1, 64, 32].map(|mib| {
            let tally = Arc::new(Tally::unlimited());
            running.add(&tally);
            tally.add(1, mib << 20).unwrap();
            tally
        });
        assert!(!running.stop_largest(1 << 30, Duration::MAX), "all are young");
        assert!(running.stop_largest(1 << 30, Duration::ZERO));
        let error = queries[1].add(1, 1).unwrap_err().to_string();
        assert!(error.contains("--memory") && error.contains("1073741824"), "{error}");
        assert!(running.stop_largest(1 << 30, Duration::ZERO));
        queries[2].add(1, 1).unwrap_err();
        queries[0].add(1, 1).unwrap();
        drop(queries);
        assert!(!running.stop_largest(1 << 30, Duration::ZERO), "they have ended");
    }

    #[test]
    fn the_process_has_memory() {
        let bytes = resident_bytes().unwrap();
        assert!((1 << 20..1 << 40).contains(&bytes), "{bytes}");
    }
}
