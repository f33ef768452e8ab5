//! Finds the newest traces that a query matches.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;

use trefoil_store::model::{SpanId, StatusCode, StoredSpan, TraceId};
use trefoil_store::{Order, Snapshot, SpanColumns, SpanFilter, SpanScan, TimeRange, TraceOverview};

use super::ast::{Expr, Field, Intrinsic, Pipeline, Query, Root, SpansetExpr, Stage};
use super::columns;
use super::eval::{self, SpanView};
use super::pipeline::{self, Spanset};
use super::prefilter;
use super::trace::Trace;
use super::value::Value;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;

/// How far outside the asked range a matching span may start while its trace still
/// overlaps the range. Traces overlap a range by their first start and last end, which no
/// index knows; ten minutes is far longer than requests take. A longer trace is still
/// found when a matching span of it starts within the widened range.
pub(crate) const MARGIN_NS: i64 = 600 * 1_000_000_000;

/// What to search for.
#[derive(Clone, Copy, Debug)]
pub struct SearchParams {
    /// Traces that overlap the range from here, in Unix nanoseconds,
    pub start_ns: i64,
    /// to here, both included.
    pub end_ns: i64,
    /// At most so many traces.
    pub limit: usize,
    /// At most so many spans in each spanset.
    pub spans_per_spanset: usize,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct SearchAnswer {
    /// Newest first, by the start of the trace.
    pub traces: Vec<TraceSummary>,
    /// Traces that were read and evaluated.
    pub inspected_traces: u64,
    /// Spans that were read.
    pub inspected_spans: u64,
    /// Bytes that were read.
    pub inspected_bytes: u64,
    /// Why there may be more than this, if something kept the search from its end.
    pub partial: Option<String>,
}

/// A found trace.
#[derive(Clone, Debug)]
pub struct TraceSummary {
    /// Its id.
    pub trace_id: TraceId,
    /// Service of its root span; `None` while that has not arrived.
    pub root_service: Option<String>,
    /// Name of its root span; `None` while that has not arrived.
    pub root_name: Option<String>,
    /// First start of a span, in Unix nanoseconds.
    pub start_ns: u64,
    /// From the first start to the last end, in nanoseconds.
    pub duration_ns: u64,
    /// Spans and errors of each service, by name.
    pub services: BTreeMap<String, ServiceStats>,
    /// What matched.
    pub spansets: Vec<SpansetSummary>,
}

/// What a service contributed to a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceStats {
    /// Spans.
    pub spans: u64,
    /// Spans with error status.
    pub errors: u64,
}

