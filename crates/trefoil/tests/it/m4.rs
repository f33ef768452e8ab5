//! M4: errors are always captured, whatever the sampling rate, in bounded memory.

use std::collections::HashMap;
use std::time::Duration;

use tracing::{error, info_span};
use trefoil::{Builder, Console, Signal, Trefoil};

use crate::child::{play, plays};
use crate::receiver::{Protocol, Receiver};

const DEADLINE: Duration = Duration::from_secs(30);
/// Traces of which one in a hundred fails.
const TRACES: usize = 50_000;
const FAILING: usize = 500;
const SPANS_PER_TRACE: usize = 3;

fn service(receiver: &Receiver) -> Builder {
    Trefoil::builder("m4")
        .variables([("ENV", "test")])
        .console(Console::Off)
        .level("error")
        .runtime_metrics(false)
        .otlp(&receiver.url())
        .delay(Duration::from_millis(20))
        .batch(512, 16_384)
        .sampling_rate(0.01)
}

/// Failing traces that arrived with all their spans, and all failing traces that arrived.
fn send_traces(keep_errors: bool) -> (usize, usize) {
    let receiver = Receiver::start(Protocol::Http);
    let (telemetry, dispatch) = service(&receiver).keep_errors(keep_errors).build();
    tracing::dispatcher::with_default(&dispatch, || {
        for number in 0..TRACES {
            let root = info_span!("request", number).entered();
            drop(info_span!("before").entered());
            let last = info_span!("last").entered();
            if number % (TRACES / FAILING) == 7 {
                error!("it failed");
            }
            drop((last, root));
        }
    });
    let report = telemetry.handle();
    let ended = telemetry.shutdown(DEADLINE);
    let counts = report.counts(Signal::Traces);
    assert_eq!(counts.produced, (TRACES * SPANS_PER_TRACE) as u64);
    assert_eq!(counts.pending(), 0, "{ended}");
    let spans = receiver.spans();
    assert_eq!(counts.exported, spans.len() as u64, "what is counted is what arrived");

    let mut traces: HashMap<Vec<u8>, (usize, bool)> = HashMap::new();
    for span in &spans {
        let (count, failed) = traces.entry(span.trace_id.clone()).or_default();
        *count += 1;
        *failed |= span.status.as_ref().is_some_and(|status| status.code == 2);
    }
    let failed: Vec<usize> = traces.values().filter(|(_, f)| *f).map(|(count, _)| *count).collect();
    (failed.iter().filter(|count| **count == SPANS_PER_TRACE).count(), failed.len())
}

#[test]
fn m4_errors_are_always_captured() {
    let kept = send_traces(true);
    assert_eq!(kept, (FAILING, FAILING), "all of them, and whole");
    // The control: the same traffic when the decision at the start is the last word, which is
    // what a sampler alone does. One in a hundred is left of them.
    let (_, control) = send_traces(false);
    assert!(control < FAILING / 10, "{control} of {FAILING} by luck alone");
}

/// Bytes of memory that the process has in use.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap_or(0) << 10
}

#[test]
fn m4_memory_holds_at_100k_open_spans() {
    const PART: &str = "m4::m4_memory_holds_at_100k_open_spans";
    if !plays(PART) {
        let played = play(PART, &[]);
        assert!(played.status.success(), "{}", played.stderr);
        return;
    }
    let receiver = Receiver::start(Protocol::Http);
    let (telemetry, dispatch) = service(&receiver).build();
    let before = resident_bytes();
    let failing = |number: usize| number.is_multiple_of(200);
    tracing::dispatcher::with_default(&dispatch, || {
        let open: Vec<_> = (0..100_000)
            .map(|number| {
                let root = info_span!("request", number, user = "anna", plan = "free", size = 1.5);
                root.in_scope(|| {
                    let child = info_span!("child", number, table = "accounts").entered();
                    drop(child);
                });
                root
            })
            .collect();
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < 160 << 20, "{} MiB for 100k open spans", grown >> 20);
        for (number, root) in open.into_iter().enumerate() {
            if failing(number) {
                root.in_scope(|| error!("it failed"));
            }
        }
        // What was open left its places to others.
        let again: Vec<_> = (0..100_000).map(|number| info_span!("again", number)).collect();
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < 192 << 20, "{} MiB the second time", grown >> 20);
        drop(again);
    });
    let handle = telemetry.handle();
    let report = telemetry.shutdown(DEADLINE);
    let counts = handle.counts(Signal::Traces);
    assert_eq!((counts.produced, counts.pending()), (300_000, 0), "{report}");
    let spans = receiver.spans();
    assert_eq!(counts.exported, spans.len() as u64);
    let failed = spans.iter().filter(|span| span.status.as_ref().is_some_and(|s| s.code == 2));
    assert_eq!(failed.count(), 500, "none of those that failed is lost");
}
