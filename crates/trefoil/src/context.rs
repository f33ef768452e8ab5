//! What travels from span to span and from service to service: whose child the next span
//! is, and baggage.

use std::cell::RefCell;
use std::sync::Arc;

use crate::id::{SpanId, TraceId};

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

    /// Whether the trace is sampled.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self.0 & 1 != 0
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
    /// The header's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

/// W3C baggage: keys and values that travel with the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baggage(pub(crate) Option<Arc<[(String, String)]>>);

impl Baggage {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    /// Keys and values in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|pairs| pairs.iter()).map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|pairs| pairs.is_empty())
    }
}

/// What the next span becomes a child of, and the baggage that goes with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The parent; `None` begins a new trace.
    pub span: Option<SpanContext>,
    /// What travels along.
    pub baggage: Baggage,
}

thread_local! {
    static ATTACHED: RefCell<Vec<Context>> = const { RefCell::new(Vec::new()) };
}

impl Context {
    /// Makes it the parent of root spans that this thread begins until the guard is dropped.
    /// A span inside another span of this process stays a child of that one.
    #[must_use = "it is detached when the guard is dropped"]
    pub fn attach(self) -> Attached {
        ATTACHED.with_borrow_mut(|stack| stack.push(self));
        Attached(std::marker::PhantomData)
    }

    /// The attached context, seen by `read`; `None` if there is none.
    pub(crate) fn with_attached<T>(read: impl FnOnce(&Context) -> T) -> Option<T> {
        ATTACHED.try_with(|stack| stack.borrow().last().map(read)).ok().flatten()
    }
}

/// Detaches its context when dropped. Guards are dropped in reverse order of attaching.
#[derive(Debug)]
pub struct Attached(std::marker::PhantomData<*const ()>);

impl Drop for Attached {
    fn drop(&mut self) {
        // The thread may be ending, and its stack gone.
        let _ = ATTACHED.try_with(|stack| stack.borrow_mut().pop());
    }
}
