//! What `tracing` calls: spans go to the store, events to the store and the logs.

use std::sync::Arc;

use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Event, Interest, LevelFilter, Metadata};

use crate::clock;
use crate::log::{Levels, Logs};
use crate::propagate::Propagators;
use crate::span::Spans;

/// Lines of the access log say again what the span says.
pub(crate) const ACCESS_LOG: &str = "trefoil::access";

/// Receives the spans and events of `tracing`'s macros.
pub(crate) struct Subscriber {
    spans: Spans,
    span_levels: Levels,
    logs: Arc<Logs>,
    propagators: Propagators,
}

impl Subscriber {
    /// `span_levels` says which spans there are.
    pub(crate) fn new(spans: Spans, span_levels: Levels, logs: Arc<Logs>) -> Subscriber {
        Subscriber { spans, span_levels, logs, propagators: Propagators::default() }
    }

    /// How context leaves for other services where nobody says it; W3C's formats unless set.
    pub(crate) fn with_propagators(self, propagators: Propagators) -> Subscriber {
        Subscriber { propagators, ..self }
    }

    pub(crate) fn propagators(&self) -> &Propagators {
        &self.propagators
    }

    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    pub(crate) fn spans(&self) -> &Spans {
        &self.spans
    }
}

impl tracing_core::Subscriber for Subscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_span() {
            self.logs.register_span(metadata);
            return self.span_levels.interest(metadata, "");
        }
        self.logs.interest(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            return self.span_levels.enabled(metadata.target(), "", *metadata.level());
        }
        self.logs.enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.logs.max_level_hint().max(self.span_levels.max()))
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        Id::from_u64(self.spans.new_span(attributes))
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.spans.record(id.into_u64(), values);
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        self.spans.follows(id.into_u64(), follows.into_u64());
    }

    fn event(&self, event: &Event<'_>) {
        let now_ns = clock::now_ns();
        if event.metadata().target() != ACCESS_LOG {
            self.spans.on_event(event, now_ns);
        }
        self.logs.on_event(event, self.spans.current_of(event).as_ref(), now_ns);
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
