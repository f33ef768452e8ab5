//! Spans from their first line to their last byte.
//!
//! A span lies in a place of the [`Store`] while it is open. What it is told becomes OTLP's
//! bytes at once; when its last handle goes, the message is completed and given to the queue,
//! or to the trace that still waits for its verdict (`undecided`). In the steady state nothing
//! of this allocates: places, buffers and traces are used again.

#[cfg(feature = "opentelemetry")]
pub(crate) mod bridge;
mod callsite;
mod encode;
mod ext;
mod fields;
mod local;
mod open;
mod slab;
mod start;
mod survey;
mod undecided;

pub(crate) use encode::{
    SPAN_ATTRIBUTE, attribute_double, attribute_int, attribute_str, text_body,
};
#[cfg(feature = "http")]
pub(crate) use ext::complete;
pub use ext::{SpanExt, Status};
#[cfg(feature = "http")]
pub(crate) use fields::SERVER;
pub(crate) use local::{Current, Fate, current, depth, is_inside};
pub(crate) use undecided::hold_exemplar;

use std::sync::Arc;

use tracing_core::Event;
use tracing_core::span::Record;
use trefoil_wire::otlp::AnyValue;

use crate::account::Account;
use crate::clock;
use crate::config::{KeepSettings, SpanLimits, TraceSettings};
use crate::context::{Context, SpanContext};
use crate::export::{Outbox, Priority, Queue};
use crate::sample::Sampler;
use callsite::{Callsite, encode_origin};
use encode::{EVENT_ATTRIBUTE, LINK_ATTRIBUTE, attribute_value, bytes, fixed64};
use fields::{Fields, Found, Limits};
use local::{Buffers, Entered, Local, with_entered, with_stack};
use open::Open;
use slab::{Key, Slab};
use undecided::{Budget, Leaving, Trace, Workplace};

/// The store of all open spans. Clones share it.
#[derive(Clone)]
pub(crate) struct Spans(Arc<Store>);

impl std::fmt::Debug for Spans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spans").finish_non_exhaustive()
    }
}

pub(crate) struct Store {
    open: Slab<Open>,
    undecided: Slab<Trace>,
    budget: Budget,
    sampler: Arc<Sampler>,
    samples_all_new: bool,
    keep: KeepSettings,
    limits: SpanLimits,
    span_events: bool,
    code_location: bool,
    baggage_attributes: Vec<String>,
    logs_follow_sampling: bool,
    spans_out: Outlet,
    logs_out: Outlet,
    account: Arc<Account>,
    log_account: Arc<Account>,
    #[cfg(feature = "opentelemetry")]
    bridge: bridge::Bridge,
}

/// The id of spans that the store has no room for. No key has that value.
const UNRECORDED: u64 = u64::MAX;

impl Spans {
    pub(crate) fn new(
        traces: &TraceSettings,
        baggage_attributes: &[String],
        logs_follow_sampling: bool,
        sampler: Arc<Sampler>,
        (queue, account): (Arc<Queue>, Arc<Account>),
        (logs_queue, log_account): (Arc<Queue>, Arc<Account>),
    ) -> Spans {
        Spans(Arc::new(Store {
            open: Slab::new(traces.keep.open_spans_max),
            // Each trace has at least one open span; the rest is what threads keep at hand.
            undecided: Slab::new(traces.keep.open_spans_max.saturating_mul(2)),
            budget: Budget::new(traces.keep.pending_bytes_max),
            samples_all_new: sampler.samples_all_new(),
            sampler,
            keep: traces.keep.clone(),
            limits: traces.limits.clone(),
            span_events: traces.span_events,
            code_location: traces.code_location,
            baggage_attributes: baggage_attributes.to_vec(),
            logs_follow_sampling,
            spans_out: Outlet::Queue(queue),
            logs_out: Outlet::Queue(logs_queue),
            account,
            log_account,
            #[cfg(feature = "opentelemetry")]
            bridge: bridge::Bridge::default(),
        }))
    }

    /// This thread is in the span from now on.
    pub(crate) fn enter(&self, id: u64) {
        let store = self.address();
        with_stack(|stack| {
            stack.follow(&self.0);
            let entered = &mut stack.entered;
            let known = self.with_open(id, |open| {
                open.fixed = true;
                entered.push(Entered::new(store, id, Some(open.as_parent()), open.metadata));
            });
            if known.is_none() {
                // What begins inside a span that is not recorded belongs to the one around it.
                let outer = entered.last().filter(|outer| outer.store == store);
                let inside = outer.and_then(|outer| outer.inside.clone());
                entered.push(Entered::new(store, id, inside, None));
            }
        });
        #[cfg(feature = "opentelemetry")]
        self.activate(id);
    }