/// A matching spanset.
#[derive(Clone, Debug)]
pub struct SpansetSummary {
    /// The first spans of it.
    pub spans: Vec<SpanSummary>,
    /// How many spans it has in all.
    pub matched: usize,
    /// What was computed: `count()`, `by(resource.service.name)`, ….
    pub attributes: Vec<(String, Value<'static>)>,
}

/// A matching span.
#[derive(Clone, Debug)]
pub struct SpanSummary {
    /// Its id.
    pub span_id: SpanId,
    /// Its name.
    pub name: String,
    /// Unix nanoseconds.
    pub start_ns: u64,
    /// Nanoseconds.
    pub duration_ns: u64,
    /// The fields that the query names, where the span has them.
    pub attributes: Vec<(String, Value<'static>)>,
}

/// Runs a search.
///
/// # Errors
/// A metrics query, an execution error, cancelled, or unreadable. A limit of the tally
/// does not fail a search that has found something: the answer is then partial.
pub fn search(
    snapshot: &Snapshot,
    query: &Query,
    params: &SearchParams,
    limits: &Limits<'_>,
) -> Result<SearchAnswer> {
    let Root::Search(pipeline) = &query.root else {
        return Err(Error::bad(
            0..0,
            "this makes series over time, not a list of traces: ask for it as metrics",
        ));
    };
    let candidates = match prefilter::only_trace(pipeline) {
        Some(id) => Candidates::Only(id),
        None => Candidates::With(prefilter::of_pipeline(pipeline)),
    };
    search_with(snapshot, pipeline, &candidates, params, limits)
}

/// Which traces may match.
pub(crate) enum Candidates {
    /// Those that have a span for the filter.
    With(SpanFilter),
    /// This one.
    Only(TraceId),
}

/// [`search`] with candidates of the caller's: tests compare with all there are.
pub(crate) fn search_with(
    snapshot: &Snapshot,
    pipeline: &Pipeline,
    candidates: &Candidates,
    params: &SearchParams,
    limits: &Limits<'_>,
) -> Result<SearchAnswer> {
    let mut search = Search {
        pipeline,
        fields: shown_fields(pipeline),
        params: SearchParams { limit: params.limit.min(limits.series_max), ..*params },
        found: Vec::new(),
        inspected: 0,
    };
    let range = TimeRange { start_ns: params.start_ns, end_ns: params.end_ns };
    let scanned = match candidates {
        Candidates::With(filter) if is_local(pipeline) => {
            let local = Local { filter, columns: columns_of(pipeline, &search.fields) };
            each_found(snapshot, filter, widened(range), limits, |id, position_ns| {
                search.visit_local(snapshot, id, position_ns, &local, limits)
            })
        }
        Candidates::With(filter) => {
            each_candidate(snapshot, filter, widened(range), limits, |spans, position_ns| {
                search.visit(spans, position_ns)
            })
        }
        Candidates::Only(id) => search.visit_only(&whole_trace(snapshot, *id, limits)?),
    };
    let mut partial = None;
    match scanned {
        Err(error) if error.kind == ErrorKind::Limit && !search.found.is_empty() => {
            partial = Some(error.message);
        }
        other => other?,
    }
    if limits.tally.blocks_damaged.load(Relaxed) > 0 {
        partial = partial.or(Some("damaged blocks were skipped".to_owned()));
    }
    Ok(SearchAnswer {
        inspected_traces: search.inspected,
        inspected_spans: limits.tally.rows.load(Relaxed),
        inspected_bytes: limits.tally.bytes.load(Relaxed),
        partial,
        traces: search.finish(),
    })
}

pub(crate) fn widened(range: TimeRange) -> TimeRange {
    TimeRange {
        start_ns: range.start_ns.saturating_sub(MARGIN_NS),
        end_ns: range.end_ns.saturating_add(MARGIN_NS),
    }
}

/// Hands each trace that has a span for the filter, whole, to `visit`, the trace with the
/// latest such span first, together with that span's start.
pub(crate) fn each_candidate(
    snapshot: &Snapshot,
    filter: &SpanFilter,
    range: TimeRange,
    limits: &Limits<'_>,
    mut visit: impl FnMut(&[StoredSpan<'_>], u64) -> Result<ControlFlow<()>>,
) -> Result<()> {
    each_found(snapshot, filter, range, limits, |id, position_ns| {
        visit(&whole_trace(snapshot, id, limits)?, position_ns)
    })
}

/// Hands out the ids of such traces, in that order.
fn each_found(
    snapshot: &Snapshot,
    filter: &SpanFilter,
    range: TimeRange,
    limits: &Limits<'_>,
    mut visit: impl FnMut(TraceId, u64) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut seen: HashSet<TraceId> = HashSet::new();
    let mut failed = None;
    let scan = SpanScan { range, filter, order: Order::Backward };
    let columns = SpanColumns { ids: true, ..SpanColumns::NONE };
    snapshot.spans_with(&scan, columns, limits.tally, &mut |stored| {
        if !seen.insert(stored.span.trace_id) {
            return ControlFlow::Continue(());
        }
        let visited = visit(stored.span.trace_id, stored.span.start_ns);
        visited.unwrap_or_else(|error| {
            failed = Some(error);
            ControlFlow::Break(())
        })
    })?;
    failed.map_or(Ok(()), Err)
}

/// A trace in an order that does not depend on where its spans lie.
fn whole_trace(
    snapshot: &Snapshot,
    id: TraceId,
    limits: &Limits<'_>,
) -> Result<Vec<StoredSpan<'static>>> {
    let mut spans = snapshot.trace(id, limits.tally)?;
    spans.sort_by_key(|s| (s.span.start_ns, s.span.span_id));
    Ok(spans)
}

/// Whether a pipeline looks at nothing but the spans that its first filter selects, each by
/// itself: then the trace need not be put together.
fn is_local(pipeline: &Pipeline) -> bool {
    let filters = |expr: &SpansetExpr| match expr {
        SpansetExpr::Filter(expr) => !eval::needs_trace(expr),
        SpansetExpr::Pipeline(_) | SpansetExpr::Op(..) => false,
    };
    let (mut is_first, mut is_local) = (true, true);
    for stage in &pipeline.stages {
        is_local &= match stage {
            Stage::Spansets(expr) => filters(expr),
            Stage::By(expr) => !is_first && !eval::needs_trace(expr),
            Stage::Select(fields) => !fields.iter().any(eval::field_needs_trace),
            Stage::Coalesce => !is_first,
            // What is added up may be anything.
            Stage::Scalar(_) => false,
        };
        is_first &= matches!(stage, Stage::Select(_));
    }
    is_local && !is_first
}

/// What is read of the spans that a local pipeline selects.
struct Local<'a> {
    /// Holds for all of them.
    filter: &'a SpanFilter,
    columns: SpanColumns,
}

fn columns_of(pipeline: &Pipeline, shown: &[&Field]) -> SpanColumns {
    let mut wanted = SpanColumns { ids: true, ..SpanColumns::NONE };
    for stage in &pipeline.stages {
        if let Stage::Spansets(SpansetExpr::Filter(expr)) | Stage::By(expr) = stage {
            wanted = columns::both(wanted, columns::of_expr(expr));
        }
    }
    shown.iter().map(|field| columns::of_field(field)).fold(wanted, columns::both)
}

struct Search<'q> {
    pipeline: &'q Pipeline,
    fields: Vec<&'q Field>,
    params: SearchParams,
    found: Vec<TraceSummary>,
    inspected: u64,
}

impl Search<'_> {
    fn visit(&mut self, spans: &[StoredSpan<'_>], position_ns: u64) -> Result<ControlFlow<()>> {
        if self.is_complete(position_ns) {
            return Ok(ControlFlow::Break(()));
        }
        let trace = Trace::new(spans);
        self.inspected += 1;
        if self.overlaps(trace.start_ns, trace.end_ns) {
            let sets = pipeline::run(self.pipeline, &trace)?;
            if !sets.is_empty() {
                let summary = self.summary(&trace, &sets);
                self.found(summary);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// [`visit`](Self::visit) for a local pipeline: of the trace only its overview and the
    /// spans that may be selected are read, if there is an overview.
    fn visit_local(
        &mut self,
        snapshot: &Snapshot,
        id: TraceId,
        position_ns: u64,
        local: &Local<'_>,
        limits: &Limits<'_>,
    ) -> Result<ControlFlow<()>> {
        if self.is_complete(position_ns) {
            return Ok(ControlFlow::Break(()));
        }
        let Some(overview) = snapshot.trace_overview(id, limits.tally)? else {
            return self.visit(&whole_trace(snapshot, id, limits)?, position_ns);
        };
        self.inspected += 1;
        if !self.overlaps(overview.start_ns, overview.end_ns) {
            return Ok(ControlFlow::Continue(()));
        }
        let mut spans = snapshot.trace_spans(id, local.filter, local.columns, limits.tally)?;
        spans.sort_by_key(|s| (s.span.start_ns, s.span.span_id));
        let selected = Trace::new(&spans);
        let sets = pipeline::run(self.pipeline, &selected)?;
        if !sets.is_empty() {
            let spansets = sets.iter().map(|set| self.spanset(&selected, set)).collect();
            self.found(summary_of(id, overview, spansets));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn found(&mut self, summary: TraceSummary) {
        self.found.push(summary);
        self.forget_oldest();
    }

    fn visit_only(&mut self, spans: &[StoredSpan<'_>]) -> Result<()> {
        if !spans.is_empty() {
            let _ = self.visit(spans, u64::MAX)?;
        }
        Ok(())
    }

    /// A trace that is still to come has no matching span after `position_ns`, and so
    /// starts no later: enough are found once `limit` traces start after that.
    fn is_complete(&self, position_ns: u64) -> bool {
        let newer = self.found.iter().filter(|t| t.start_ns > position_ns).count();
        newer >= self.params.limit
    }

    /// What `limit` others are newer than can never be in the answer.
    fn forget_oldest(&mut self) {
        if self.found.len() >= self.params.limit.saturating_mul(2).max(64) {
            self.sort();
            self.found.truncate(self.params.limit);
        }
    }

    fn sort(&mut self) {
        self.found.sort_by(|a, b| b.start_ns.cmp(&a.start_ns).then(a.trace_id.cmp(&b.trace_id)));
    }

    fn overlaps(&self, start_ns: u64, end_ns: u64) -> bool {
        let signed = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        signed(start_ns) <= self.params.end_ns
            && signed(end_ns.max(start_ns)) >= self.params.start_ns
    }

    fn summary(&self, trace: &Trace<'_>, sets: &[Spanset]) -> TraceSummary {
        let mut services: BTreeMap<String, ServiceStats> = BTreeMap::new();
        for stored in trace.spans {
            let name = eval::service_name(&stored.resource).unwrap_or("");
            let stats = services.entry(name.to_owned()).or_default();
            stats.spans += 1;
            stats.errors += u64::from(stored.span.status == StatusCode::Error);
        }
        TraceSummary {
            trace_id: trace.spans.first().map_or([0; 16], |s| s.span.trace_id),
            root_service: trace
                .root_service()
                .map(str::to_owned)
                .or(trace.root.map(|_| String::new())),
            root_name: trace.root_name().map(str::to_owned),
            start_ns: trace.start_ns,
            duration_ns: trace.duration_ns(),
            services,
            spansets: sets.iter().map(|set| self.spanset(trace, set)).collect(),
        }
    }

    fn spanset(&self, trace: &Trace<'_>, set: &Spanset) -> SpansetSummary {
        let shown = set.spans.iter().take(self.params.spans_per_spanset);
        SpansetSummary {
            spans: shown.map(|at| self.span(trace, *at)).collect(),
            matched: set.spans.len(),
            attributes: set.attributes.clone(),
        }
    }

    fn span(&self, trace: &Trace<'_>, at: usize) -> SpanSummary {
        let stored = &trace.spans[at];
        let view = SpanView { stored, trace: Some((trace, at)) };
        let mut attributes: Vec<(String, Value<'static>)> = Vec::new();
        for field in &self.fields {
            let value = eval::field_value(field, view).single();
            let pair = (field.short_name().to_owned(), value.into_owned());
            if pair.1 != Value::Nil && !attributes.contains(&pair) {
                attributes.push(pair);
            }
        }
        SpanSummary {
            span_id: stored.span.span_id,
            name: stored.span.name.clone().into_owned(),
            start_ns: stored.span.start_ns,
            duration_ns: eval::duration_ns(stored).unsigned_abs(),
            attributes,
        }
    }

    fn finish(mut self) -> Vec<TraceSummary> {
        self.sort();
        self.found.truncate(self.params.limit);
        self.found
    }
}

fn summary_of(
    trace_id: TraceId,
    overview: TraceOverview,
    spansets: Vec<SpansetSummary>,
) -> TraceSummary {
    let (root_service, root_name) = overview.root.unzip();
    let stats = |(spans, errors)| ServiceStats { spans, errors };
    TraceSummary {
        trace_id,
        root_service,
        root_name,
        start_ns: overview.start_ns,
        duration_ns: overview.end_ns.saturating_sub(overview.start_ns),
        services: overview.services.into_iter().map(|(name, of)| (name, stats(of))).collect(),
        spansets,
    }
}

/// The fields a query names, in order, each once, without those every summary shows anyway.
fn shown_fields(pipeline: &Pipeline) -> Vec<&Field> {
    let mut fields = Vec::new();
    pipeline_fields(pipeline, &mut fields);
    let mut out: Vec<&Field> = Vec::new();
    for field in fields {
        let shown_anyway = matches!(
            field,
            Field::Intrinsic(
                Intrinsic::Name
                    | Intrinsic::Duration
                    | Intrinsic::TraceDuration
                    | Intrinsic::RootService
                    | Intrinsic::RootName
                    | Intrinsic::TraceId
                    | Intrinsic::SpanId
            )
        );
        if !shown_anyway && !out.contains(&field) {
            out.push(field);
        }
    }
    out
}

fn pipeline_fields<'q>(pipeline: &'q Pipeline, out: &mut Vec<&'q Field>) {
    for stage in &pipeline.stages {
        match stage {
            Stage::Spansets(expr) => spansets_fields(expr, out),
            Stage::By(expr) => expr_fields(expr, out),
            Stage::Select(fields) => out.extend(fields),
            Stage::Scalar(_) | Stage::Coalesce => {}
        }
    }
}

fn spansets_fields<'q>(expr: &'q SpansetExpr, out: &mut Vec<&'q Field>) {
    match expr {
        SpansetExpr::Filter(expr) => expr_fields(expr, out),
        SpansetExpr::Pipeline(pipeline) => pipeline_fields(pipeline, out),
        SpansetExpr::Op(_, lhs, rhs) => {
            spansets_fields(lhs, out);
            spansets_fields(rhs, out);
        }
    }
}

fn expr_fields<'q>(expr: &'q Expr, out: &mut Vec<&'q Field>) {
    match expr {
        Expr::Literal(_) => {}
        Expr::Field(field) => out.push(field),
        Expr::Logical(_, terms) => terms.iter().for_each(|t| expr_fields(t, out)),
        Expr::Compare(_, a, b) | Expr::Arith(_, a, b) => {
            expr_fields(a, out);
            expr_fields(b, out);
        }
        Expr::Match(_, a, _) | Expr::Not(a) | Expr::Neg(a) | Expr::Exists(a) | Expr::Missing(a) => {
            expr_fields(a, out);
        }
    }
}
