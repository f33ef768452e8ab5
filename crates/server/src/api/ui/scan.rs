//! One pass over the spans of a window, within limits.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use trefoil_query::Error;
use trefoil_store::model::{Attribute, Resource, Span, SpanKind, StoredSpan, Value};
use trefoil_store::{Order, Snapshot, SpanFilter, SpanScan, Tally, TimeRange};

/// Rows one answer looks at. Two million spans are a second or two of work.
const ROWS_MAX: u64 = 2_000_000;
/// How long one pass may take. A page that comes late is worse than one that says "partial".
const TIME_MAX: Duration = Duration::from_secs(4);
/// How often the time is looked at, in rows.
const ROWS_PER_LOOK: u64 = 4096;

/// How much a pass may still do, and why it stopped.
#[derive(Debug)]
pub(super) struct Budget {
    started: Instant,
    rows: u64,
    /// Empty, or what to tell the user.
    pub(super) partial: String,
}

impl Budget {
    pub(super) fn new() -> Self {
        Budget { started: Instant::now(), rows: 0, partial: String::new() }
    }

    /// Counts a row; says when to stop.
    pub(super) fn step(&mut self, what: &str) -> ControlFlow<()> {
        self.rows += 1;
        let late = self.rows.is_multiple_of(ROWS_PER_LOOK) && self.started.elapsed() > TIME_MAX;
        if self.rows > ROWS_MAX || late {
            self.partial = format!("stopped after {} {what}; choose a shorter range", self.rows);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Notes damaged blocks.
    pub(super) fn finish(mut self, tally: &Tally) -> String {
        let damaged = tally.blocks_damaged.load(Relaxed);
        if self.partial.is_empty() && damaged > 0 {
            self.partial = format!("{damaged} damaged blocks were skipped");
        }
        self.partial
    }
}

/// Hands every span that starts in the range to `visit`.
pub(super) fn spans(
    snapshot: &Snapshot,
    range: TimeRange,
    filter: &SpanFilter,
    tally: &Tally,
    budget: &mut Budget,
    visit: &mut dyn FnMut(&StoredSpan<'_>),
) -> Result<(), Error> {
    let scan = SpanScan { range, filter, order: Order::Any };
    snapshot.spans(&scan, tally, &mut |stored| {
        visit(stored);
        budget.step("spans")
    })?;
    Ok(())
}

/// Whether a span counts as a request its service served: it came in from outside the
/// process, or nothing called it.
pub(super) fn is_entry(span: &Span<'_>) -> bool {
    matches!(span.kind, SpanKind::Server | SpanKind::Consumer) || span.parent_span_id == [0; 8]
}

/// From start to end, 0 if the clock went backwards.
pub(super) fn duration_ns(span: &Span<'_>) -> u64 {
    span.end_ns.saturating_sub(span.start_ns)
}

/// The text of an attribute, if it is there and text.
pub(super) fn text<'a>(attributes: &'a [Attribute<'_>], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match &found.value {
        Value::Str(text) => Some(text),
        _ => None,
    }
}

/// The name a resource goes by; what Loki and the SDKs call a service without one.
pub(super) fn service_name<'a>(resource: &'a Resource<'_>) -> &'a str {
    let name = text(&resource.attributes, "service.name").filter(|name| !name.is_empty());
    name.unwrap_or("unknown_service")
}

/// Services by number. Spans of one resource share one `Arc`, so its address is looked up
/// before its name is.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// Names in the order of their numbers.
    pub(super) names: Vec<String>,
    by_name: HashMap<String, usize>,
    /// The `Arc`s are held so that no address is used twice.
    by_address: HashMap<usize, (usize, Arc<Resource<'static>>)>,
}

impl Services {
    pub(super) fn number(&mut self, resource: &Arc<Resource<'static>>) -> usize {
        let address = Arc::as_ptr(resource) as usize;
        if let Some((number, _)) = self.by_address.get(&address) {
            return *number;
        }
        let number = self.number_of(service_name(resource));
        self.by_address.insert(address, (number, Arc::clone(resource)));
        number
    }

    pub(super) fn number_of(&mut self, name: &str) -> usize {
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        let number = self.names.len();
        self.names.push(name.to_owned());
        self.by_name.insert(name.to_owned(), number);
        number
    }
}
