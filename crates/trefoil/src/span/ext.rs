//! What `tracing`'s macros cannot say about a span.

use std::borrow::Cow;
use std::error::Error;

use tracing::Span;

use super::encode::{SPAN_ATTRIBUTE, attribute_int, attribute_value};
use super::local::Local;
use super::open::{ERROR, OK, UNSET};
use super::{Spans, open};
use crate::context::{Context, SpanContext};
use crate::subscriber::Subscriber;
use crate::value::Value;

/// How a span ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing is said: it went as it should.
    #[default]
    Unset,
    /// It is said that it went as it should. Errors that are recorded later do not change it.
    Ok,
    /// It failed, and why.
    Error(Cow<'static, str>),
}

impl Status {
    /// It failed, and why.
    pub fn error(description: impl Into<Cow<'static, str>>) -> Status {
        Status::Error(description.into())
    }
}

/// Says more about a span of `tracing`. Does nothing for spans that are disabled, that ended,
/// or that go to a subscriber of another crate.
///
/// ```
/// use trefoil::SpanExt;
///
/// let span = tracing::info_span!("export", job.id = "j-1");
/// span.set_attribute("vm.name", "web-1");
/// span.add_event("disk copied", &[("bytes", 1_048_576.into())]);
/// ```
pub trait SpanExt {
    /// Makes it a child of a span elsewhere, and part of its trace. Only before it is entered,
    /// has children or is referred to; later nothing happens.
    fn set_parent(&self, context: &Context);

    /// What makes other spans its children, here or in other services. Empty if the span is
    /// disabled.
    fn context(&self) -> Context;

    /// Points to a span that this one has to do with but is no child of.
    fn add_link(&self, to: &SpanContext, attributes: &[(&str, Value)]);

    /// Sets an attribute, which need not be a field of the macro. A key that is there is
    /// replaced.
    fn set_attribute(&self, key: &str, value: impl Into<Value>);

    /// Adds an event that happens now.
    fn add_event(&self, name: &str, attributes: &[(&str, Value)]);

    /// Adds an event `exception` with the error and its causes, and says that the span failed.
    fn record_error(&self, error: &dyn Error);

    /// Says how it ended.
    fn set_status(&self, status: Status);

    /// Keeps its trace, whatever the sampler said, and says why: `sampling.reason`.
    fn keep(&self, reason: &'static str);

    /// Gives it another name.
    fn set_name(&self, name: &str);

    /// Says that it ends early because nobody waits for it any more: an event and an attribute
    /// `cancelled`. That is no failure.
    fn cancelled(&self);
}

impl SpanExt for Span {
    fn set_parent(&self, context: &Context) {
        with(self, |spans, id| spans.set_parent(id, context));
    }

    fn context(&self) -> Context {
        with(self, Spans::context_of).flatten().unwrap_or_default()
    }

    fn add_link(&self, to: &SpanContext, attributes: &[(&str, Value)]) {
        with(self, |spans, id| spans.add_link(id, to, attributes));
    }

    fn set_attribute(&self, key: &str, value: impl Into<Value>) {
        with(self, |spans, id| spans.set_attribute(id, key, &value.into()));
    }

    fn add_event(&self, name: &str, attributes: &[(&str, Value)]) {
        with(self, |spans, id| spans.add_event(id, name, attributes));
    }

    fn record_error(&self, error: &dyn Error) {
        with(self, |spans, id| spans.record_error(id, error));
    }

    fn set_status(&self, status: Status) {
        with(self, |spans, id| spans.set_status(id, &status));
    }

    fn keep(&self, reason: &'static str) {
        with(self, |spans, id| spans.keep(id, reason));
    }

    fn set_name(&self, name: &str) {
        with(self, |spans, id| spans.with_open(id, |open| open.set_name(name)));
    }

    fn cancelled(&self) {
        with(self, |spans, id| {
            spans.set_attribute(id, "cancelled", &Value::Bool(true));
            spans.add_event(id, "cancelled", &[]);
        });
    }
}

/// The store and the id of a span, if it is one of ours.
fn with<R>(span: &Span, work: impl FnOnce(&Spans, u64) -> R) -> Option<R> {
    span.with_subscriber(|(id, dispatch)| {
        let subscriber = dispatch.downcast_ref::<Subscriber>()?;
        Some(work(subscriber.spans(), id.into_u64()))
    })
    .flatten()
}

/// Adds integers to a span that ends at `end_ns`, at less cost than `record`. The time counts
/// unless others hold the span, too. False if it is none of ours, and nothing was added.
pub(crate) fn complete(span: &Span, end_ns: u64, attributes: &[(&'static str, i64)]) -> bool {
    with(span, |spans, id| spans.complete(id, end_ns, attributes)).is_some()
}

impl Spans {
    fn complete(&self, id: u64, end_ns: u64, attributes: &[(&'static str, i64)]) {
        let limit = self.0.limits.attributes;
        let untouched = self.with_open(id, |open| {
            if open.handles == 1 && open.end_ns == 0 {
                open.end_ns = end_ns;
            }
            // Only what was added since the beginning could have one of the keys.
            let untouched = open.counts.attributes == open.counts.attributes_at_start;
            for (key, value) in attributes.iter().filter(|_| untouched) {
                if open.counts.attributes < limit {
                    open.counts.attributes += 1;
                    attribute_int(&mut open.body, SPAN_ATTRIBUTE, key, *value);
                } else {
                    open.counts.attributes_dropped += 1;
                }
            }
            untouched
        });
        if untouched == Some(false) {
            for (key, value) in attributes {
                self.set_attribute(id, key, &Value::Int(*value));
            }
        }
    }

    pub(crate) fn set_attribute(&self, id: u64, key: &str, value: &Value) {
        let mut buffers = Local::buffers();
        let limits = &self.0.limits;
        attribute_value(&mut buffers.body, SPAN_ATTRIBUTE, key, value, limits.value_bytes);
        self.with_open(id, |open| open.merge_attributes(&buffers.body, limits.attributes));
        Local::keep_buffers(buffers);
    }

    pub(crate) fn record_error(&self, id: u64, error: &dyn Error) {
        let message = error.to_string();
        let chain = super::fields::chain(error);
        let mut attributes = vec![("exception.message", Value::from(message.clone()))];
        if chain != message {
            attributes.push(("exception.stacktrace", Value::from(chain)));
        }
        self.add_event(id, "exception", &attributes);
        self.with_open(id, |open| open.fail(&message));
    }

    pub(crate) fn set_status(&self, id: u64, status: &Status) {
        let (code, description) = match status {
            Status::Unset => (UNSET, ""),
            Status::Ok => (OK, ""),
            Status::Error(description) => (ERROR, description.as_ref()),
        };
        self.with_open(id, |open: &mut open::Open| open.set_status(code, description));
    }
}
