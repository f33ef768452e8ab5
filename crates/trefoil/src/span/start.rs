//! How a span begins: whose child it is, who decides about its trace, where it lies.

use std::borrow::Cow;
use std::sync::Arc;

use tracing_core::Metadata;
use tracing_core::span::Attributes;
use trefoil_wire::otlp::AnyValue;

use super::encode::{SPAN_ATTRIBUTE, attribute_str};
use super::fields::Found;
use super::local::{
    Buffers, Current, Fate, ForTraces, Heritage, Local, Parent, Places, with_entered,
};
use super::open::{Counts, Open, UNSET, attributes};
use super::slab::{Cached, Key};
use super::{Spans, Store, UNRECORDED};
use crate::account::Dropped;
use crate::clock;
use crate::context::{Baggage, Context, SpanContext, TraceFlags, TraceState};
use crate::id::TraceId;
use crate::sample::{Decision, Start};

impl Parent {
    /// The same, handing down other baggage.
    pub(super) fn with_baggage(mut self, baggage: Baggage) -> Parent {
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
    /// What was decided elsewhere about the trace that it begins.
    pub(super) decided: Option<bool>,
}

/// OTLP's `SPAN_KIND_INTERNAL`.
pub(super) const INTERNAL: u8 = 1;

impl Spans {
    /// Begins a span of `tracing`.
    pub(crate) fn new_span(&self, attributes: &Attributes<'_>) -> u64 {
        Local::with_fields(&self.0, |buffers, places| {
            let mut found = Found::default();
            attributes.record(&mut self.0.fields(buffers, &mut found, SPAN_ATTRIBUTE));
            let metadata = attributes.metadata();
            let mut new = Description {
                metadata: Some(metadata),
                scope: metadata.target(),
                name: metadata.name(),
                kind: INTERNAL,
                start_ns: if found.start_ns == 0 { clock::now_ns() } else { found.start_ns },
                found: &mut found,
                heritage: None,
                decided: None,
            };
            self.with_parent_of(attributes, |parent| {
                match parent {
                    Some(parent) => new.heritage = parent.heritage.clone(),
                    None => new.take_attached(),
                }
                self.begin(parent, &mut new, buffers, places)
            })
        })
    }

    /// Says whose child a new span becomes. `begin` is called once.
    #[inline]
    fn with_parent_of(
        &self,
        attributes: &Attributes<'_>,
        mut begin: impl FnMut(Option<&Parent>) -> u64,
    ) -> u64 {
        if attributes.is_contextual() && !Context::is_any_attached() && !self.has_bridge() {
            // Mostly so: the parent, if any, is looked at where it lies.
            let begun = with_entered(|entered| {
                let last = entered.last().filter(|last| last.store == self.address());
                begin(last.and_then(|last| last.inside.as_ref()))
            });
            if let Some(id) = begun {
                return id;
            }
        }
        begin(self.parent_of(attributes).as_ref())
    }

    /// Whether spans of the OpenTelemetry API lie in this store, too.
    #[inline]
    fn has_bridge(&self) -> bool {
        #[cfg(feature = "opentelemetry")]
        return self.0.bridge.is_on();
        #[cfg(not(feature = "opentelemetry"))]
        false
    }

    #[cold]
    fn parent_of(&self, attributes: &Attributes<'_>) -> Option<Parent> {
        if let Some(parent) = attributes.parent() {
            self.parent_at(parent.into_u64())
        } else if attributes.is_root() {
            Context::with_attached(parent_of).flatten()
        } else {
            self.contextual_parent()
        }
    }

    /// Begins a span whose attributes are written already. In `buffers` it leaves what the
    /// place held before.
    #[inline(never)]
    #[allow(unsafe_code)]
    pub(super) fn begin(
        &self,
        parent: Option<&Parent>,
        new: &mut Description<'_>,
        buffers: &mut Buffers,
        places: &mut Places<'_>,
    ) -> u64 {
        let store = &*self.0;
        if let Some(heritage) = &new.heritage {
            store.write_baggage(heritage, &mut buffers.body, new.found);
        }
        let Places { spans, traces } = places;
        let fill = |key: Key, open: &mut Open| {
            open.own.span_id = traces.random.span_id(new.start_ns);
            open.own.key = key.get();
            store.settle(open, parent, new, buffers, traces);
            fill(open, new, buffers);
        };
        // SAFETY: the cache is the thread's, which gives it back and clears it before it uses
        // another store (`Local::with`); places of traces are apart there.
        match unsafe { store.open.take(spans, fill) } {
            Some(key) => key.get(),
            None => store.no_room(),
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
                if let Some(trace) = open.own.fate.undecided() {
                    store.leave_trace(trace, &mut local.traces);
                }
                let new = &mut Description {
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
                    decided: context.decided,
                };
                let mut buffers = Buffers::default();
                std::mem::swap(&mut buffers.body, &mut open.body);
                let Places { traces, .. } = &mut local.places();
                store.settle(open, parent.as_ref(), new, &buffers, traces);
                std::mem::swap(&mut buffers.body, &mut open.body);
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
            open.as_parent()
        })
    }

