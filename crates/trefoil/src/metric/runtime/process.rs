//! The process as Linux sees it, in `/proc`.
//!
//! Sources: proc(5); the semantic conventions for processes (on OTLP); the metrics that
//! Prometheus's client libraries agree on (in text). Elsewhere than on Linux there are none.

use std::time::Duration;

use super::{Audience, Kind, Registry, observe};
use crate::{label_enum, labels};

label_enum! {
    enum CpuMode { User, System }
    enum Switch { Voluntary, Involuntary }
}

labels! {
    struct Cpu { mode: CpuMode as "cpu.mode" }
    struct Switches { kind: Switch as "process.context_switch_type" }
}

pub(super) fn observe_process(registry: &Registry) {
    let Some(units) = Units::of_kernel() else { return };
    cpu(registry, units);
    memory(registry, units);
    files_and_threads(registry, units);
}

fn cpu(registry: &Registry, units: Units) {
    let about = ("process.cpu.time", "s", "Time of all CPUs that the process used.");
    observe::<Cpu, f64>(registry, about, Kind::Counter, Audience::Push, move |observer| {
        if let Some(stat) = Stat::read() {
            observer.set(units.seconds(stat.user), Cpu { mode: CpuMode::User });
            observer.set(units.seconds(stat.system), Cpu { mode: CpuMode::System });
        }
    });
    let about = ("process_cpu_seconds_total", "s", "Time of all CPUs that the process used.");
    observe::<(), f64>(registry, about, Kind::Counter, Audience::Pull, move |observer| {
        if let Some(stat) = Stat::read() {
            observer.set(units.seconds(stat.user + stat.system), ());
        }
    });
    let about = ("process.context_switches", "{context_switch}", "Times the process was switched.");
    observe::<Switches, u64>(registry, about, Kind::Counter, Audience::Both, |observer| {
        for (key, kind) in [
            ("voluntary_ctxt_switches:", Switch::Voluntary),
            ("nonvoluntary_ctxt_switches:", Switch::Involuntary),
        ] {
            if let Some(count) = status(key) {
                observer.set(count, Switches { kind });
            }
        }
    });
}

fn memory(registry: &Registry, units: Units) {
    let resident = move || Stat::read().map(|stat| stat.resident_pages * units.page_bytes);
    let virtual_bytes = || Stat::read().map(|stat| stat.virtual_bytes);
    let about = ("process.memory.usage", "By", "Memory of the process that is in RAM.");
    up_down(registry, about, resident);
    let about = ("process.memory.virtual", "By", "Address space of the process.");
    up_down(registry, about, virtual_bytes);
    let about = ("process_resident_memory_bytes", "By", "Memory of the process that is in RAM.");
    gauge(registry, about, resident);
    let about = ("process_virtual_memory_bytes", "By", "Address space of the process.");
    gauge(registry, about, virtual_bytes);
}

fn files_and_threads(registry: &Registry, units: Units) {
    let threads = || Stat::read().map(|stat| stat.threads);
    let open = || Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as u64);
    let about = ("process.thread.count", "{thread}", "Threads of the process.");
    up_down(registry, about, threads);
    let about =
        ("process.unix.file_descriptor.count", "{file_descriptor}", "File descriptors in use.");
    up_down(registry, about, open);
    gauge(registry, ("process_threads", "", "Threads of the process."), threads);
    gauge(registry, ("process_open_fds", "", "File descriptors in use."), open);
    let about = ("process_max_fds", "", "File descriptors that the process may have.");
    gauge(registry, about, open_files_max);
    let about = ("process.uptime", "s", "Time since the process started.");
    observe::<(), f64>(registry, about, Kind::Gauge, Audience::Push, |observer| {
        if let Some(age) = age() {
            observer.set(age.as_secs_f64(), ());
        }
    });
    let about = ("process_start_time_seconds", "s", "Unix time at which the process started.");
    observe::<(), f64>(registry, about, Kind::Gauge, Audience::Pull, move |observer| {
        if let (Some(stat), Some(boot)) = (Stat::read(), boot_seconds()) {
            observer.set(boot as f64 + units.seconds(stat.started), ());
        }
    });
}

type About = (&'static str, &'static str, &'static str);

fn up_down(registry: &Registry, about: About, read: impl Fn() -> Option<u64> + Send + 'static) {
    observe::<(), i64>(registry, about, Kind::UpDownCounter, Audience::Push, move |observer| {
        if let Some(value) = read() {
            observer.set(i64::try_from(value).unwrap_or(i64::MAX), ());
        }
    });
}

fn gauge(registry: &Registry, about: About, read: impl Fn() -> Option<u64> + Send + 'static) {
    observe::<(), u64>(registry, about, Kind::Gauge, Audience::Pull, move |observer| {
        if let Some(value) = read() {
            observer.set(value, ());
        }
    });
}

/// How the kernel counts time and memory.
#[derive(Clone, Copy)]
struct Units {
    ticks_per_second: u64,
    page_bytes: u64,
}

impl Units {
    /// From the auxiliary vector, which the kernel hands to each process: pairs of words.
    fn of_kernel() -> Option<Units> {
        const PAGE_BYTES: usize = 6;
        const TICKS: usize = 17;
        let vector = std::fs::read("/proc/self/auxv").ok()?;
        let mut words = vector.as_chunks::<{ size_of::<usize>() }>().0.iter();
        let (mut ticks, mut page) = (None, None);
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            let value = usize::from_ne_bytes(*value) as u64;
            match usize::from_ne_bytes(*key) {
                PAGE_BYTES => page = Some(value),
                TICKS => ticks = Some(value),
                _ => {}
            }
        }
        Some(Units { ticks_per_second: ticks.filter(|t| *t > 0)?, page_bytes: page? })
    }

    fn seconds(self, ticks: u64) -> f64 {
        ticks as f64 / self.ticks_per_second as f64
    }
}

/// What `/proc/self/stat` says.
#[derive(Debug)]
struct Stat {
    /// Ticks.
    user: u64,
    /// Ticks.
    system: u64,
    threads: u64,
    /// Ticks since boot.
    started: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn read() -> Option<Stat> {
        let text = std::fs::read_to_string("/proc/self/stat").ok()?;
        Stat::parse(&text)
    }

    /// The second field is a name in parentheses that may hold anything; fields are counted
    /// from the state behind it, the third.
    fn parse(text: &str) -> Option<Stat> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse().ok();
        Some(Stat {
            user: field(14)?,
            system: field(15)?,
            threads: field(20)?,
            started: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// A number of `/proc/self/status`.
fn status(key: &str) -> Option<u64> {
    number_behind(&std::fs::read_to_string("/proc/self/status").ok()?, key)
}

/// Unix seconds.
fn boot_seconds() -> Option<u64> {
    number_behind(&std::fs::read_to_string("/proc/stat").ok()?, "btime")
}

fn number_behind(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn open_files_max() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/limits").ok()?;
    number_behind(&text, "Max open files")
}

/// How long the process runs.
pub(super) fn age() -> Option<Duration> {
    let units = Units::of_kernel()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_ascii_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(uptime - units.seconds(Stat::read()?.started)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let text = "4242 (a) R b) (c) S 1 4242 4242 0 -1 4194304 500 0 0 0 120 30 0 0 20 0 7 0 \
                    98765 123456789 2345 18446744073709551615";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.user, stat.system, stat.threads), (120, 30, 7));
        let rest = (stat.started, stat.virtual_bytes, stat.resident_pages);
        assert_eq!(rest, (98765, 123_456_789, 2345));
        assert!(Stat::parse("4242 (a) S 1").is_none());
    }
}
