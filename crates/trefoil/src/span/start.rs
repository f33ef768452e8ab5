//! How a span begins: whose child it is, who decides about its trace, where it lies.

use std::borrow::Cow;
use std::sync::Arc;

use tracing_core::Metadata;
use tracing_core::span::Attributes;
use trefoil_wire::otlp::AnyValue;

use super::encode::{SPAN_ATTRIBUTE, attribute_str};
use super::fields::Found;
use super::local::{Buffers, Fate, Heritage, Local, Places, with_entered};
use super::open::{Counts, Open, UNSET, attributes};
use super::slab::{Cached, Key};
use super::undecided::Undecided;
use super::{Spans, Store, UNRECORDED};
use crate::account::Dropped;
use crate::clock;
use crate::context::{Context, SpanContext, TraceFlags, TraceState};
use crate::id::{SpanId, TraceId};
use crate::sample::{Decision, Start};

/// Whose child a span becomes.
pub(super) struct Parent {
    trace_id: TraceId,
    span_id: SpanId,
    flags: TraceFlags,
    fate: Fate,
    remote: bool,
    heritage: Option<Arc<Heritage>>,
    /// 0 if it is not an open span of this store.
    key: u64,
}

impl Parent {
    pub(super) fn heritage(&self) -> Option<Arc<Heritage>> {
        self.heritage.clone()
    }

    /// The same, handing down other baggage.
    #[cfg(feature = "opentelemetry")]
    pub(super) fn with_baggage(mut self, baggage: crate::context::Baggage) -> Parent {
        let state = self.heritage.as_ref().map(|h| h.state.clone()).unwrap_or_default();
        self.heritage = heritage(state, baggage);
        self
    }
}

/// A span as its maker describes it.
pub(super) struct Description<'a> {
    pub(super) metadata: Option<&'static Metadata<'static>>,
    pub(super) scope: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: u8,
    pub(super) start_ns: u64,
    pub(super) found: &'a mut Found,
    /// What it is handed down.
    pub(super) heritage: Option<Arc<Heritage>>,
}

/// OTLP's `SPAN_KIND_INTERNAL`.
pub(super) const INTERNAL: u8 = 1;

/// What was decided about a local root, or taken over from the parent.
struct Settled {
    trace_id: TraceId,
    flags: TraceFlags,
    fate: Fate,
    heritage: Option<Arc<Heritage>>,
    local_root: bool,
}

impl Spans {
    /// Begins a span of `tracing`.
    pub(crate) fn new_span(&self, attributes: &Attributes<'_>) -> u64 {
        let mut parent = if let Some(parent) = attributes.parent() {
            self.parent_at(parent.into_u64())
        } else if attributes.is_root() {
            Context::with_attached(parent_of).flatten()
        } else {
            self.contextual_parent()
        };
        let heritage = match &mut parent {
            Some(parent) => parent.heritage.take(),
            None => attached_baggage(),
        };
        let metadata = attributes.metadata();
        Local::with_fields(&self.0, |buffers, places| {
            let mut fields = self.0.fields(buffers, SPAN_ATTRIBUTE);
            attributes.record(&mut fields);
            let mut found = fields.found;
            let start_ns = if found.start_ns == 0 { clock::now_ns() } else { found.start_ns };
            let description = Description {
                found: &mut found,
                metadata: Some(metadata),
                scope: metadata.target(),
                name: metadata.name(),
                kind: INTERNAL,
                start_ns,
                heritage,
            };
            self.begin(parent.as_ref(), description, buffers, places)
        })
    }

