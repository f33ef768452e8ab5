//! Spans of the OpenTelemetry API in the same store, and one context for both.
//!
//! A span of that API is one of ours, made and ended by its calls. A `tracing` span that a
//! thread enters becomes the active span of that API's context, so that what libraries begin
//! or inject there belongs to it; and what begins in `tracing` while another span is active
//! there is its child. The API knows spans by their ids alone, hence the map from ids to
//! places. All this costs nothing until a provider was asked for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use opentelemetry::baggage::{Baggage as ApiBaggage, BaggageExt as _, KeyValueMetadata};
use opentelemetry::trace::{self as api, TraceContextExt as _};
use opentelemetry::{InstrumentationScope, KeyValue};

use super::encode::{SPAN_ATTRIBUTE, attribute_value};
use super::ext::Status;
use super::fields::{Found, Text};
use super::local::{Buffers, Local, Parent, depth, with_entered, with_stack};
use super::open::Open;
use super::start::{Description, INTERNAL, parent_of};
use super::{Fate, Spans};
use crate::clock;
use crate::context::{Baggage, BaggageEntry, Context, SpanContext, TraceFlags, TraceState};
use crate::id::{SpanId, TraceId};
use crate::propagate::percent_encoded;
use crate::value::Value;

/// What a store knows of the API.
#[derive(Default)]
pub(super) struct Bridge {
    /// Whether anyone uses it.
    on: AtomicBool,
    /// Places of spans that the API knows, by span id.
    keys: Mutex<HashMap<u64, u64>>,
}

impl Bridge {
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    fn key(&self, span_id: u64) -> Option<u64> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(&span_id).copied()
    }

    fn remember(&self, span_id: u64, key: u64) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(span_id, key);
    }

    /// The span has ended.
    #[inline]
    pub(super) fn forget(&self, open: &Open) {
        if open.bridged {
            self.keys
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&u64::from_be_bytes(open.own.span_id.0));
        }
    }
}

/// Whether any store of the process has a provider.
static ANY: AtomicBool = AtomicBool::new(false);

/// The span of the API that is active on this thread and was activated after the innermost
/// entered one, if it lies in the store that the thread used last.
#[inline]
pub(super) fn active_here() -> Option<(Spans, u64)> {
    if !ANY.load(Ordering::Relaxed) {
        return None;
    }
    let spans = Spans(with_stack(|stack| stack.used_last())??);
    let key = spans.active_key()?;
    Some((spans, key))
}

/// With the baggage of the API's context, if that has any: it holds that of the innermost
/// entered span, and what was attached since.
pub(super) fn with_active_baggage(context: Context) -> Context {
    if !ANY.load(Ordering::Relaxed) {
        return context;
    }
    let own = &context.baggage;
    let active = opentelemetry::Context::map_current(|a| from_api_baggage(a.baggage(), own));
    if active.is_empty() { context } else { context.with_baggage(active) }
}

/// Makes tracers of the OpenTelemetry API whose spans go where those of `tracing` go.
#[derive(Clone, Debug)]
pub struct TracerProvider {
    spans: Spans,
}

/// Makes spans of the OpenTelemetry API.
#[derive(Clone, Debug)]
pub struct Tracer {
    spans: Spans,
    scope: &'static str,
}

/// A span of the OpenTelemetry API. Ends when it is dropped, if it has not before.
#[derive(Debug)]
pub struct Span {
    spans: Spans,
    id: u64,
    context: api::SpanContext,
    /// Whether it is the API's to end. Those of `tracing` end with their handles.
    owned: bool,
}

impl Spans {
    /// A provider over this store. From now on both APIs share their context.
    pub(crate) fn tracer_provider(&self) -> TracerProvider {
        self.0.bridge.on.store(true, Ordering::Relaxed);
        ANY.store(true, Ordering::Relaxed);
        TracerProvider { spans: self.clone() }
    }

    /// The span that this thread has just entered becomes active in the API's context.
    #[inline]
    pub(super) fn activate(&self, id: u64) {
        if self.0.bridge.is_on() {
            self.activate_bridged(id);
        }
    }

