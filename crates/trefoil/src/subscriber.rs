//! What `tracing` calls: spans go to the store, events to the store and the logs.

#[cfg(feature = "layers")]
mod layers;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(feature = "http")]
use tracing_core::callsite::{Callsite as _, DefaultCallsite};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Dispatch, Event, Interest, LevelFilter, Metadata};

#[cfg(feature = "http")]
use crate::attribute::Encoded;
use crate::clock;
use crate::export;
use crate::log::{Levels, Logs};
use crate::propagate::Propagators;
use crate::span::Spans;

/// Lines of the access log say again what the span says.
pub(crate) const ACCESS_LOG: &str = "trefoil::access";

/// Modules whose spans and events are the application's in all but their place.
const ON_BEHALF: [&str; 5] =
    ["trefoil::grpc", "trefoil::http", "trefoil::reqwest", "trefoil::sqlx", "trefoil::work"];

/// Whether the place of a callsite, `code.*`, is one in the application. That of a layer of
/// ours tells nobody anything.
pub(crate) fn is_in_application(metadata: &Metadata<'_>) -> bool {
    let module = metadata.module_path().unwrap_or_default();
    !ON_BEHALF.iter().any(|ours| module.starts_with(ours))
}

/// An event that one of our layers encodes, attributes and body; `complete` is called if it is
/// wanted. False if the subscriber in force wants it as fields instead. It does without what
/// `tracing`'s macros do for an event, which each request would pay for.
#[cfg(feature = "http")]
pub(crate) fn log_encoded(
    callsite: &'static DefaultCallsite,
    now_ns: u64,
    encoded: &mut Encoded,
    complete: impl Fn(&mut Encoded),
) -> bool {
    tracing::dispatcher::get_default(|dispatch| {
        let subscriber = dispatch.downcast_ref::<Subscriber>();
        let Some(subscriber) = subscriber.filter(|ours| ours.takes_encoded()) else { return false };
        let metadata = callsite.metadata();
        let level = *metadata.level();
        if level <= tracing::level_filters::STATIC_MAX_LEVEL && level <= LevelFilter::current() {
            let interest = callsite.interest();
            let wanted =
                interest.is_always() || interest.is_sometimes() && dispatch.enabled(metadata);
            if wanted && !subscriber.logs.is_idle() {
                let current = subscriber.spans.current_here();
                complete(encoded);
                subscriber.logs.on_encoded(metadata, encoded, current.as_ref(), now_ns);
            }
        }
        true
    })
}

/// Receives the spans and events of `tracing`'s macros. A place for other layers, if there
/// are any.
pub struct Subscriber {
    #[cfg(feature = "layers")]
    shadows: Option<layers::Shadows>,
    spans: Spans,
    span_levels: Levels,
    logs: Arc<Logs>,
    propagators: Propagators,
    takes_encoded: bool,
}

impl Subscriber {
    /// `span_levels` says which spans there are.
    pub(crate) fn new(spans: Spans, span_levels: Levels, logs: Arc<Logs>) -> Subscriber {
        Subscriber {
            #[cfg(feature = "layers")]
            shadows: None,
            takes_encoded: spans.takes_encoded() && logs.takes_encoded(),
            spans,
            span_levels,
            logs,
            propagators: Propagators::default(),
        }
    }

    /// How context leaves for other services where nobody says it; W3C's formats unless set.
    pub(crate) fn with_propagators(self, propagators: Propagators) -> Subscriber {
        Subscriber { propagators, ..self }
    }

    pub(crate) fn propagators(&self) -> &Propagators {
        &self.propagators
    }

    /// Whether a layer of ours may hand over its attributes as bytes: nobody else wants to see
    /// them, and no limit is in their way.
    pub(crate) fn takes_encoded(&self) -> bool {
        #[cfg(feature = "layers")]
        if self.shadows.is_some() {
            return false;
        }
        self.takes_encoded
    }

    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    pub(crate) fn spans(&self) -> &Spans {
        &self.spans
    }

    /// Whether telemetry wants a callsite.
    fn interest(&self, metadata: &'static Metadata<'static>) -> Interest {
        let interest = match metadata.is_span() {
            true => {
                self.logs.register_span(metadata);
                self.span_levels.interest(metadata, "")
            }
            false => self.logs.interest(metadata),
        };
        // Which thread it is has to be asked each time, see `enabled`.
        match interest.is_always() && export::may_be_exporting(metadata.target()) {
            true => Interest::sometimes(),
            false => interest,
        }
    }
}

/// How the subscriber becomes a dispatch: as it is, or with other layers around it.
#[derive(Default)]
pub(crate) struct Wrapping(Mutex<Option<Wrap>>);

type Wrap = Box<dyn FnOnce(Subscriber) -> Dispatch + Send>;

impl Wrapping {
    #[cfg(feature = "layers")]
    pub(crate) fn new(wrap: impl FnOnce(Subscriber) -> Dispatch + Send + 'static) -> Wrapping {
        Wrapping(Mutex::new(Some(Box::new(wrap))))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Wrap>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether others see spans and events, too.
    pub(crate) fn has_layers(&self) -> bool {
        self.lock().is_some()
    }

    pub(crate) fn dispatch(&self, subscriber: Subscriber) -> Dispatch {
        let wrap = self.lock().take();
        match wrap {
            Some(wrap) => wrap(subscriber),
            None => Dispatch::new(subscriber),
        }
    }
}

impl std::fmt::Debug for Wrapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Wrapping").field(&self.has_layers()).finish()
    }
}

impl std::fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscriber").finish_non_exhaustive()
    }
}

impl tracing_core::Subscriber for Subscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let ours = self.interest(metadata);
        #[cfg(feature = "layers")]
        if let Some(shadows) = &self.shadows {
            // Filters of layers have to be asked each time unless all of them always agree.
            let theirs = shadows.interest(metadata);
            if ours.is_always() && !theirs.is_always() {
                return Interest::sometimes();
            }
        }
        ours
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if export::is_exporting() {
            return false;
        }
        #[cfg(feature = "layers")]
        if self.shadows.as_ref().is_some_and(|shadows| !shadows.enabled(metadata)) {
            return false;
        }
        if metadata.is_span() {
            return self.span_levels.enabled(metadata.target(), "", *metadata.level());
        }
        self.logs.enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.logs.max_level_hint().max(self.span_levels.max()))
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = self.spans.new_span(attributes);
        #[cfg(feature = "layers")]
        if let Some(shadows) = &self.shadows {
            self.spans.set_shadow(id, shadows.new_span(attributes.metadata()));
        }
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.spans.record(id.into_u64(), values);
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        self.spans.follows(id.into_u64(), follows.into_u64());
    }

    #[cfg(feature = "layers")]
    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.shadows.as_ref().is_none_or(|shadows| shadows.event_enabled(event))
    }

    fn event(&self, event: &Event<'_>) {
        let now_ns = clock::now_ns();
        if event.metadata().target() != ACCESS_LOG {
            self.spans.on_event(event, now_ns);
        }
        if !self.logs.is_idle() {
            self.logs.on_event(event, self.spans.current_of(event).as_ref(), now_ns);
        }
    }

    fn enter(&self, id: &Id) {
        self.spans.enter(id.into_u64());
    }

    fn exit(&self, id: &Id) {
        self.spans.exit(id.into_u64());
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.spans.clone_handle(id.into_u64());
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        self.spans.drop_handle(id.into_u64())
    }

    fn current_span(&self) -> Current {
        match self.spans.entered() {
            Some((id, metadata)) => Current::new(Id::from_u64(id), metadata),
            None => Current::none(),
        }
    }
}