    /// Begins a span whose attributes are written already. In `buffers` it leaves what the
    /// place held before.
    #[inline]
    #[allow(unsafe_code)]
    pub(super) fn begin(
        &self,
        parent: Option<&Parent>,
        new: Description<'_>,
        buffers: &mut Buffers,
        mut places: Places<'_>,
    ) -> u64 {
        let store = &*self.0;
        if let Some(heritage) = &new.heritage {
            store.write_baggage(heritage, &mut buffers.body, new.found);
        }
        let span_id = places.random.span_id(new.start_ns);
        let settled = store.settle(parent, &new, buffers, &mut places);
        let Places { spans, traces, .. } = places;
        let fate = settled.fate;
        let fill = |open: &mut Open| {
            open.span_id = u64::from_be_bytes(span_id.0);
            fill(open, parent, &new, settled, buffers);
        };
        // SAFETY: the cache is the thread's, which gives it back and clears it before it uses
        // another store (`Local::with`); places of traces are apart there.
        let key = unsafe { store.open.take(spans, fill) };
        match key {
            Some(key) => key.get(),
            None => store.no_room(fate, traces),
        }
    }

    /// Makes an open span that nobody knows yet the child of another. Else nothing happens.
    pub(crate) fn set_parent(&self, id: u64, context: &Context) {
        let store = &*self.0;
        let parent = parent_of(context);
        let Some(key) = Key::from_u64(id) else { return };
        Local::with(&self.0, |local| {
            store.open.with(key, |open| {
                if open.fixed {
                    return;
                }
                if let Some(trace) = open.fate.undecided() {
                    store.leave_trace(trace, &mut local.traces);
                }
                let new = Description {
                    metadata: open.metadata,
                    scope: open.scope,
                    name: open.name,
                    kind: open.kind,
                    start_ns: open.start_ns,
                    found: &mut Found::default(),
                    heritage: match &parent {
                        Some(parent) => parent.heritage.clone(),
                        None => heritage(TraceState::default(), context.baggage.clone()),
                    },
                };
                let mut buffers = Buffers::default();
                std::mem::swap(&mut buffers.body, &mut open.body);
                let mut places = local.places();
                let settled = store.settle(parent.as_ref(), &new, &buffers, &mut places);
                std::mem::swap(&mut buffers.body, &mut open.body);
                take_over(open, parent.as_ref(), settled);
            });
        });
    }

    /// The innermost span that this thread is in, else the context that is attached.
    fn contextual_parent(&self) -> Option<Parent> {
        #[cfg(feature = "opentelemetry")]
        if let Some(parent) = self.active_parent() {
            return Some(parent);
        }
        self.entered_parent().or_else(|| Context::with_attached(parent_of).flatten())
    }

    pub(super) fn parent_at(&self, id: u64) -> Option<Parent> {
        if id == UNRECORDED {
            return self.entered_parent();
        }
        self.with_open(id, |open| {
            open.fixed = true;
            let current = open.current(id);
            Parent {
                trace_id: current.trace_id,
                span_id: current.span_id,
                flags: current.flags,
                fate: current.fate,
                remote: false,
                heritage: open.heritage.clone(),
                key: id,
            }
        })
    }

    /// The innermost span that this thread is in.
    fn entered_parent(&self) -> Option<Parent> {
        let (mut parent, depth) = with_entered(|entered| {
            let last = entered.last().filter(|last| last.store == self.address())?;
            let current = last.current?;
            let parent = Parent {
                trace_id: current.trace_id,
                span_id: current.span_id,
                flags: current.flags,
                fate: current.fate,
                remote: false,
                heritage: last.heritage.clone(),
                key: current.key,
            };
            Some((parent, entered.len()))
        })??;
        // Baggage that was attached inside the span goes with what begins there.
        if let Some(baggage) = Context::baggage_attached_within(depth) {
            let state = parent.heritage.as_ref().map(|h| h.state.clone()).unwrap_or_default();
            parent.heritage = heritage(state, baggage);
        }
        Some(parent)
    }
}

/// Baggage without a span, for a span that begins a trace.
fn attached_baggage() -> Option<Arc<Heritage>> {
    let baggage = Context::with_attached(|context| context.baggage.clone())?;
    heritage(TraceState::default(), baggage)
}

