//! Other layers of `tracing-subscriber` beside ours.
//!
//! They look spans up by [`LookupSpan`] and put things of their own at them, into extensions
//! which only that crate can make. So each of our spans has a shadow in a [`Registry`], and
//! what is asked of its extensions and filters is asked of the shadow.

use tracing_core::field::{Field, Value};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, LevelFilter, Metadata};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::FilterId;
use tracing_subscriber::layer::{Layer, Layered, SubscriberExt as _};
use tracing_subscriber::registry::{Extensions, ExtensionsMut, LookupSpan, SpanData};

use super::Subscriber;

/// Where the shadows are. A registry frees a span only when the subscriber around it says
/// that all layers are done, so there is one, of a layer that does nothing.
pub(super) struct Shadows(Layered<Nothing, Registry>);

const NO_VALUES: [(&Field, Option<&dyn Value>); 0] = [];

struct Nothing;

impl<S: tracing_core::Subscriber> Layer<S> for Nothing {}

impl Shadows {
    fn new() -> Shadows {
        Shadows(Registry::default().with(Nothing))
    }

    /// Makes a shadow without fields and parent: those are ours to tell.
    pub(super) fn new_span(&self, metadata: &'static Metadata<'static>) -> u64 {
        let values = metadata.fields().value_set(&NO_VALUES);
        let attributes = Attributes::new_root(metadata, &values);
        tracing_core::Subscriber::new_span(&self.0, &attributes).into_u64()
    }

    pub(super) fn close(&self, shadow: u64) {
        tracing_core::Subscriber::try_close(&self.0, Id::from_u64(shadow));
    }

    pub(super) fn interest(&self, metadata: &'static Metadata<'static>) -> Interest {
        tracing_core::Subscriber::register_callsite(&self.0, metadata)
    }

    pub(super) fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        tracing_core::Subscriber::enabled(&self.0, metadata)
    }

    pub(super) fn event_enabled(&self, event: &Event<'_>) -> bool {
        tracing_core::Subscriber::event_enabled(&self.0, event)
    }
}

impl Subscriber {
    /// What receives spans and events when other layers are to see them, too: `add` puts them
    /// around, as in `|ours| ours.with(layer)`. Which spans and events there are is said by
    /// the levels of telemetry; a filter of a layer chooses among them.
    pub(crate) fn with_layers<S>(mut self, add: impl FnOnce(Subscriber) -> S) -> Dispatch
    where
        S: tracing_core::Subscriber + Send + Sync,
    {
        self.shadows = Some(Shadows::new());
        // Layers insist on finding each span that they have heard of.
        self.spans.lift_limit();
        Dispatch::new(Outermost(add(self)))
    }
}

impl Subscriber {
    fn forget_closed(&self, id: &Id) {
        let shadow = self.spans.forget_closed(id.into_u64());
        if let (Some(shadow), Some(shadows)) = (shadow, &self.shadows) {
            shadows.close(shadow);
        }
    }
}

/// A span as other layers see it.
#[derive(Debug)]
pub struct Data<'a> {
    id: Id,
    parent: Option<Id>,
    metadata: &'static Metadata<'static>,
    shadow: <Registry as LookupSpan<'a>>::Data,
}

impl<'a> SpanData<'a> for Data<'a> {
    fn id(&self) -> Id {
        self.id.clone()
    }

    fn metadata(&self) -> &'static Metadata<'static> {
        self.metadata
    }

    fn parent(&self) -> Option<&Id> {
        self.parent.as_ref()
    }

    fn extensions(&self) -> Extensions<'_> {
        self.shadow.extensions()
    }

    fn extensions_mut(&self) -> ExtensionsMut<'_> {
        self.shadow.extensions_mut()
    }

    fn is_enabled_for(&self, filter: FilterId) -> bool {
        self.shadow.is_enabled_for(filter)
    }
}

impl<'a> LookupSpan<'a> for Subscriber {
    type Data = Data<'a>;

    fn span_data(&'a self, id: &Id) -> Option<Data<'a>> {
        let shadows = self.shadows.as_ref()?;
        let (metadata, parent, shadow) = self.spans.for_layers(id.into_u64())?;
        let shadow = shadows.0.span_data(&Id::from_u64(shadow))?;
        let parent = (parent != 0).then(|| Id::from_u64(parent));
        Some(Data { id: id.clone(), parent, metadata, shadow })
    }

    fn register_filter(&mut self) -> FilterId {
        self.shadows.get_or_insert_with(Shadows::new).0.register_filter()
    }
}

/// Around all layers: knows when the last of them has seen a span close, until when the span
/// must be there.
struct Outermost<S>(S);

impl<S: tracing_core::Subscriber> tracing_core::Subscriber for Outermost<S> {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.0.on_register_dispatch(dispatch);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.0.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.max_level_hint()
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.0.new_span(attributes)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.0.record(id, values);
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        self.0.record_follows_from(id, follows);
    }

    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.0.event_enabled(event)
    }

    fn event(&self, event: &Event<'_>) {
        self.0.event(event);
    }

    fn enter(&self, id: &Id) {
        self.0.enter(id);
    }

    fn exit(&self, id: &Id) {
        self.0.exit(id);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.0.clone_span(id)
    }

    fn try_close(&self, id: Id) -> bool {
        let closed = self.0.try_close(id.clone());
        let inner: &dyn tracing_core::Subscriber = &self.0;
        if closed && let Some(ours) = inner.downcast_ref::<Subscriber>() {
            ours.forget_closed(&id);
        }
        closed
    }

    fn current_span(&self) -> Current {
        self.0.current_span()
    }

    #[allow(unsafe_code)]
    unsafe fn downcast_raw(&self, id: std::any::TypeId) -> Option<*const ()> {
        if id == std::any::TypeId::of::<Self>() {
            return Some(std::ptr::from_ref(self).cast());
        }
        // SAFETY: the inner subscriber keeps the promise for its own type and what it holds,
        // and lives as long as this one.
        unsafe { self.0.downcast_raw(id) }
    }
}
