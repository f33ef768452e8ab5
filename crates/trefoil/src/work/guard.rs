//! The guard that knows how its work ended.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use tracing::{Instrument, Span};

use crate::attribute::{ERROR_TYPE, Key};
use crate::span::{SpanExt, Status};
use crate::value::Value;

crate::label_enum! {
    /// How work ended. Also a label's value: `success`, `failure`, `cancelled`, `panicked`.
    pub enum Ended {
        /// As it should.
        Success,
        /// With an error.
        Failure,
        /// Nobody waited for it any more.
        Cancelled,
        /// With a panic.
        Panicked,
    }
}

/// The end of work, as those see it who measure it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct End<'e> {
    /// How.
    pub how: Ended,
    /// After which time.
    pub took: Duration,
    /// Its span, still open.
    pub span: &'e Span,
    /// What the error said, if there was one.
    pub error: Option<&'e str>,
}

impl End<'_> {
    /// Whether it ended as it should.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.how == Ended::Success
    }
}

/// Work whose end nobody measures.
#[derive(Clone, Copy, Debug)]
pub struct Unmeasured;

/// Who measures the end of work: a closure over [`End`], or nobody.
pub trait Measure {
    /// Called once, however the work ended.
    fn ended(self, end: End<'_>);
}

impl Measure for Unmeasured {
    fn ended(self, _end: End<'_>) {}
}

impl<F: FnOnce(End<'_>)> Measure for F {
    fn ended(self, end: End<'_>) {
        self(end);
    }
}

/// Work that goes on. However it ends, by its result, by `?`, by a panic, or because nobody
/// waits for its future any more, the span's status and what is measured of it agree, and
/// neither is forgotten.
///
/// ```
/// use trefoil::work::{self, Ended};
/// use trefoil::{Counter, Histogram};
///
/// trefoil::labels! {
///     /// Labels of an operation.
///     pub struct Operation { status: Ended }
/// }
/// trefoil::metrics! {
///     /// Operations by outcome.
///     static OPERATIONS: Counter<Operation> = "vm_operations_total";
///     /// Duration of operations.
///     static DURATION: Histogram<Operation> = "vm_operation_duration_seconds", unit "s";
/// }
///
/// async fn boot() -> Result<(), std::io::Error> {
///     let boot = work::start(tracing::info_span!("vm.boot")).measured(|end| {
///         OPERATIONS.inc(Operation { status: end.how });
///         DURATION.record_duration(end.took, Operation { status: end.how });
///     });
///     boot.instrument(async { Ok(()) }).await
/// }
/// ```
#[must_use = "it ends when it is dropped"]
pub struct Work<M: Measure = Unmeasured> {
    span: Span,
    start: Instant,
    /// How it ended if it is dropped now.
    if_dropped: Ended,
    /// `None` once it ended.
    measure: Option<M>,
}

impl Work {
    pub(super) fn new(span: Span) -> Work {
        Work { span, start: Instant::now(), if_dropped: Ended::Failure, measure: Some(Unmeasured) }
    }

    /// Has its end measured.
    pub fn measured<F: FnOnce(End<'_>)>(mut self, measure: F) -> Work<F> {
        self.measure = None;
        let span = std::mem::replace(&mut self.span, Span::none());
        let (start, if_dropped) = (self.start, self.if_dropped);
        Work { span, start, if_dropped, measure: Some(measure) }
    }
}

impl<M: Measure> Work<M> {
    /// Its span.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Does it here and now.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn run<T, E: fmt::Display>(self, work: impl FnOnce(&Self) -> Result<T, E>) -> Result<T, E> {
        let result = self.span.in_scope(|| work(&self));
        self.record(result)
    }

    /// Does it wherever the future is polled. If that is dropped early, the work was cancelled.
    pub fn instrument<T, E: fmt::Display>(
        mut self,
        work: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        self.if_dropped = Ended::Cancelled;
        let work = work.instrument(self.span.clone());
        async move {
            let result = work.await;
            self.record(result)
        }
    }

    /// Ends with a result, which is handed on.
    ///
    /// # Errors
    /// The result's own.
    pub fn record<T, E: fmt::Display>(mut self, result: Result<T, E>) -> Result<T, E> {
        match &result {
            Ok(_) => self.end(Ended::Success, None),
            Err(error) => {
                // The alternate form of some types of errors has their causes, too.
                let text = format!("{error:#}");
                self.fail(short_name::<E>(), &text);
                self.end(Ended::Failure, Some(&text));
            }
        }
        result
    }

    /// Ends as it should.
    pub fn succeed(mut self) {
        self.end(Ended::Success, None);
    }

    /// Ends with a failure that is the caller's own mistake, as a wrong password is: it counts
    /// as a failure, and the span did what it should.
    pub fn decline(mut self, why: &dyn fmt::Display) {
        self.end(Ended::Failure, Some(&why.to_string()));
    }

    /// Adds an event to the span.
    pub fn add_event(&self, name: &str, attributes: &[(&str, Value)]) {
        self.span.add_event(name, attributes);
    }

    /// Sets an attribute of the span.
    pub fn set<T: Into<Value>>(&self, key: Key<T>, value: impl Into<T>) {
        let (name, value) = key.of(value);
        self.span.set_attribute(name, value);
    }

    /// Sets attributes of the span.
    pub fn set_attributes(&self, attributes: impl IntoIterator<Item = (&'static str, Value)>) {
        for (key, value) in attributes {
            self.span.set_attribute(key, value);
        }
    }

    /// Records an error without ending: work may go on after it.
    pub fn record_error(&self, error: &dyn Error) {
        self.span.record_error(error);
    }

    /// Sets the span's status.
    pub fn set_status(&self, status: Status) {
        self.span.set_status(status);
    }

    fn fail(&self, kind: &str, text: &str) {
        self.span.set_attribute(ERROR_TYPE.name(), Value::from(kind.to_owned()));
        let attributes = [
            ("exception.type", Value::from(kind.to_owned())),
            ("exception.message", Value::from(text.to_owned())),
        ];
        self.span.add_event("exception", &attributes);
        self.span.set_status(Status::error(text.to_owned()));
    }

    fn end(&mut self, how: Ended, error: Option<&str>) {
        if let Some(measure) = self.measure.take() {
            let took = self.start.elapsed();
            // Inside the span, so that exemplars lead to it.
            self.span.in_scope(|| measure.ended(End { how, took, span: &self.span, error }));
        }
    }
}

impl<M: Measure> Drop for Work<M> {
    fn drop(&mut self) {
        if self.measure.is_none() {
            return;
        }
        let how = if std::thread::panicking() { Ended::Panicked } else { self.if_dropped };
        match how {
            Ended::Cancelled => self.span.cancelled(),
            Ended::Panicked => self.span.set_status(Status::error("panicked")),
            _ => self.span.set_status(Status::error("ended early")),
        }
        self.end(how, None);
    }
}

impl<M: Measure> fmt::Debug for Work<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("span", &self.span).finish_non_exhaustive()
    }
}

/// The name of a type without the path before it: few values, and one that people search for.
fn short_name<E>() -> &'static str {
    let name = std::any::type_name::<E>();
    let path = name.split('<').next().unwrap_or(name);
    path.rsplit("::").next().unwrap_or(path)
}