/// The span of a context as a parent.
pub(super) fn parent_of(context: &Context) -> Option<Parent> {
    let span = context.span.as_ref()?;
    Some(Parent {
        trace_id: span.trace_id,
        span_id: span.span_id,
        flags: span.flags,
        fate: context.fate,
        remote: span.remote,
        heritage: heritage(span.state.clone(), context.baggage.clone()),
        key: 0,
    })
}

fn heritage(state: TraceState, baggage: crate::context::Baggage) -> Option<Arc<Heritage>> {
    let some = !state.is_empty() || !baggage.is_empty();
    some.then(|| Arc::new(Heritage { state, baggage }))
}

#[inline]
fn fill(
    open: &mut Open,
    parent: Option<&Parent>,
    new: &Description<'_>,
    settled: Settled,
    buffers: &mut Buffers,
) {
    open.handles = 1;
    take_over(open, parent, settled);
    open.start_ns = new.start_ns;
    open.metadata = new.metadata;
    open.scope = new.scope;
    open.name = new.name;
    open.kind = new.kind;
    open.in_panic = std::thread::panicking();
    (open.end_ns, open.shadow, open.closed, open.bridged) = (0, 0, false, false);
    open.status = UNSET;
    open.status_set = false;
    open.fixed = false;
    open.counts = Counts {
        attributes: new.found.attributes,
        attributes_at_start: new.found.attributes,
        attributes_dropped: new.found.dropped,
        ..Counts::default()
    };
    std::mem::swap(&mut open.body, &mut buffers.body);
    open.take_found(new.found, &buffers.texts);
}

#[inline]
fn take_over(open: &mut Open, parent: Option<&Parent>, settled: Settled) {
    open.trace_id = u128::from_be_bytes(settled.trace_id.0);
    open.flags = settled.flags;
    open.fate = settled.fate;
    open.heritage = settled.heritage;
    open.local_root = settled.local_root;
    open.parent_id = parent.map_or(0, |parent| u64::from_be_bytes(parent.span_id.0));
    open.parent_key = parent.map_or(0, |parent| parent.key);
    open.remote_parent = parent.is_some_and(|parent| parent.remote);
}

impl Store {
    /// The span is not recorded.
    #[cold]
    fn no_room(&self, fate: Fate, traces: &mut Cached) -> u64 {
        if let Some(trace) = fate.undecided() {
            self.leave_trace(trace, traces);
        }
        self.account.produced(1);
        self.account.dropped(Dropped::Evicted, 1);
        UNRECORDED
    }

    /// Takes over what was decided about the parent's trace, or decides.
    #[inline]
    fn settle(
        &self,
        parent: Option<&Parent>,
        new: &Description<'_>,
        buffers: &Buffers,
        places: &mut Places<'_>,
    ) -> Settled {
        if let Some(parent) = parent {
            let lives = match parent.fate.undecided() {
                Some(trace) => self.join_trace(trace),
                None => parent.fate != Fate::UNKNOWN,
            };
            if lives {
                return Settled {
                    trace_id: parent.trace_id,
                    flags: parent.flags,
                    fate: parent.fate,
                    heritage: new.heritage.clone(),
                    local_root: false,
                };
            }
        }
        let (trace_id, random) = match parent {
            Some(parent) => (parent.trace_id, parent.flags.0 & TraceFlags::RANDOM.0),
            None => (places.random.trace_id(new.start_ns), TraceFlags::RANDOM.0),
        };
        if self.samples_all_new && parent.is_none() {
            let flags = TraceFlags(random | TraceFlags::SAMPLED.0);
            let heritage = new.heritage.clone();
            return Settled { trace_id, flags, fate: Fate::DIRECT, heritage, local_root: true };
        }
        self.settle_anew(parent, (trace_id, random), new, buffers, places)
    }