    /// The innermost span that this thread is in.
    fn entered_parent(&self) -> Option<Parent> {
        let (parent, depth) = with_entered(|entered| {
            let last = entered.last().filter(|last| last.store == self.address())?;
            Some((last.inside.clone()?, entered.len()))
        })??;
        // Baggage that was attached inside the span goes with what begins there.
        match Context::baggage_attached_within(depth) {
            Some(baggage) => Some(parent.with_baggage(baggage)),
            None => Some(parent),
        }
    }
}

impl Description<'_> {
    /// What is attached without a span, for a span that begins a trace.
    fn take_attached(&mut self) {
        let attached = Context::with_attached(|context| (context.baggage.clone(), context.decided));
        let Some((baggage, decided)) = attached else { return };
        self.heritage = heritage(TraceState::default(), baggage);
        self.decided = decided;
    }
}

/// The span of a context as a parent.
pub(super) fn parent_of(context: &Context) -> Option<Parent> {
    let span = context.span.as_ref()?;
    let heritage = heritage(span.state.clone(), context.baggage.clone());
    let (remote, fate) = (span.remote, context.fate);
    let (trace_id, span_id, flags) = (span.trace_id, span.span_id, span.flags);
    Some(Parent { span: Current { trace_id, span_id, flags, fate, key: 0 }, remote, heritage })
}

fn heritage(state: TraceState, baggage: Baggage) -> Option<Arc<Heritage>> {
    let some = !state.is_empty() || !baggage.is_empty();
    some.then(|| Arc::new(Heritage { state, baggage }))
}

#[inline]
fn fill(open: &mut Open, new: &Description<'_>, buffers: &mut Buffers) {
    open.handles = 1;
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

impl Store {
    /// The span is not recorded.
    #[cold]
    fn no_room(&self) -> u64 {
        self.account.produced(1);
        self.account.dropped(Dropped::Evicted, 1);
        UNRECORDED
    }

    /// Takes over what was decided about the parent's trace, or decides. Written where it stays:
    /// what goes from hand to hand in structures is copied, and copying what was written in
    /// smaller pieces just before makes the processor wait.
    #[inline]
    fn settle(
        &self,
        open: &mut Open,
        parent: Option<&Parent>,
        new: &mut Description<'_>,
        buffers: &Buffers,
        traces: &mut ForTraces<'_>,
    ) {
        open.heritage = new.heritage.take();
        open.local_root = true;
        let Some(parent) = parent else {
            open.own.trace_id = traces.random.trace_id(new.start_ns);
            (open.parent_id, open.parent_key, open.remote_parent) = ([0; 8], 0, false);
            if self.samples_all_new && new.decided != Some(false) {
                open.own.flags = TraceFlags(TraceFlags::RANDOM.0 | TraceFlags::SAMPLED.0);
                open.own.fate = Fate::DIRECT;
                return;
            }
            return self.settle_anew(open, None, new, buffers, traces);
        };
        open.own.trace_id = parent.span.trace_id;
        open.parent_id = parent.span.span_id.0;
        (open.parent_key, open.remote_parent) = (parent.span.key, parent.remote);
        let lives = match parent.span.fate.undecided() {
            Some(trace) => self.join_trace(trace),
            None => parent.span.fate != Fate::UNKNOWN,
        };
        if lives {
            open.own.flags = parent.span.flags;
            open.own.fate = parent.span.fate;
            open.local_root = false;
        } else {
            self.settle_anew(open, Some(parent), new, buffers, traces);
        }
    }

    /// Asks the sampler about a local root.
    fn settle_anew(
        &self,
        open: &mut Open,
        parent: Option<&Parent>,
        new: &Description<'_>,
        buffers: &Buffers,
        traces: &mut ForTraces<'_>,
    ) {
        let parent = parent.map(|parent| SpanContext {
            trace_id: parent.span.trace_id,
            span_id: parent.span.span_id,
            flags: parent.span.flags,
            state: open.heritage.as_ref().map(|h| h.state.clone()).unwrap_or_default(),
            remote: parent.remote,
        });
        let decision = self.decide(parent.as_ref(), open.own.trace_id, new, buffers);
        let random = parent.map_or(TraceFlags::RANDOM, |parent| parent.flags);
        let sampled = if decision.sampled { TraceFlags::SAMPLED.0 } else { 0 };
        open.own.flags = TraceFlags(random.0 & TraceFlags::RANDOM.0 | sampled);
        if let Some(state) = &decision.state {
            open.heritage = inherited(open.heritage.as_ref(), state, traces.inherited);
        }
        open.own.fate = self.fate(&decision, open.heritage.as_deref(), new.start_ns, traces.cached);
    }

    fn decide(
        &self,
        parent: Option<&SpanContext>,
        trace_id: TraceId,
        new: &Description<'_>,
        buffers: &Buffers,
    ) -> Decision {
        let name = match new.found.name.of(&buffers.texts) {
            "" => new.name,
            name => name,
        };
        let start = Start {
            parent,
            decided: new.decided,
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
        match self.begin_trace(cache, decision, heritage, start_ns, !may_change) {
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
