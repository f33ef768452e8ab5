//! Traces that wait for their verdict, and the verdict.
//!
//! When a trace is sampled with a probability below one, or not at all but errors are kept,
//! the finished spans and log records of its local part wait here until it is known how it
//! went: it leaves whole if a span failed, if it was slow or if someone asked for it, else by
//! what the sampler said. The first span that fails settles it; otherwise the end of the
//! local root does. What ends later follows the verdict.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use super::encode::{SPAN_ATTRIBUTE, attribute_double, attribute_str, bytes};
use super::local::{Buffers, Current, Heritage, Local, empty, with_stack};
use super::open::{Open, attributes, encode_flags};
use super::slab::{Cached, Key};
use super::{Spans, Store};
use crate::account::Dropped;
use crate::config::KeepSettings;
use crate::context::{TraceFlags, TraceState};
use crate::export::{Outbox, Priority};
use crate::metric::Candidate;
use crate::sample::{Decision, has_threshold, probability, with_threshold};

/// A trace whose local part has open spans.
#[derive(Default)]
pub(super) struct Trace {
    /// Open spans that belong to it.
    open: u32,
    verdict: Verdict,
    sampled: bool,
    /// The sampler's rejection threshold, 0 if it is certain.
    threshold: u64,
    reason: &'static str,
    /// `tracestate` as the sampler left it.
    state: TraceState,
    root_start_ns: u64,
    held: Held,
    /// What each span gets that leaves: why, how probably, and the `tracestate`.
    mark: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Verdict {
    #[default]
    Pending,
    Kept(Priority),
    Forgotten,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Held {
    items: Vec<Item>,
    bytes: Vec<u8>,
    logs: usize,
    exemplars: Vec<Candidate>,
}

/// Exemplars that wait in one trace: enough for the metrics of a request.
const EXEMPLARS_MAX: usize = 8;

impl Held {
    pub(super) const fn new() -> Held {
        Held { items: Vec::new(), bytes: Vec::new(), logs: 0, exemplars: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty() && self.exemplars.is_empty()
    }

    fn cost(&self) -> usize {
        self.items.len() * size_of::<Item>() + self.bytes.len()
    }

    fn clear(&mut self) {
        empty(&mut self.items);
        empty(&mut self.bytes);
        self.logs = 0;
        self.exemplars.clear();
    }
}

#[derive(Debug)]
struct Item {
    scope: &'static str,
    /// Length of the message.
    length: usize,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Span { flags: TraceFlags, remote_parent: bool },
    Log { priority: Priority, severity: u8, flags_at: usize },
}

/// What leaves when a span has ended or a verdict was given; it does so after all locks are
/// released.
#[derive(Default)]
pub(super) struct Leaving {
    /// A span: its scope and priority. Its bytes lie in the body of the buffers.
    span: Option<(&'static str, Priority)>,
    /// A decided trace, and whether it is kept. What waited lies apart.
    decided: Option<Option<Priority>>,
    /// Whether there is more in memory now than may be.
    over_budget: bool,
    /// A span is in the outbox already, which is full now.
    pub(super) fills_outbox: bool,
}

/// WARN of OpenTelemetry: from here on records are worth keeping by themselves.
const SEVERITY_WARN: u8 = 13;

impl Store {
    /// Makes a trace of one open span, its local root, about which the sampler has decided.
    /// `settled` says that nothing can change that.
    #[allow(unsafe_code)]
    pub(super) fn begin_trace(
        &self,
        cache: &mut Cached,
        decision: &Decision,
        heritage: Option<&Heritage>,
        start_ns: u64,
        settled: bool,
    ) -> Option<Key> {
        let fill = |_, trace: &mut Trace| {
            trace.open = 1;
            trace.sampled = decision.sampled;
            trace.threshold = decision.threshold.unwrap_or(0);
            trace.reason = decision.reason;
            trace.state = heritage.map(|heritage| heritage.state.clone()).unwrap_or_default();
            trace.root_start_ns = start_ns;
            trace.verdict = Verdict::Pending;
            if settled {
                trace.settle_by_sampler();
            }
        };
        // SAFETY: the cache is the thread's, which gives it back and clears it before it uses
        // another store (`Local::with`); places of traces and of spans are apart there.
        unsafe { self.undecided.take(cache, fill) }
    }

    /// One more open span, unless the trace has none any more.
    pub(super) fn join_trace(&self, key: Key) -> bool {
        self.undecided.with(key, |trace| trace.open += 1).is_some()
    }

    /// One open span less, which never was.
    pub(super) fn leave_trace(&self, key: Key, cache: &mut Cached) {
        self.undecided.with_last(key, cache, Trace::one_less);
    }

    /// A span of the trace has ended. Its bytes go to the trace, or to `out` if it leaves.
    pub(super) fn end_in_trace(
        &self,
        key: Key,
        open: &Open,
        end_ns: u64,
        out: &mut Buffers,
        work: &mut Workplace<'_>,
    ) -> Leaving {
        let mut leaving = Leaving::default();
        let Workplace { traces, credit, released, .. } = work;
        self.undecided.with_last(key, traces, |trace| {
            if trace.verdict == Verdict::Pending {
                leaving.decided = self.judge(trace, open, end_ns, credit, released);
                if leaving.decided.is_some() {
                    out.texts.extend_from_slice(&trace.mark);
                }
            }
            match trace.verdict {
                Verdict::Pending => {
                    let start = trace.held.bytes.len();
                    open.encode(&mut trace.held.bytes, end_ns, self.code_location);
                    let length = trace.held.bytes.len() - start;
                    let what =
                        What::Span { flags: open.own.flags, remote_parent: open.remote_parent };
                    trace.held.items.push(Item { scope: open.scope, length, what });
                    leaving.over_budget = !self.budget.spend(credit, length + size_of::<Item>());
                }
                Verdict::Kept(priority) => {
                    open.encode(&mut out.body, end_ns, self.code_location);
                    out.body.extend_from_slice(&trace.mark);
                    let flags = TraceFlags(open.own.flags.0 | TraceFlags::SAMPLED.0);
                    encode_flags(&mut out.body, flags, open.remote_parent);
                    leaving.span = Some((open.scope, priority));
                }
                Verdict::Forgotten if open.failed() && self.keep.errors => {
                    // Its trace is gone, but it is an error: it leaves alone, and says so.
                    open.encode(&mut out.body, end_ns, self.code_location);
                    encode_mark(&mut out.body, "late_error", 0, &trace.state);
                    let flags = TraceFlags(open.own.flags.0 | TraceFlags::SAMPLED.0);
                    encode_flags(&mut out.body, flags, open.remote_parent);
                    leaving.span = Some((open.scope, Priority::Error));
                }
                Verdict::Forgotten => self.account.sampled_out(1),
            }
            trace.one_less()
        });
        leaving
    }

    /// The verdict, if the end of this span brings it, and what waited for it.
    fn judge(
        &self,
        trace: &mut Trace,
        ending: &Open,
        end_ns: u64,
        credit: &mut usize,
        released: &mut Held,
    ) -> Option<Option<Priority>> {
        let took_ns = end_ns.saturating_sub(trace.root_start_ns);
        let takes_more = |limit| Duration::from_nanos(took_ns) > limit;
        if ending.failed() && self.keep.errors {
            trace.settle("error", 0, Priority::Error);
        } else if ending.local_root {
            match slow_after(&self.keep, ending) {
                Some(limit) if takes_more(limit) => trace.settle("slow", 0, Priority::Error),
                _ => trace.settle_by_sampler(),
            }
        } else if self.keep.slow_by_route.is_empty() && self.keep.slow.is_some_and(takes_more) {
            // The root is open and too slow already, whenever it will end.
            trace.settle("slow", 0, Priority::Error);
        } else {
            return None;
        }
        self.hand_over(trace, credit, released)
    }

    /// What waited in a decided trace. Spans alone that are forgotten are only counted.
    fn hand_over(
        &self,
        trace: &mut Trace,
        credit: &mut usize,
        released: &mut Held,
    ) -> Option<Option<Priority>> {
        self.budget.earn(credit, trace.held.cost());
        let kept = match trace.verdict {
            Verdict::Kept(priority) => Some(priority),
            Verdict::Pending | Verdict::Forgotten => None,
        };
        if kept.is_none() && trace.held.logs == 0 {
            self.account.sampled_out(trace.held.items.len() as u64);
            trace.held.clear();
            return None;
        }
        (!trace.held.is_empty()).then(|| {
            std::mem::swap(&mut trace.held, released);
            kept
        })
    }

    /// Someone asks for the trace to be kept.
    pub(super) fn keep_trace(&self, key: Key, reason: &'static str) {
        let (mut credit, mut released, mut out) = (0, Held::new(), Local::buffers());
        let kept = self.undecided.with(key, |trace| {
            if trace.verdict != Verdict::Pending {
                return Leaving::default();
            }
            trace.settle(reason, 0, Priority::Error);
            out.texts.extend_from_slice(&trace.mark);
            let decided = self.hand_over(trace, &mut credit, &mut released);
            Leaving { decided, ..Leaving::default() }
        });
        self.budget.give_back(credit);
        self.push(&kept.unwrap_or_default(), &mut out, &mut released);
        Local::keep_buffers(out);
    }

    /// Pushes what leaves. `out` holds the bytes of a span that does, and the mark of a trace.
    pub(super) fn push(&self, leaving: &Leaving, out: &mut Buffers, released: &mut Held) {
        if let Some((scope, priority)) = leaving.span {
            self.spans_out.push(scope, priority, &out.body);
        }
        if let Some(kept) = leaving.decided {
            match kept {
                Some(priority) => self.push_kept(released, priority, out),
                None => self.push_forgotten(released),
            }
            released.clear();
        }
        if leaving.over_budget {
            self.evict();
        }
    }

    fn push_kept(&self, held: &mut Held, kept: Priority, out: &mut Buffers) {
        for (item, range) in ranges(&held.items) {
            let message = &mut held.bytes[range];
            match item.what {
                What::Span { flags, remote_parent } => {
                    out.body.clear();
                    out.body.extend_from_slice(message);
                    out.body.extend_from_slice(&out.texts);
                    let flags = TraceFlags(flags.0 | TraceFlags::SAMPLED.0);
                    encode_flags(&mut out.body, flags, remote_parent);
                    self.spans_out.push(item.scope, kept, &out.body);
                }
                What::Log { priority, flags_at, .. } => {
                    set_sampled(message, flags_at);
                    let priority = if kept == Priority::Error { kept } else { priority };
                    self.logs_out.push(item.scope, priority, message);
                }
            }
        }
        held.exemplars.drain(..).for_each(Candidate::elect);
    }

    fn push_forgotten(&self, held: &mut Held) {
        for (item, range) in ranges(&held.items) {
            match item.what {
                What::Span { .. } => self.account.sampled_out(1),
                What::Log { severity, .. } if self.leaves_out(severity) => {
                    self.log_account.sampled_out(1);
                }
                What::Log { priority, .. } => {
                    self.logs_out.push(item.scope, priority, &held.bytes[range]);
                }
            }
        }
    }

    /// Whether a log record of a forgotten trace is left out with it.
    fn leaves_out(&self, severity: u8) -> bool {
        self.logs_follow_sampling && severity < SEVERITY_WARN
    }

    /// A log record of a trace that was forgotten from the start.
    pub(super) fn log_of_none(
        &self,
        scope: &'static str,
        priority: Priority,
        severity: u8,
        message: &[u8],
    ) {
        if self.leaves_out(severity) {
            self.log_account.sampled_out(1);
        } else {
            self.logs_out.push(scope, priority, message);
        }
    }

    /// Decides all traces that are still open, as when the process ends: those that the
    /// sampler took leave, the others are forgotten.
    pub(super) fn decide_all(&self) {
        for index in 0..self.undecided.used() {
            let (mut credit, mut released, mut out) = (0, Held::new(), Local::buffers());
            let decided = self.undecided.at(index, |trace| {
                if trace.verdict != Verdict::Pending {
                    return None;
                }
                trace.settle_by_sampler();
                out.texts.extend_from_slice(&trace.mark);
                self.hand_over(trace, &mut credit, &mut released)
            });
            self.budget.give_back(credit);
            let decided = decided.flatten();
            self.push(&Leaving { decided, ..Leaving::default() }, &mut out, &mut released);
            Local::keep_buffers(out);
        }
    }
}

impl Spans {
    /// Takes a log record of a trace. False if the trace has no open span any more.
    pub(super) fn log_in_trace(
        &self,
        key: Key,
        scope: &'static str,
        what: (Priority, u8, usize),
        message: &[u8],
    ) -> bool {
        let (priority, severity, flags_at) = what;
        let verdict = self.0.undecided.with(key, |trace| {
            if trace.verdict == Verdict::Pending {
                trace.held.bytes.extend_from_slice(message);
                trace.held.logs += 1;
                let what = What::Log { priority, severity, flags_at };
                trace.held.items.push(Item { scope, length: message.len(), what });
            }
            trace.verdict
        });
        match verdict {
            None => return false,
            Some(Verdict::Pending) => {
                let cost = message.len() + size_of::<Item>();
                let spend = |local: &mut Local| self.0.budget.spend(&mut local.credit, cost);
                if !Local::with(&self.0, spend) {
                    self.0.evict();
                }
            }
            Some(Verdict::Kept(kept)) => {
                let mut message = message.to_vec();
                set_sampled(&mut message, flags_at);
                let priority = if kept == Priority::Error { kept } else { priority };
                self.0.logs_out.push(scope, priority, &message);
            }
            Some(Verdict::Forgotten) if self.0.leaves_out(severity) => {
                self.0.log_account.sampled_out(1);
            }
            Some(Verdict::Forgotten) => self.0.logs_out.push(scope, priority, message),
        }
        true
    }
}

/// A measurement in the undecided trace of `current` becomes an exemplar if that is kept.
pub(crate) fn hold_exemplar(current: &Current, candidate: Candidate) {
    let store = with_stack(|stack| stack.store(stack.entered.last()?)).flatten();
    let (Some(store), Some(key)) = (store, current.fate.undecided()) else { return };
    let kept = store.undecided.with(key, |trace| trace.hold_exemplar(candidate));
    if let Some(candidate) = kept.flatten() {
        candidate.elect();
    }
}

impl Trace {
    /// Holds a measurement until the verdict. Returned if it is known that the trace leaves.
    fn hold_exemplar(&mut self, candidate: Candidate) -> Option<Candidate> {
        match self.verdict {
            Verdict::Kept(_) => return Some(candidate),
            Verdict::Forgotten => return None,
            Verdict::Pending => {}
        }
        let waiting = &mut self.held.exemplars;
        if let Some(older) = waiting.iter_mut().find(|older| older.has_place_of(&candidate)) {
            *older = candidate;
        } else if waiting.len() < EXEMPLARS_MAX {
            waiting.push(candidate);
        }
        None
    }

    fn settle(&mut self, reason: &'static str, threshold: u64, priority: Priority) {
        self.verdict = Verdict::Kept(priority);
        self.mark.clear();
        encode_mark(&mut self.mark, reason, threshold, &self.state);
    }

    fn settle_by_sampler(&mut self) {
        if self.sampled {
            self.settle(self.reason, self.threshold, Priority::Normal);
        } else {
            self.verdict = Verdict::Forgotten;
        }
    }

    /// One open span less; whether it was the last. The next to take the place sets the rest.
    fn one_less(&mut self) -> bool {
        self.open -= 1;
        if self.open == 0 {
            // Mostly the verdict has taken it already.
            if !self.held.is_empty() {
                self.held.clear();
            }
            empty(&mut self.mark);
            self.state = TraceState::default();
        }
        self.open == 0
    }
}

/// What a thread has for the end of a span.
pub(super) struct Workplace<'a> {
    pub(super) traces: &'a mut Cached,
    pub(super) credit: &'a mut usize,
    /// What a decided trace held.
    pub(super) released: &'a mut Held,
    pub(super) outbox: Option<&'a Outbox>,
}

impl Leaving {
    #[inline]
    pub(super) fn is_nothing(&self) -> bool {
        self.span.is_none() && self.decided.is_none() && !self.over_budget && !self.fills_outbox
    }

    /// A span that is in the outbox.
    pub(super) fn by_outbox(fills_outbox: bool) -> Leaving {
        Leaving { fills_outbox, ..Leaving::default() }
    }

    pub(super) fn of_span(scope: &'static str, priority: Priority) -> Leaving {
        Leaving { span: Some((scope, priority)), ..Leaving::default() }
    }
}

/// Why a span leaves, with which probability, and the same for the next in `tracestate`.
fn encode_mark(out: &mut Vec<u8>, reason: &str, threshold: u64, state: &TraceState) {
    attribute_str(out, SPAN_ATTRIBUTE, "sampling.reason", reason);
    attribute_double(out, SPAN_ATTRIBUTE, "sampling.probability", probability(threshold));
    if threshold == 0 && state.is_empty() {
        bytes(out, 3, b"ot=th:0");
    } else if has_threshold(state, threshold) {
        bytes(out, 3, state.as_str().as_bytes());
    } else {
        let state = with_threshold(state, Some(threshold));
        bytes(out, 3, state.as_str().as_bytes());
    }
}

fn set_sampled(message: &mut [u8], flags_at: usize) {
    if let Some(flags) = message.get_mut(flags_at) {
        *flags |= TraceFlags::SAMPLED.0;
    }
}

fn ranges(items: &[Item]) -> impl Iterator<Item = (&Item, Range<usize>)> {
    items.iter().scan(0, |end, item| {
        let start = *end;
        *end += item.length;
        Some((item, start..*end))
    })
}

/// From when on a local root is slow.
fn slow_after(keep: &KeepSettings, root: &Open) -> Option<Duration> {
    if keep.slow_by_route.is_empty() {
        return keep.slow;
    }
    let route = attributes(&root.body).find(|(key, _)| *key == "http.route");
    let route = route.and_then(|(_, value)| match value {
        trefoil_wire::otlp::AnyValue::Str(route) => Some(route),
        _ => None,
    });
    let matches = |pattern: &str, text: &str| match pattern.strip_suffix('*') {
        Some(prefix) => text.starts_with(prefix),
        None => text == pattern,
    };
    let of_route = keep.slow_by_route.iter().find(|(pattern, _)| {
        matches(pattern, root.name()) || route.is_some_and(|route| matches(pattern, route))
    });
    of_route.map(|(_, limit)| *limit).or(keep.slow)
}

/// Bytes that may wait.
pub(super) struct Budget {
    used: AtomicUsize,
    bytes_max: usize,
    /// Where the next search for something to evict begins.
    hand: AtomicU32,
}

/// Bytes that a thread asks for at a time, so that not each item touches what all share.
const GRANT: usize = 32 << 10;

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Budget {
        Budget { used: AtomicUsize::new(0), bytes_max, hand: AtomicU32::new(0) }
    }

    /// Takes bytes from the thread's credit, which grows if it must. False if there is more
    /// than may be.
    fn spend(&self, credit: &mut usize, bytes: usize) -> bool {
        if let Some(left) = credit.checked_sub(bytes) {
            *credit = left;
            return true;
        }
        let grant = bytes - *credit + self.grant();
        *credit += grant - bytes;
        self.used.fetch_add(grant, Ordering::Relaxed) + grant <= self.bytes_max
    }

    fn earn(&self, credit: &mut usize, bytes: usize) {
        *credit += bytes;
        if *credit > 2 * self.grant() {
            self.give_back(*credit - self.grant());
            *credit = self.grant();
        }
    }

    fn grant(&self) -> usize {
        GRANT.min(self.bytes_max / 8)
    }

    pub(super) fn give_back(&self, credit: usize) {
        self.used.fetch_sub(credit, Ordering::Relaxed);
    }

    /// Bytes in use and granted.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// Places that one search looks at.
const SEARCH_MAX: u32 = 512;

impl Store {
    /// Makes room: spans of traces that wait are dropped until there is enough. Traces that
    /// failed do not wait, so none of them is among these; those that were not sampled go first.
    #[cold]
    fn evict(&self) {
        for sampled_too in [false, true] {
            let used = self.undecided.used().max(1);
            for _ in 0..SEARCH_MAX.min(used) {
                if self.budget.used() <= self.budget.bytes_max {
                    return;
                }
                let index = self.budget.hand.fetch_add(1, Ordering::Relaxed) % used;
                self.evict_at(index, sampled_too);
            }
        }
    }

    fn evict_at(&self, index: u32, sampled_too: bool) {
        let evicted = self.undecided.at(index, |trace| {
            let wanted = trace.verdict == Verdict::Pending
                && (sampled_too || !trace.sampled)
                && !trace.held.items.is_empty();
            wanted.then(|| {
                let (cost, logs) = (trace.held.cost(), trace.held.logs);
                let spans = trace.held.items.len() - logs;
                trace.held = Held::new();
                (cost, spans, logs)
            })
        });
        if let Some((cost, spans, logs)) = evicted.flatten() {
            self.budget.give_back(cost);
            self.account.dropped(Dropped::Evicted, spans as u64);
            self.log_account.dropped(Dropped::Evicted, logs as u64);
        }
    }
}

#[cfg(test)]
impl Trace {
    pub(super) fn cost(&self) -> usize {
        self.held.cost()
    }
}