    /// Asks the sampler.
    fn settle_anew(
        &self,
        parent: Option<&Parent>,
        (trace_id, random): (TraceId, u8),
        new: &Description<'_>,
        buffers: &Buffers,
        places: &mut Places<'_>,
    ) -> Settled {
        let decision = self.decide(parent, trace_id, new, buffers);
        let sampled = if decision.sampled { TraceFlags::SAMPLED.0 } else { 0 };
        let heritage = match &decision.state {
            None => new.heritage.clone(),
            Some(state) => inherited(new.heritage.as_ref(), state, places.inherited),
        };
        let fate = self.fate(&decision, heritage.as_deref(), new.start_ns, places.traces);
        Settled { trace_id, flags: TraceFlags(random | sampled), fate, heritage, local_root: true }
    }

    fn decide(
        &self,
        parent: Option<&Parent>,
        trace_id: TraceId,
        new: &Description<'_>,
        buffers: &Buffers,
    ) -> Decision {
        let parent = parent.map(|parent| SpanContext {
            trace_id: parent.trace_id,
            span_id: parent.span_id,
            flags: parent.flags,
            state: new.heritage.as_ref().map(|h| h.state.clone()).unwrap_or_default(),
            remote: parent.remote,
        });
        let name = match new.found.name.of(&buffers.texts) {
            "" => new.name,
            name => name,
        };
        let start = Start {
            parent: parent.as_ref(),
            trace_id,
            name,
            now_ns: new.start_ns,
            attribute: &|key| {
                let mut all = attributes(&buffers.body);
                all.find(|(name, _)| *name == key).and_then(|(_, value)| as_text(value))
            },
        };
        self.sampler.decide(&start)
    }

    /// What has to be known before spans of the trace leave.
    fn fate(
        &self,
        decision: &Decision,
        heritage: Option<&Heritage>,
        start_ns: u64,
        cache: &mut Cached,
    ) -> Fate {
        let keep = &self.keep;
        let may_change = keep.errors || keep.slow.is_some() || !keep.slow_by_route.is_empty();
        let threshold = decision.threshold.unwrap_or(0);
        if decision.sampled && threshold == 0 {
            return Fate::DIRECT;
        }
        if !decision.sampled && !may_change {
            return Fate::NONE;
        }
        let new = Undecided {
            sampled: decision.sampled,
            threshold,
            reason: decision.reason,
            state: heritage.map(|heritage| heritage.state.clone()).unwrap_or_default(),
            start_ns,
            settled: !may_change,
        };
        match self.begin_trace(cache, new) {
            Some(key) => Fate(key.get()),
            None => Fate::NONE,
        }
    }

    fn write_baggage(&self, heritage: &Heritage, body: &mut Vec<u8>, found: &mut Found) {
        for key in &self.baggage_attributes {
            let Some(value) = heritage.baggage.get(key) else { continue };
            if found.attributes < self.limits.attributes {
                found.attributes += 1;
                let value = super::encode::cut(value, self.limits.value_bytes);
                attribute_str(body, SPAN_ATTRIBUTE, key, value);
            } else {
                found.dropped += 1;
            }
        }
    }
}

/// The heritage with another `tracestate`. `last` is what this gave the last time.
fn inherited(
    old: Option<&Arc<Heritage>>,
    state: &TraceState,
    last: &mut Option<Arc<Heritage>>,
) -> Option<Arc<Heritage>> {
    let baggage = old.map(|old| old.baggage.clone()).unwrap_or_default();
    if !baggage.is_empty() {
        return heritage(state.clone(), baggage);
    }
    match last {
        Some(last) if last.state.is_same(state) => {}
        _ => *last = heritage(state.clone(), baggage),
    }
    last.clone()
}

/// A value as samplers compare it.
fn as_text(value: AnyValue<'_>) -> Option<Cow<'_, str>> {
    match value {
        AnyValue::Str(text) => Some(Cow::Borrowed(text)),
        AnyValue::Bool(value) => Some(Cow::Borrowed(if value { "true" } else { "false" })),
        AnyValue::Int(value) => Some(Cow::Owned(value.to_string())),
        AnyValue::Double(value) => Some(Cow::Owned(value.to_string())),
        AnyValue::Empty | AnyValue::Bytes(_) | AnyValue::Array(_) | AnyValue::Map(_) => None,
    }
}