    fn activate_bridged(&self, id: u64) {
        let Some(span) = self.bridged(id, false) else { return };
        let mut context = opentelemetry::Context::current_with_span(span);
        let heritage = self.with_open(id, |open| open.heritage.clone()).flatten();
        if let Some(heritage) = heritage.filter(|heritage| !heritage.baggage.is_empty()) {
            context = context.with_baggage(to_api_baggage(&heritage.baggage));
        }
        let guard = context.attach();
        with_entered(|entered| {
            if let Some(last) = entered.last_mut() {
                last.activated = Some(std::mem::ManuallyDrop::new(guard));
            }
        });
    }

    /// An open span as the API knows it.
    fn bridged(&self, id: u64, owned: bool) -> Option<Span> {
        with_stack(|stack| stack.follow(&self.0));
        let context = self.context_of(id)?.span?;
        let span_id = u64::from_be_bytes(context.span_id.0);
        let is_new = self.with_open(id, |open| !std::mem::replace(&mut open.bridged, true))?;
        if is_new {
            self.0.bridge.remember(span_id, id);
        }
        Some(Span { spans: self.clone(), id, context: to_api(&context), owned })
    }

    /// The span of the API that is active and was activated after the innermost entered one.
    fn active(&self) -> Option<SpanContext> {
        if !self.0.bridge.is_on() {
            return None;
        }
        let active = opentelemetry::Context::map_current(from_api)?;
        // Who enters a span activates it, so another one came later.
        let entered = with_entered(|entered| Some(entered.last()?.inside.as_ref()?.span.span_id))?;
        (entered != Some(active.span_id)).then_some(active)
    }

    /// The same as a place of this store.
    pub(super) fn active_key(&self) -> Option<u64> {
        self.0.bridge.key(u64::from_be_bytes(self.active()?.span_id.0))
    }

    /// The same as a parent. If no span of the API is active but the entered one, that one with
    /// the baggage that the API has attached since.
    pub(super) fn active_parent(&self) -> Option<Parent> {
        if !self.0.bridge.is_on() {
            return None;
        }
        if let Some(active) = self.active() {
            let parent = |a: &opentelemetry::Context| self.parent_from(active, a.baggage());
            return opentelemetry::Context::map_current(parent);
        }
        // What was attached here the other way is not known to the API, and counts.
        let has_none = opentelemetry::Context::map_current(|active| active.baggage().is_empty());
        if has_none || Context::baggage_attached_within(depth()).is_some() {
            return None;
        }
        let key = with_entered(|entered| {
            let last = entered.last().filter(|last| last.store == self.address())?;
            last.inside.as_ref().map(|inside| inside.span.key)
        })??;
        let parent = self.parent_at(key)?;
        Some(opentelemetry::Context::map_current(|active| {
            parent.with_api_baggage(active.baggage())
        }))
    }

    fn parent_from(&self, context: SpanContext, baggage: &ApiBaggage) -> Option<Parent> {
        let key = self.0.bridge.key(u64::from_be_bytes(context.span_id.0));
        match key.and_then(|key| self.parent_at(key)) {
            Some(local) => Some(local.with_api_baggage(baggage)),
            None => {
                let baggage = from_api_baggage(baggage, &Baggage::default());
                parent_of(&Context::new(Some(context), baggage))
            }
        }
    }

    fn start_bridged(
        &self,
        scope: &'static str,
        builder: api::SpanBuilder,
        parent: Option<Parent>,
    ) -> u64 {
        let mut buffers = Local::buffers();
        let mut found = Found::default();
        let name = match builder.name {
            Cow::Borrowed(name) => name,
            Cow::Owned(name) => {
                buffers.texts.extend_from_slice(name.as_bytes());
                found.name = Text::new(0..name.len());
                ""
            }
        };
        self.write(&mut buffers, &mut found, builder.attributes.unwrap_or_default());
        let mut new = Description {
            metadata: None,
            scope,
            name,
            kind: builder.span_kind.as_ref().map_or(INTERNAL, kind),
            start_ns: builder.start_time.map_or_else(clock::now_ns, unix_ns),
            found: &mut found,
            heritage: parent.as_ref().and_then(|parent| parent.heritage.clone()),
            decided: None,
        };
        let id = Local::with(&self.0, |local| {
            self.begin(parent.as_ref(), &mut new, &mut buffers, &mut local.places())
        });
        Local::keep_buffers(buffers);
        for event in builder.events.unwrap_or_default() {
            let attributes = values(&event.attributes);
            self.add_event_at(id, unix_ns(event.timestamp), &event.name, &attributes);
        }
        for link in builder.links.unwrap_or_default() {
            self.add_link(id, &context(&link.span_context), &values(&link.attributes));
        }
        id
    }

