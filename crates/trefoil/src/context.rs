//! What travels from span to span and from service to service: whose child the next span
//! is, and baggage.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::id::{SpanId, TraceId};
use crate::propagate::percent_encoded;
use crate::span::Fate;

/// A span as the others know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace it is part of.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// W3C trace flags.
    pub flags: TraceFlags,
    /// W3C `tracestate`.
    pub state: TraceState,
    /// Whether it came from another process.
    pub remote: bool,
}

/// W3C trace flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceFlags(pub u8);

impl TraceFlags {
    /// The trace is sampled.
    pub const SAMPLED: TraceFlags = TraceFlags(1);
    /// The last 56 bits of the trace id are random (level 2).
    pub const RANDOM: TraceFlags = TraceFlags(2);
    /// Not of W3C and never sent: the caller left the decision to us, as B3 allows.
    pub(crate) const DEFERRED: TraceFlags = TraceFlags(0x80);

    /// Whether the trace is sampled.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self.0 & 1 != 0
    }

    /// Those that W3C knows: what a header says.
    pub(crate) fn known(self) -> u8 {
        self.0 & (Self::SAMPLED.0 | Self::RANDOM.0)
    }

    /// Whether the caller left the decision to us.
    pub(crate) fn is_deferred(self) -> bool {
        self.0 & Self::DEFERRED.0 != 0
    }

    /// Whether the last 56 bits of the trace id are random.
    #[must_use]
    pub fn is_random(self) -> bool {
        self.0 & 2 != 0
    }
}

/// W3C `tracestate`: members as text, the newest first; empty for most traces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceState(pub(crate) Option<Arc<str>>);

impl TraceState {
    /// Members that a `tracestate` has at most.
    pub(crate) const MEMBERS_MAX: usize = 32;

    /// Members that are known to be well formed, as `a=1,b=2`.
    pub(crate) fn from_members(members: &str) -> TraceState {
        TraceState((!members.is_empty()).then(|| Arc::from(members)))
    }

    /// The header's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether both are one text in memory.
    pub(crate) fn is_same(&self, other: &TraceState) -> bool {
        match (&self.0, &other.0) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (own, other) => own.is_none() && other.is_none(),
        }
    }

    /// The value of a member.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.members().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// Keys and values, the newest first.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.as_str().split(',').filter_map(|member| member.split_once('='))
    }

    /// With a member put first, as the specification asks of whoever changes one.
    pub(crate) fn with(&self, key: &str, value: &str) -> TraceState {
        let mut members = format!("{key}={value}");
        let others = self.members().filter(|(k, _)| *k != key);
        for (key, value) in others.take(Self::MEMBERS_MAX - 1) {
            members.push(',');
            members.push_str(key);
            members.push('=');
            members.push_str(value);
        }
        TraceState::from_members(&members)
    }

    /// Without a member.
    pub(crate) fn without(&self, key: &str) -> TraceState {
        if self.get(key).is_none() {
            return self.clone();
        }
        let others = self.as_str().split(',');
        let others = others.filter(|member| member.split_once('=').is_none_or(|(k, _)| k != key));
        TraceState::from_members(&others.collect::<Vec<_>>().join(","))
    }
}

/// W3C baggage: keys and values that travel with the request. Everyone on the way can read
/// them, and they leave with every call: no secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baggage(pub(crate) Option<Arc<[BaggageEntry]>>);

/// One of the entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaggageEntry {
    pub(crate) key: String,
    /// The value as it is written: what came well formed leaves as it came.
    pub(crate) encoded: String,
    /// The value, if that is another text.
    pub(crate) decoded: Option<String>,
    /// What is written behind the first `;`.
    pub(crate) properties: String,
}

impl BaggageEntry {
    /// With a value, and `encoded`, which is how it is written.
    pub(crate) fn new(key: &str, value: &str, encoded: String) -> BaggageEntry {
        let decoded = (value != encoded).then(|| value.to_owned());
        BaggageEntry { key: key.to_owned(), encoded, decoded, properties: String::new() }
    }

    pub(crate) fn value(&self) -> &str {
        self.decoded.as_deref().unwrap_or(&self.encoded)
    }
}

impl Baggage {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    /// Keys and values in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries().iter().map(|entry| (entry.key.as_str(), entry.value()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// With a key, whose former value is replaced. Keys are tokens of HTTP; others are left
    /// out when the baggage leaves the process.
    #[must_use]
    pub fn with(&self, key: &str, value: &str) -> Baggage {
        let entry = BaggageEntry::new(key, value, percent_encoded(value));
        let others = self.entries().iter().filter(|entry| entry.key != key).cloned();
        Baggage(Some(others.chain([entry]).collect()))
    }

