//! What each thread has for itself: the spans it is in, places, buffers, ids.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Weak};

use tracing_core::Metadata;

use super::Store;
use super::slab::{Cached, Key};
use super::undecided::Held;
use crate::context::{Baggage, TraceFlags, TraceState};
use crate::export::Outbox;
use crate::id::{Random, SpanId, TraceId};

/// A span that children, log records and exemplars refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    /// As they travel. While the trace is undecided they hold what the sampler said.
    pub(crate) flags: TraceFlags,
    /// How its trace is decided.
    pub(super) fate: Fate,
    /// Its place in the store.
    pub(super) key: u64,
}

impl Default for Current {
    /// That of a place that no span was in yet.
    fn default() -> Current {
        let (trace_id, span_id) = (TraceId([0; 16]), SpanId([0; 8]));
        Current { trace_id, span_id, flags: TraceFlags(0), fate: Fate::UNKNOWN, key: 0 }
    }
}

impl Current {
    /// Whether it is not known yet if its trace leaves.
    pub(crate) fn is_undecided(&self) -> bool {
        self.fate.undecided().is_some()
    }
}

/// How it is decided whether spans leave: one of the constants, or the key of an undecided
/// trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Fate(pub(super) u64);

impl Fate {
    /// Not known: the parent is in another process.
    pub(super) const UNKNOWN: Fate = Fate(0);
    /// They leave when they end.
    pub(super) const DIRECT: Fate = Fate(1);
    /// They do not leave.
    pub(super) const NONE: Fate = Fate(2);

    /// The undecided trace.
    #[inline]
    pub(super) fn undecided(self) -> Option<Key> {
        (self.0 > Fate::NONE.0).then(|| Key::from_u64(self.0)).flatten()
    }
}

/// What a trace hands down beside ids, if it has any: most have none.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Heritage {
    pub(super) state: TraceState,
    pub(super) baggage: Baggage,
}

/// Whose child a span becomes.
#[derive(Clone)]
pub(super) struct Parent {
    /// Its key is 0 if it is not an open span of this store.
    pub(super) span: Current,
    /// Whether it is in another process.
    pub(super) remote: bool,
    pub(super) heritage: Option<Arc<Heritage>>,
}

/// A span that this thread is in.
pub(super) struct Entered {
    /// The store it lies in: a thread may use several, one after the other or nested.
    pub(super) store: *const Store,
    /// As `tracing` knows it, also if the store had no room for it.
    pub(super) id: u64,
    /// What begins here becomes a child of this.
    pub(super) inside: Option<Parent>,
    pub(super) metadata: Option<&'static Metadata<'static>>,
    /// Makes it the active span of the OpenTelemetry API, too. Leaked when the thread ends
    /// within the span: that API's own stack may be gone by then.
    #[cfg(feature = "opentelemetry")]
    pub(super) activated: Option<std::mem::ManuallyDrop<opentelemetry::ContextGuard>>,
}

/// What ends when a span is left.
#[cfg(feature = "opentelemetry")]
pub(super) type Guard = Option<opentelemetry::ContextGuard>;
#[cfg(not(feature = "opentelemetry"))]
pub(super) struct Guard;

impl Entered {
    #[inline]
    pub(super) fn new(
        store: *const Store,
        id: u64,
        inside: Option<Parent>,
        metadata: Option<&'static Metadata<'static>>,
    ) -> Entered {
        Entered {
            store,
            id,
            inside,
            metadata,
            #[cfg(feature = "opentelemetry")]
            activated: None,
        }
    }

    #[inline]
    pub(super) fn take_guard(&mut self) -> Guard {
        #[cfg(feature = "opentelemetry")]
        return self.activated.take().map(std::mem::ManuallyDrop::into_inner);
        #[cfg(not(feature = "opentelemetry"))]
        Guard
    }

    /// The span, if it is recorded.
    pub(super) fn current(&self) -> Option<Current> {
        self.inside.as_ref().map(|inside| inside.span)
    }
}

thread_local! {
    static STACK: RefCell<Stack> =
        const { RefCell::new(Stack { entered: Vec::new(), used_last: Weak::new() }) };
    /// Not here while it is in use.
    static LOCAL: Cell<Option<Box<Local>>> = const { Cell::new(None) };
    /// Whether this thread has made what it keeps.
    static MADE: Cell<bool> = const { Cell::new(false) };
}