    fn write(&self, buffers: &mut Buffers, found: &mut Found, attributes: Vec<KeyValue>) {
        let limits = &self.0.limits;
        for KeyValue { key, value, .. } in attributes {
            if found.attributes >= limits.attributes {
                found.dropped += 1;
                continue;
            }
            found.attributes += 1;
            let value = to_value(value);
            attribute_value(
                &mut buffers.body,
                SPAN_ATTRIBUTE,
                key.as_str(),
                &value,
                limits.value_bytes,
            );
        }
    }
}

impl Parent {
    /// The same, handing down what the API has for baggage, if that has any.
    fn with_api_baggage(self, api: &ApiBaggage) -> Parent {
        let own = self.heritage.as_ref().map(|h| h.baggage.clone()).unwrap_or_default();
        if api.is_empty() || holds_the_same(api, &own) {
            return self;
        }
        self.with_baggage(from_api_baggage(api, &own))
    }
}

impl api::TracerProvider for TracerProvider {
    type Tracer = Tracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> Tracer {
        Tracer { spans: self.spans.clone(), scope: interned(scope.name()) }
    }
}

impl api::Tracer for Tracer {
    type Span = Span;

    fn build_with_context(
        &self,
        builder: api::SpanBuilder,
        parent: &opentelemetry::Context,
    ) -> Span {
        let parent = match from_api(parent) {
            Some(context) => self.spans.parent_from(context, parent.baggage()),
            // Only who did not name another context means the one that is attached here.
            None if opentelemetry::Context::map_current(|c| std::ptr::eq(c, parent)) => {
                Context::with_attached(parent_of).flatten()
            }
            None => None,
        };
        let id = self.spans.start_bridged(self.scope, builder, parent);
        self.spans.bridged(id, true).unwrap_or_else(|| Span {
            spans: self.spans.clone(),
            id,
            context: api::SpanContext::NONE,
            owned: false,
        })
    }
}

impl Span {
    fn finish(&mut self) {
        if std::mem::take(&mut self.owned) {
            self.spans.drop_handle(self.id);
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.finish();
    }
}

impl api::Span for Span {
    fn add_event_with_timestamp<T>(
        &mut self,
        name: T,
        timestamp: SystemTime,
        attributes: Vec<KeyValue>,
    ) where
        T: Into<Cow<'static, str>>,
    {
        let attributes = values(&attributes);
        self.spans.add_event_at(self.id, unix_ns(timestamp), &name.into(), &attributes);
    }

    fn span_context(&self) -> &api::SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.spans.with_open(self.id, |open| open.own.fate != Fate::NONE).unwrap_or(false)
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        let value = to_value(attribute.value);
        self.spans.set_attribute(self.id, attribute.key.as_str(), &value);
    }

    fn set_status(&mut self, status: api::Status) {
        let status = match status {
            api::Status::Unset => return,
            api::Status::Ok => Status::Ok,
            api::Status::Error { description } => Status::Error(description),
        };
        self.spans.set_status(self.id, &status);
    }

    fn update_name<T>(&mut self, new_name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        let name = new_name.into();
        self.spans.with_open(self.id, |open| open.set_name(&name));
    }

    fn add_link(&mut self, span_context: api::SpanContext, attributes: Vec<KeyValue>) {
        if span_context.is_valid() {
            self.spans.add_link(self.id, &context(&span_context), &values(&attributes));
        }
    }

    fn end(&mut self) {
        self.finish();
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        if self.owned {
            self.spans.with_open(self.id, |open| open.end_ns = unix_ns(timestamp));
        }
        self.finish();
    }
}