    /// This thread is not in the span any more.
    pub(crate) fn exit(&self, id: u64) {
        let store = self.address();
        let _guard = with_entered(|entered| {
            // Mostly the last; guards may be dropped in any order.
            let at = entered.iter().rposition(|e| e.id == id && e.store == store)?;
            let guard = entered[at].take_guard();
            if at + 1 == entered.len() {
                entered.truncate(at);
            } else {
                entered.remove(at);
            }
            Some(guard)
        });
        // What it guards ends here, when the list is not borrowed.
    }

    /// The innermost span that this thread is in.
    pub(crate) fn entered(&self) -> Option<(u64, &'static tracing_core::Metadata<'static>)> {
        with_entered(|entered| {
            let last = entered.last().filter(|last| last.store == self.address())?;
            Some((last.id, last.metadata?))
        })?
    }

    fn address(&self) -> *const Store {
        Arc::as_ptr(&self.0)
    }

    /// One more handle.
    pub(crate) fn clone_handle(&self, id: u64) {
        self.with_open(id, |open| open.handles = open.handles.saturating_add(1));
    }

    /// One handle less. True if it was the last: the span has ended.
    pub(crate) fn drop_handle(&self, id: u64) -> bool {
        let Some(key) = Key::from_u64(id) else { return false };
        Local::with(&self.0, |local| {
            let Local { spans, traces, credit, released, out, outbox, .. } = local;
            let outbox = outbox.as_deref();
            let work = &mut Workplace { traces, credit, released, outbox };
            let mut leaving = Leaving::default();
            let mut ends = false;
            let found = self.0.open.with_last(key, spans, |open| {
                open.handles = open.handles.saturating_sub(1);
                ends = open.handles == 0 && !open.closed;
                if ends {
                    let end_ns = if open.end_ns == 0 { clock::now_ns() } else { open.end_ns };
                    leaving = self.0.end(open, end_ns.max(open.start_ns), out, work);
                    #[cfg(feature = "opentelemetry")]
                    self.0.bridge.forget(open);
                    if open.shadow != 0 {
                        open.closed = true;
                        return false;
                    }
                    open.clear();
                }
                ends
            });
            // What leaves is pushed when no place is locked.
            if !leaving.is_nothing() {
                self.0.push(&leaving, out, work.released);
                out.clear();
                if leaving.fills_outbox
                    && let (Outlet::Queue(queue), Some(outbox)) = (&self.0.spans_out, outbox)
                {
                    queue.take_over(outbox);
                }
            }
            found.is_some() && ends
        })
    }

    /// More fields.
    pub(crate) fn record(&self, id: u64, values: &Record<'_>) {
        let mut buffers = Local::buffers();
        let mut found = Found::default();
        values.record(&mut self.0.fields(&mut buffers, &mut found, SPAN_ATTRIBUTE));
        self.with_open(id, |open| {
            open.counts.attributes_dropped += found.dropped;
            open.merge_attributes(&buffers.body, self.0.limits.attributes);
            open.take_found(&found, &buffers.texts);
        });
        Local::keep_buffers(buffers);
    }

    /// A link to another span of this process.
    pub(crate) fn follows(&self, id: u64, follows: u64) {
        if let Some(target) = self.context_of(follows).and_then(|context| context.span) {
            self.add_link(id, &target, &[]);
        }
    }

    pub(crate) fn add_link(&self, id: u64, to: &SpanContext, attributes: &[(&str, crate::Value)]) {
        let mut buffers = Local::buffers();
        let link = &mut buffers.body;
        bytes(link, 1, &to.trace_id.0);
        bytes(link, 2, &to.span_id.0);
        if !to.state.is_empty() {
            bytes(link, 3, to.state.as_str().as_bytes());
        }
        self.0.write_attributes(link, LINK_ATTRIBUTE, attributes);
        // Field 6, four bytes: the flags, and that it is known where the span is.
        let flags = u32::from(to.flags.known()) | 0x100 | u32::from(to.remote) << 9;
        link.push(encode::tag(6, 5));
        link.extend_from_slice(&flags.to_le_bytes());
        self.with_open(id, |open| open.add_link(&buffers.body, &self.0.limits));
        Local::keep_buffers(buffers);
    }