/// The current span of this thread, as logs, exemplars and propagation see it. Costs a few
/// nanoseconds and no allocation.
#[inline]
pub(crate) fn current() -> Option<Current> {
    #[cfg(feature = "opentelemetry")]
    if let Some((spans, key)) = super::bridge::active_here() {
        return spans.with_open(key, |open| open.own);
    }
    with_entered(|entered| entered.last()?.current()).flatten()
}

/// The spans this thread is in.
pub(super) struct Stack {
    /// The innermost last.
    pub(super) entered: Vec<Entered>,
    used_last: Weak<Store>,
}

impl Stack {
    /// Remembers the store, so that it is found from the spans in it.
    #[inline]
    pub(super) fn follow(&mut self, store: &Arc<Store>) {
        if !std::ptr::eq(self.used_last.as_ptr(), Arc::as_ptr(store)) {
            self.used_last = Arc::downgrade(store);
        }
    }

    /// The store that this thread used last.
    #[cfg(feature = "opentelemetry")]
    pub(super) fn used_last(&self) -> Option<Arc<Store>> {
        self.used_last.upgrade()
    }

    /// The store that an entered span lies in, if it is the one that was used last.
    pub(super) fn store(&self, entered: &Entered) -> Option<Arc<Store>> {
        std::ptr::eq(self.used_last.as_ptr(), entered.store).then(|| self.used_last.upgrade())?
    }
}

/// Reads or changes the stack of this thread. `None` while the thread ends, or within.
#[inline]
pub(super) fn with_stack<R>(work: impl FnOnce(&mut Stack) -> R) -> Option<R> {
    STACK.try_with(|stack| stack.try_borrow_mut().ok().map(|mut stack| work(&mut stack))).ok()?
}

/// Whether this thread is in a span. Cheaper than to ask in which, for what is recorded most.
#[inline]
pub(crate) fn is_inside() -> bool {
    let inside =
        STACK.try_with(|stack| stack.try_borrow().is_ok_and(|stack| !stack.entered.is_empty()));
    inside.unwrap_or(false)
}

/// The spans this thread is in, the innermost last. `None` while the thread ends, or within.
#[inline]
pub(super) fn with_entered<R>(read: impl FnOnce(&mut Vec<Entered>) -> R) -> Option<R> {
    with_stack(|stack| read(&mut stack.entered))
}

/// How deep this thread is in spans.
pub(crate) fn depth() -> usize {
    with_entered(|entered| entered.len()).unwrap_or(0)
}

/// Places, buffers and random numbers of one thread.
pub(super) struct Local {
    owner: Weak<Store>,
    /// Whether it is thrown away after use, as the thread's own is in use or gone.
    is_spare: bool,
    pub(super) spans: Cached,
    pub(super) traces: Cached,
    /// Bytes of undecided traces that this thread may still add without asking.
    pub(super) credit: usize,
    pub(super) random: Random,
    /// What the last trace handed down that a sampler gave its `tracestate`: the next one's is
    /// mostly the same.
    inherited: Option<Arc<Heritage>>,
    /// What a decided trace held until it is pushed; else memory for the next one.
    pub(super) released: Held,
    /// Where the fields of a beginning span or of an event are written.
    fields: Buffers,
    /// Where an ending span is encoded, unless in the outbox.
    pub(super) out: Buffers,
    /// For spans that leave at once, if this thread has one.
    pub(super) outbox: Option<Arc<Outbox>>,
    buffers: Vec<Buffers>,
}

/// What a thread has for spans that begin.
pub(super) struct Places<'a> {
    pub(super) spans: &'a mut Cached,
    pub(super) traces: ForTraces<'a>,
}

/// What a thread has for traces that begin.
pub(super) struct ForTraces<'a> {
    pub(super) cached: &'a mut Cached,
    pub(super) random: &'a mut Random,
    pub(super) inherited: &'a mut Option<Arc<Heritage>>,
}

/// Memory that is written anew each time.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) body: Vec<u8>,
    pub(super) texts: Vec<u8>,
}

impl Buffers {
    /// Makes room for what is written next.
    #[inline]
    pub(super) fn clear(&mut self) {
        empty(&mut self.body);
        empty(&mut self.texts);
    }
}