/// Names of scopes that are kept for ever: so many different ones is a mistake.
const SCOPES_MAX: usize = 1024;

/// The name as long as the process lives.
fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.iter().find(|known| **known == name) {
        return known;
    }
    if names.len() >= SCOPES_MAX {
        return "other";
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.push(name);
    name
}

fn kind(kind: &api::SpanKind) -> u8 {
    match kind {
        api::SpanKind::Internal => INTERNAL,
        api::SpanKind::Server => 2,
        api::SpanKind::Client => 3,
        api::SpanKind::Producer => 4,
        api::SpanKind::Consumer => 5,
    }
}

fn unix_ns(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn values(attributes: &[KeyValue]) -> Vec<(&str, Value)> {
    attributes.iter().map(|pair| (pair.key.as_str(), to_value(pair.value.clone()))).collect()
}

fn to_value(value: opentelemetry::Value) -> Value {
    use opentelemetry::{Array, Value as Api};
    match value {
        Api::Bool(value) => Value::Bool(value),
        Api::I64(value) => Value::Int(value),
        Api::F64(value) => Value::Double(value),
        Api::String(value) => Value::from(String::from(value)),
        Api::Array(Array::Bool(values)) => Value::from(values),
        Api::Array(Array::I64(values)) => Value::from(values),
        Api::Array(Array::F64(values)) => Value::from(values),
        Api::Array(Array::String(values)) => {
            Value::Array(values.into_iter().map(|v| Value::from(String::from(v))).collect())
        }
        other => Value::from(other.to_string()),
    }
}

fn to_api(context: &SpanContext) -> api::SpanContext {
    api::SpanContext::new(
        api::TraceId::from_bytes(context.trace_id.0),
        api::SpanId::from_bytes(context.span_id.0),
        api::TraceFlags::new(context.flags.known()),
        context.remote,
        // What it does not take is of no use to it.
        context.state.as_str().parse().unwrap_or_default(),
    )
}

/// The span of a context, if there is one.
fn from_api(context: &opentelemetry::Context) -> Option<SpanContext> {
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| self::context(span))
}

fn to_api_baggage(baggage: &Baggage) -> ApiBaggage {
    let entries = baggage.entries().iter();
    let entry = |entry: &BaggageEntry| {
        let value = entry.value().to_owned();
        KeyValueMetadata::new(entry.key.clone(), value, entry.properties.clone())
    };
    entries.map(entry).collect()
}

/// The API keeps neither the order of entries nor how values were written: those that are in
/// `own`, too, are as they are there.
fn from_api_baggage(api: &ApiBaggage, own: &Baggage) -> Baggage {
    if holds_the_same(api, own) {
        return own.clone();
    }
    let kept = own.entries().iter().filter(|entry| holds(api, entry));
    let mut entries: Vec<BaggageEntry> = kept.cloned().collect();
    for (key, (value, metadata)) in api {
        let (key, value) = (key.as_str(), value.as_str());
        if !entries.iter().any(|entry| entry.key == key) {
            let entry = BaggageEntry::new(key, value, percent_encoded(value));
            entries.push(BaggageEntry { properties: metadata.as_str().to_owned(), ..entry });
        }
    }
    Baggage((!entries.is_empty()).then(|| entries.into()))
}

fn holds_the_same(api: &ApiBaggage, own: &Baggage) -> bool {
    let own = own.entries();
    api.len() == own.len() && own.iter().all(|entry| holds(api, entry))
}

fn holds(api: &ApiBaggage, entry: &BaggageEntry) -> bool {
    api.get_with_metadata(&entry.key).is_some_and(|(value, metadata)| {
        value.as_str() == entry.value() && metadata.as_str() == entry.properties
    })
}

fn context(span: &api::SpanContext) -> SpanContext {
    SpanContext {
        trace_id: TraceId(span.trace_id().to_bytes()),
        span_id: SpanId(span.span_id().to_bytes()),
        flags: TraceFlags(span.trace_flags().to_u8()),
        state: TraceState::from_members(&span.trace_state().header()),
        remote: span.is_remote(),
    }
}

#[cfg(test)]
impl Bridge {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}