    pub(crate) fn add_event(&self, id: u64, name: &str, attributes: &[(&str, crate::Value)]) {
        self.add_event_at(id, clock::now_ns(), name, attributes);
    }

    pub(crate) fn add_event_at(
        &self,
        id: u64,
        time_ns: u64,
        name: &str,
        attributes: &[(&str, crate::Value)],
    ) {
        let mut buffers = Local::buffers();
        fixed64(&mut buffers.body, 1, time_ns);
        bytes(&mut buffers.body, 2, name.as_bytes());
        self.0.write_attributes(&mut buffers.body, EVENT_ATTRIBUTE, attributes);
        self.with_open(id, |open| open.add_event(&buffers.body, &self.0.limits));
        Local::keep_buffers(buffers);
    }

    /// An event of `tracing` inside a span becomes an event of the span.
    pub(crate) fn on_event(&self, event: &Event<'_>, now_ns: u64) {
        let Some(id) = self.span_of(event) else { return };
        let failed = *event.metadata().level() == tracing_core::Level::ERROR;
        if !self.0.span_events && !failed {
            return;
        }
        Local::with_fields(&self.0, |buffers, _| {
            fixed64(&mut buffers.body, 1, now_ns);
            let mut found = Found::default();
            let mut fields = self.0.fields(buffers, &mut found, EVENT_ATTRIBUTE);
            fields.limits.attributes = self.0.limits.attributes_per_event;
            event.record(&mut fields);
            let Buffers { body, texts } = buffers;
            finish_event(body, texts, &found, event.metadata());
            self.with_open(id, |open| {
                if self.0.span_events {
                    open.add_event(body, &self.0.limits);
                }
                if failed {
                    let text = if found.error.is_empty() { found.message } else { found.error };
                    open.fail(text.of(texts));
                }
            });
        });
    }

    /// The span that an event belongs to.
    fn span_of(&self, event: &Event<'_>) -> Option<u64> {
        if let Some(parent) = event.parent() {
            return Some(parent.into_u64());
        }
        if event.is_root() {
            return None;
        }
        #[cfg(feature = "opentelemetry")]
        if let Some(key) = self.active_key() {
            return Some(key);
        }
        with_entered(|entered| {
            let last = entered.last().filter(|last| last.store == self.address())?;
            last.inside.as_ref().map(|inside| inside.span.key)
        })?
    }

    /// What an event sees as its span, for its log record.
    pub(crate) fn current_of(&self, event: &Event<'_>) -> Option<Current> {
        if let Some(parent) = event.parent() {
            let id = parent.into_u64();
            return self.with_open(id, |open| open.own);
        }
        if event.is_root() {
            return None;
        }
        self.current_here()
    }

    /// The span that this thread is in.
    pub(crate) fn current_here(&self) -> Option<Current> {
        #[cfg(feature = "opentelemetry")]
        if let Some(key) = self.active_key() {
            return self.with_open(key, |open| open.own);
        }
        current()
    }

    /// Whether the limits leave a layer's attributes as they are.
    pub(crate) fn takes_encoded(&self) -> bool {
        let limits = &self.0.limits;
        limits.attributes >= crate::attribute::ATTRIBUTES_MAX && limits.value_bytes.is_none()
    }

    /// There are as many open spans as there are.
    #[cfg(feature = "layers")]
    pub(crate) fn lift_limit(&self) {
        self.0.open.lift_limit();
        self.0.undecided.lift_limit();
    }

    #[cfg(feature = "layers")]
    pub(crate) fn set_shadow(&self, id: u64, shadow: u64) {
        self.with_open(id, |open| open.shadow = shadow);
    }

    /// What other layers see of a span, also while they hear that it has closed: what it is,
    /// its parent, its shadow.
    #[cfg(feature = "layers")]
    pub(crate) fn for_layers(
        &self,
        id: u64,
    ) -> Option<(&'static tracing_core::Metadata<'static>, u64, u64)> {
        self.with_open(id, |open| Some((open.metadata?, open.parent_key, open.shadow)))?
    }

    /// All layers have heard that a span has closed: its place is free. Returns its shadow.
    #[cfg(feature = "layers")]
    pub(crate) fn forget_closed(&self, id: u64) -> Option<u64> {
        let mut shadow = None;
        Local::with(&self.0, |local| {
            self.0.open.with_last(Key::from_u64(id)?, &mut local.spans, |open| {
                if open.closed {
                    shadow = Some(open.shadow);
                    open.clear();
                }
                open.closed
            })
        });
        shadow
    }