    pub(crate) fn entries(&self) -> &[BaggageEntry] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Baggage {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(pairs: T) -> Self {
        let entries = pairs.into_iter().map(|(key, value)| {
            let (key, value) = (key.into(), value.into());
            BaggageEntry::new(&key, &value, percent_encoded(&value))
        });
        let entries: Arc<[BaggageEntry]> = entries.collect();
        Baggage((!entries.is_empty()).then_some(entries))
    }
}

/// What the next span becomes a child of, and the baggage that goes with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The parent; `None` begins a new trace.
    pub span: Option<SpanContext>,
    /// What travels along.
    pub baggage: Baggage,
    /// What a caller decided about a trace that it leaves to us to begin, as B3 allows.
    pub(crate) decided: Option<bool>,
    /// How the trace is decided, if the span is one of this process.
    pub(crate) fate: Fate,
}

thread_local! {
    /// With the number of spans that the thread was in when each was attached.
    static ATTACHED: RefCell<Vec<(Context, usize)>> = const { RefCell::new(Vec::new()) };
    /// How many there are: each span asks, and mostly there is none.
    static ATTACHED_COUNT: Cell<usize> = const { Cell::new(0) };
}

impl Context {
    /// A context of these.
    #[must_use]
    pub fn new(span: Option<SpanContext>, baggage: Baggage) -> Context {
        Context { span, baggage, decided: None, fate: Fate::default() }
    }

    /// Whether there is something for spans that begin a trace.
    pub(crate) fn has_more_than_a_span(&self) -> bool {
        !self.baggage.is_empty() || self.decided.is_some()
    }

    /// The current span of this thread and its baggage, or the attached context outside of
    /// spans. Baggage that was attached inside the span comes before the span's.
    #[must_use]
    pub fn current() -> Context {
        match crate::span::current_context() {
            None => Context::with_attached(Context::clone).unwrap_or_default(),
            Some(context) => match Context::baggage_attached_within(crate::span::depth()) {
                Some(baggage) => Context { baggage, ..context },
                None => context,
            },
        }
    }

    /// The same with other baggage.
    #[must_use]
    pub fn with_baggage(self, baggage: Baggage) -> Context {
        Context { baggage, ..self }
    }

    /// Makes it the parent of root spans that this thread begins until the guard is dropped.
    /// A span inside another span of this process stays a child of that one, and takes over
    /// the baggage if that was attached inside the other.
    #[must_use = "it is detached when the guard is dropped"]
    pub fn attach(self) -> Attached {
        let depth = crate::span::depth();
        ATTACHED.with_borrow_mut(|stack| {
            stack.push((self, depth));
            ATTACHED_COUNT.set(stack.len());
        });
        Attached(std::marker::PhantomData)
    }

    /// Whether this thread has a context attached.
    #[inline]
    pub(crate) fn is_any_attached() -> bool {
        ATTACHED_COUNT.get() != 0
    }

    /// The attached context, seen by `read`; `None` if there is none.
    #[inline]
    pub(crate) fn with_attached<T>(read: impl FnOnce(&Context) -> T) -> Option<T> {
        if ATTACHED_COUNT.get() == 0 {
            return None;
        }
        ATTACHED.try_with(|stack| stack.borrow().last().map(|(context, _)| read(context))).ok()?
    }

    /// The baggage of the context that was attached inside as many spans.
    #[inline]
    pub(crate) fn baggage_attached_within(depth: usize) -> Option<Baggage> {
        if ATTACHED_COUNT.get() == 0 {
            return None;
        }
        let read = |stack: &RefCell<Vec<(Context, usize)>>| {
            let stack = stack.borrow();
            let (context, within) = stack.last()?;
            (*within >= depth).then(|| context.baggage.clone())
        };
        ATTACHED.try_with(read).ok()?
    }
}

/// Detaches its context when dropped. Guards are dropped in reverse order of attaching.
#[derive(Debug)]
pub struct Attached(std::marker::PhantomData<*const ()>);

impl Drop for Attached {
    fn drop(&mut self) {
        // The thread may be ending, and its stack gone.
        let detached = ATTACHED.try_with(|stack| {
            let mut stack = stack.borrow_mut();
            let last = stack.pop();
            ATTACHED_COUNT.set(stack.len());
            last
        });
        // Only now: whoever else drops the last of something may look at the stack.
        drop(detached);
    }
}
