//! The SDK beside its rivals. One case runs in one process, so that each has its own
//! global subscriber, and `cargo xtask bench sdk` asks for them one after the other.
//!
//! `list` names the cases, `time CASE` measures one, `count CASE OPERATIONS` only runs it,
//! for a counter of instructions around the process.
#![allow(
    clippy::disallowed_methods,
    reason = "time itself is measured here, by processes that hold nothing"
)]

mod allocations;
mod http;
mod logs;
mod metrics;
mod outage;
mod spans;
mod stock;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Operations between two flushes: less than any queue holds, so nothing is dropped.
const CHUNK: u32 = 256;
/// Chunks measured; the median is told.
const SAMPLES: usize = 400;
/// Time before, until caches, pages and branch predictors know the way and clocks are measured:
/// ours asks the kernel until it has compared itself with it twice, for some 0.1 s.
const WARM_UP: Duration = Duration::from_millis(400);

/// One thing to measure.
struct Case {
    name: &'static str,
    start: fn() -> Running,
}

/// A case that is set up.
struct Running {
    /// Does the operation so many times.
    operate: Box<dyn FnMut(u32)>,
    /// Empties the queues; runs outside the clock.
    settle: Box<dyn FnMut()>,
}

impl Running {
    fn new(operate: impl FnMut(u32) + 'static, settle: impl FnMut() + 'static) -> Running {
        Running { operate: Box::new(operate), settle: Box::new(settle) }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let cases = [spans::CASES, metrics::CASES, logs::CASES, http::CASES].concat_all();
    match arguments[..] {
        ["list"] => cases.iter().for_each(|case| println!("{}", case.name)),
        ["time", name] => match find(&cases, name) {
            Some(case) => time((case.start)()),
            None => return unknown(name),
        },
        ["count", name, operations] => match (find(&cases, name), operations.parse()) {
            (Some(case), Ok(operations)) => count((case.start)(), operations),
            _ => return unknown(name),
        },
        ["serve", name] => http::serve(name),
        ["load", address, seconds] => http::load(address, seconds.parse().unwrap_or(3)),
        ["outage", name, kind, seconds] => outage::run(name, kind, seconds.parse().unwrap_or(10)),
        _ => return unknown("nothing"),
    }
    ExitCode::SUCCESS
}

trait ConcatAll {
    fn concat_all(self) -> Vec<&'static Case>;
}

impl<const N: usize> ConcatAll for [&'static [Case]; N] {
    fn concat_all(self) -> Vec<&'static Case> {
        self.iter().flat_map(|cases| cases.iter()).collect()
    }
}

fn find(cases: &[&'static Case], name: &str) -> Option<&'static Case> {
    cases.iter().find(|case| case.name == name).copied()
}

fn unknown(name: &str) -> ExitCode {
    eprintln!("sdk bench: there is no case `{name}`; `list` names them");
    ExitCode::from(2)
}

/// Prints `median_ns minimum_ns allocations bytes` of one operation.
fn time(mut case: Running) {
    let start = Instant::now();
    while start.elapsed() < WARM_UP {
        operate(&mut case, black_box(CHUNK));
        (case.settle)();
    }
    let mut nanoseconds = Vec::with_capacity(SAMPLES);
    let mut allocated = allocations::Count::default();
    for _ in 0..SAMPLES {
        let before = allocations::of_this_thread();
        let start = Instant::now();
        operate(&mut case, black_box(CHUNK));
        let took = start.elapsed();
        allocated += allocations::of_this_thread() - before;
        nanoseconds.push(took.as_nanos() as f64 / f64::from(CHUNK));
        (case.settle)();
    }
    nanoseconds.sort_by(f64::total_cmp);
    let operations = SAMPLES as f64 * f64::from(CHUNK);
    println!(
        "{:.2} {:.2} {:.3} {:.1}",
        nanoseconds[SAMPLES / 2],
        nanoseconds[0],
        allocated.allocations as f64 / operations,
        allocated.bytes as f64 / operations
    );
}

/// What is timed, and where instructions are counted: without start, flushes and other threads.
#[inline(never)]
fn operate(case: &mut Running, times: u32) {
    (case.operate)(times);
    // Not the last thing it does, so that a counter sees when it ends.
    black_box(times);
}

fn count(mut case: Running, operations: u32) {
    for _ in 0..operations / CHUNK {
        operate(&mut case, black_box(CHUNK));
        (case.settle)();
    }
}