    /// The trace of the span leaves, whatever the sampler said.
    pub(crate) fn keep(&self, id: u64, reason: &'static str) {
        let trace = self.with_open(id, |open| open.own.fate.undecided()).flatten();
        if let Some(key) = trace {
            self.0.keep_trace(key, reason);
        }
    }

    /// Changes an open span. `change` must not call foreign code. Nothing happens if it ended.
    fn with_open<R>(&self, id: u64, change: impl FnOnce(&mut Open) -> R) -> Option<R> {
        self.0.open.with(Key::from_u64(id)?, change)
    }

    /// What others may refer to.
    pub(crate) fn context_of(&self, id: u64) -> Option<Context> {
        self.with_open(id, |open| {
            open.fixed = true;
            context(&open.own, open.heritage.as_deref())
        })
    }

    /// Takes a log record of the trace of `current`, an OTLP `LogRecord` that the caller has
    /// counted as produced. Its flags, four bytes, lie at `flags_at` and get the bit "sampled"
    /// from the verdict. False if the caller is to push it itself with the flags of `current`.
    pub(crate) fn hold_log(
        &self,
        current: &Current,
        scope: &'static str,
        priority: Priority,
        severity: u8,
        message: &[u8],
        flags_at: usize,
    ) -> bool {
        if let Some(key) = current.fate.undecided() {
            return self.log_in_trace(key, scope, (priority, severity, flags_at), message);
        }
        if current.fate == Fate::NONE {
            self.0.log_of_none(scope, priority, severity, message);
            return true;
        }
        false
    }