/// Bytes that a buffer keeps for its next user.
pub(super) const KEPT_BYTES_MAX: usize = 4 << 10;
/// Pairs of buffers that a thread keeps: more are in use at once only if a value's `Debug`
/// makes spans and events of its own.
const BUFFERS_MAX: usize = 4;

impl Local {
    fn new(is_spare: bool) -> Local {
        Local {
            owner: Weak::new(),
            is_spare,
            spans: Cached::new(),
            traces: Cached::new(),
            credit: 0,
            random: Random::new(),
            inherited: None,
            released: Held::new(),
            fields: Buffers { body: Vec::new(), texts: Vec::new() },
            out: Buffers { body: Vec::new(), texts: Vec::new() },
            outbox: None,
            buffers: Vec::new(),
        }
    }

    /// What this thread has for itself, on behalf of `store`. While the thread ends, and if
    /// foreign code that `work` calls gets here again, `work` is given something that goes
    /// back afterwards: right, but slow.
    #[inline]
    pub(super) fn with<R>(store: &Arc<Store>, work: impl FnOnce(&mut Local) -> R) -> R {
        let mut local = Local::take();
        if !std::ptr::eq(local.owner.as_ptr(), Arc::as_ptr(store)) {
            local.change_owner(store);
        }
        let result = work(&mut local);
        local.put_back();
        result
    }

    /// Takes it out of its place, where nobody else finds it then: only its pointer moves, and
    /// there is one place in which `work` runs.
    #[inline]
    fn take() -> Box<Local> {
        match LOCAL.try_with(Cell::take) {
            Ok(Some(local)) => local,
            Ok(None) => Local::make(MADE.replace(true)),
            Err(_) => Local::make(true),
        }
    }

    #[cold]
    fn make(is_spare: bool) -> Box<Local> {
        Box::new(Local::new(is_spare))
    }

    #[inline]
    fn put_back(self: Box<Local>) {
        if !self.is_spare {
            // While the thread ends its place is gone, and it goes back to the store.
            let _ = LOCAL.try_with(|place| place.set(Some(self)));
        }
    }

    /// The same, with empty buffers for fields, whose values are foreign code.
    #[inline]
    pub(super) fn with_fields<R>(
        store: &Arc<Store>,
        work: impl FnOnce(&mut Buffers, &mut Places<'_>) -> R,
    ) -> R {
        Local::with(store, |local| {
            let Local { fields, spans, traces, random, inherited, .. } = local;
            // Here, not afterwards: the last user may have panicked.
            fields.clear();
            let traces = ForTraces { cached: traces, random, inherited };
            work(fields, &mut Places { spans, traces })
        })
    }

    /// What a span needs to begin.
    pub(super) fn places(&mut self) -> Places<'_> {
        let Local { spans, traces, random, inherited, .. } = self;
        Places { spans, traces: ForTraces { cached: traces, random, inherited } }
    }

    #[cold]
    fn change_owner(&mut self, store: &Arc<Store>) {
        self.give_back();
        self.owner = Arc::downgrade(store);
        if !self.is_spare {
            self.outbox = store.spans_out.outbox();
        }
    }

    /// Everything that belongs to the store goes back to it.
    fn give_back(&mut self) {
        if let Some(owner) = self.owner.upgrade() {
            owner.open.give_back(&mut self.spans, 0);
            owner.undecided.give_back(&mut self.traces, 0);
            owner.budget.give_back(self.credit);
        }
        // What lies in the outbox is found there.
        self.outbox = None;
        self.spans.clear();
        self.traces.clear();
        self.credit = 0;
    }

    /// Takes a pair of empty buffers.
    #[inline]
    pub(super) fn buffers() -> Buffers {
        let mut local = Local::take();
        let buffers = local.buffers.pop();
        local.put_back();
        buffers.unwrap_or_default()
    }

    /// Gives them back.
    #[inline]
    pub(super) fn keep_buffers(mut buffers: Buffers) {
        let mut local = Local::take();
        if local.buffers.len() < BUFFERS_MAX {
            buffers.clear();
            local.buffers.push(buffers);
        }
        local.put_back();
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.give_back();
        if !self.is_spare {
            MADE.set(false);
        }
    }
}

/// Forgets what it holds, and the memory too if it is much.
#[inline]
pub(super) fn empty<T>(buffer: &mut Vec<T>) {
    buffer.clear();
    if buffer.capacity() * size_of::<T>() > KEPT_BYTES_MAX {
        *buffer = Vec::new();
    }
}