    /// The fields of a span and of those around it, the innermost first. `see` must not make
    /// spans or events.
    pub(crate) fn with_fields_of(&self, id: u64, see: &mut dyn FnMut(&str, AnyValue<'_>)) {
        let mut next = id;
        // Parents are older than their children, so this ends; the limit is for the time it takes.
        for _ in 0..FIELDS_DEPTH_MAX {
            let parent = self.with_open(next, |open| {
                open.attributes().for_each(|(key, value)| see(key, value));
                open.parent_key
            });
            match parent {
                Some(parent) if parent != 0 => next = parent,
                _ => return,
            }
        }
    }

    /// Decides all traces that still wait, because the process ends.
    pub(crate) fn decide_all(&self) {
        self.0.decide_all();
    }
}

/// The fields of the current span of this thread and of those around it, the innermost
/// first. `see` must not make spans or events.
pub(crate) fn with_span_fields(see: &mut dyn FnMut(&str, AnyValue<'_>)) {
    let last = with_stack(|stack| {
        let last = stack.entered.last()?;
        let store = stack.store(last)?;
        Some((store, last.inside.as_ref()?.span.key))
    });
    if let Some((store, key)) = last.flatten() {
        Spans(store).with_fields_of(key, see);
    }
}

/// How far up the fields of spans are looked for.
const FIELDS_DEPTH_MAX: usize = 64;

/// Name, level and target of an event.
fn finish_event(
    body: &mut Vec<u8>,
    texts: &[u8],
    found: &Found,
    metadata: &'static tracing_core::Metadata<'static>,
) {
    if found.message.is_empty() {
        bytes(body, 2, metadata.name().as_bytes());
    } else {
        bytes(body, 2, found.message.bytes(texts));
    }
    match Callsite::of(metadata) {
        Some(callsite) => body.extend_from_slice(&callsite.origin),
        None => encode_origin(body, metadata),
    }
    if found.dropped > 0 {
        body.push(encode::tag(4, 0));
        encode::varint(body, u64::from(found.dropped));
    }
}

/// What other services and threads see of a span.
fn context(current: &Current, heritage: Option<&local::Heritage>) -> Context {
    Context {
        span: Some(SpanContext {
            trace_id: current.trace_id,
            span_id: current.span_id,
            flags: current.flags,
            state: heritage.map(|heritage| heritage.state.clone()).unwrap_or_default(),
            remote: false,
        }),
        baggage: heritage.map(|heritage| heritage.baggage.clone()).unwrap_or_default(),
        decided: None,
        fate: current.fate,
    }
}

/// The context of the current span of this thread; `None` outside of spans.
pub(crate) fn current_context() -> Option<Context> {
    #[cfg(feature = "opentelemetry")]
    if let Some((spans, key)) = bridge::active_here() {
        return spans.context_of(key).map(bridge::with_active_baggage);
    }
    let context = with_entered(|entered| {
        let inside = entered.last()?.inside.as_ref()?;
        Some(context(&inside.span, inside.heritage.as_deref()))
    })?;
    #[cfg(feature = "opentelemetry")]
    let context = context.map(bridge::with_active_baggage);
    context
}

impl Store {
    fn fields<'a>(&self, buffers: &'a mut Buffers, found: &'a mut Found, field: u8) -> Fields<'a> {
        let limits =
            Limits { attributes: self.limits.attributes, value_bytes: self.limits.value_bytes };
        let Buffers { body, texts } = buffers;
        Fields { body, texts, field, limits, found }
    }

    /// Attributes of an event or a link.
    fn write_attributes(&self, out: &mut Vec<u8>, field: u8, attributes: &[(&str, crate::Value)]) {
        let (limit, dropped_field) = if field == LINK_ATTRIBUTE {
            (self.limits.attributes_per_link, 5)
        } else {
            (self.limits.attributes_per_event, 4)
        };
        let kept = attributes.len().min(limit as usize);
        for (key, value) in &attributes[..kept] {
            attribute_value(out, field, key, value, self.limits.value_bytes);
        }
        if kept < attributes.len() {
            out.push(encode::tag(dropped_field, 0));
            encode::varint(out, (attributes.len() - kept) as u64);
        }
    }

    /// The last handle of a span is gone.
    fn end(
        &self,
        open: &mut Open,
        end_ns: u64,
        out: &mut Buffers,
        work: &mut Workplace<'_>,
    ) -> Leaving {
        if std::thread::panicking() && !open.in_panic {
            self.note_panic(open, end_ns);
        }
        self.account.produced(1);
        if let Some(key) = open.own.fate.undecided() {
            return self.end_in_trace(key, open, end_ns, out, work);
        }
        if open.own.fate == Fate::NONE {
            self.account.sampled_out(1);
            return Leaving::default();
        }
        if !open.failed()
            && let (Outlet::Queue(queue), Some(outbox)) = (&self.spans_out, work.outbox)
        {
            let encode = |out: &mut Vec<u8>| self.encode_direct(open, end_ns, out);
            if let Some(fills_outbox) = outbox.write(queue, open.scope, encode) {
                return Leaving::by_outbox(fills_outbox);
            }
        }
        self.encode_direct(open, end_ns, &mut out.body);
        let priority = if open.failed() { Priority::Error } else { Priority::Normal };
        Leaving::of_span(open.scope, priority)
    }

    /// A whole span that no verdict adds to.
    fn encode_direct(&self, open: &Open, end_ns: u64, out: &mut Vec<u8>) {
        open.encode(out, end_ns, self.code_location);
        if let Some(heritage) = &open.heritage
            && !heritage.state.is_empty()
        {
            bytes(out, 3, heritage.state.as_str().as_bytes());
        }
        open::encode_flags(out, open.own.flags, open.remote_parent);
    }

    /// The span ends because its thread unwinds.
    #[cold]
    fn note_panic(&self, open: &mut Open, now_ns: u64) {
        let mut event = Vec::new();
        fixed64(&mut event, 1, now_ns);
        bytes(&mut event, 2, b"exception");
        attribute_str(&mut event, EVENT_ATTRIBUTE, "exception.type", "panic");
        attribute_str(&mut event, EVENT_ATTRIBUTE, "exception.escaped", "true");
        open.add_event(&event, &self.limits);
        open.fail("panicked");
    }
}

/// Where finished items go.
enum Outlet {
    Queue(Arc<Queue>),
    #[cfg(test)]
    Nowhere,
    #[cfg(test)]
    Captured(std::sync::Mutex<Vec<(&'static str, Priority, Vec<u8>)>>),
}

impl Outlet {
    /// An outbox for this thread.
    fn outbox(&self) -> Option<Arc<Outbox>> {
        match self {
            Outlet::Queue(queue) => queue.outbox(),
            #[cfg(test)]
            Outlet::Nowhere | Outlet::Captured(_) => None,
        }
    }

    #[inline]
    fn push(&self, scope: &'static str, priority: Priority, message: &[u8]) {
        match self {
            Outlet::Queue(queue) => queue.push(scope, priority, message),
            #[cfg(test)]
            Outlet::Nowhere => {}
            #[cfg(test)]
            Outlet::Captured(captured) => {
                captured.lock().unwrap().push((scope, priority, message.to_vec()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
