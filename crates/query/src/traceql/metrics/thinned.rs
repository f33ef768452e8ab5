//! Spans that were thinned out still count: where what is known of them tells everything
//! that a query asks, its numbers are those from before; else the answer says how many
//! spans it lacks.

use std::borrow::Cow;

use trefoil_store::ThinnedSpans;
use trefoil_store::model::{Scope as StoredScope, Span, StoredSpan};

use super::super::ast::{CompareOp, Expr, Field, Intrinsic, Literal, LogicalOp, Pipeline, Scope};
use super::super::eval::{self, SpanView};
use super::accumulate::Leaf;
use super::{Run, span_filters};
use crate::error::Result;

/// What an answer lacks.
#[derive(Debug, Default)]
pub(super) struct Lacking {
    /// Spans of which it is not known whether or how they would count.
    spans: u64,
    /// Spans counted in a neighbouring interval, perhaps: they are known by the minute.
    shifted: u64,
    /// Some were not even counted.
    uncounted: bool,
}

impl Lacking {
    pub(super) fn message(&self) -> Option<String> {
        const WHY: &str = "only traces that matter were kept of this time";
        if self.uncounted {
            return Some(format!(
                "{WHY}, and not all others were counted: the numbers are too low"
            ));
        }
        if self.spans > 0 {
            return Some(format!(
                "{WHY}; {} other spans are known by resource, name, kind, status, duration and \
                 minute alone and may be missing in the numbers",
                self.spans
            ));
        }
        (self.shifted > 0).then(|| {
            format!(
                "{WHY}; others are known by the minute, so {} spans may stand in the interval \
                 beside theirs: ask for steps of whole minutes",
                self.shifted
            )
        })
    }
}

impl Run<'_> {
    /// Adds what was thinned out to the series of a function.
    pub(super) fn add_thinned(
        &self,
        pipeline: &Pipeline,
        needs_trace: bool,
        leaf: &mut Leaf<'_>,
    ) -> Result<()> {
        let filters = span_filters(pipeline).filter(|_| !needs_trace);
        let mut lacking = self.lacking.borrow_mut();
        let mut result = Ok(());
        let range = self.grid.time_range();
        let counted = self.snapshot.thinned_spans(range, self.limits.tally, &mut |thinned| {
            let (first_ns, last_ns) = thinned.bounds_ns();
            let interval = |ns: i64| u64::try_from(ns).ok().and_then(|ns| self.grid.interval(ns));
            let Some(at) = interval(last_ns).or(interval(first_ns)) else { return };
            let (low, high) = stand_ins(thinned);
            let (low, high) = (view(&low), view(&high));
            let is_meant = filters.as_ref().and_then(|all| {
                let terms = all.iter().map(|filter| decide(filter, low, high));
                conjunction(terms)
            });
            let known = leaf.fields().all(|field| is_known(field, low, high));
            match is_meant {
                Some(false) => {}
                Some(true) if known => {
                    if interval(first_ns) != interval(last_ns) {
                        lacking.shifted = lacking.shifted.saturating_add(thinned.count);
                    }
                    if result.is_ok() {
                        result = leaf.observe_thinned(low, thinned, at);
                    }
                }
                _ => lacking.spans = lacking.spans.saturating_add(thinned.count),
            }
        })?;
        lacking.uncounted |= !counted;
        result
    }

    /// Notes that what was thinned out is missing.
    pub(super) fn lack_thinned(&self) -> Result<()> {
        let mut lacking = self.lacking.borrow_mut();
        let range = self.grid.time_range();
        let counted = self.snapshot.thinned_spans(range, self.limits.tally, &mut |thinned| {
            lacking.spans = lacking.spans.saturating_add(thinned.count);
        })?;
        lacking.uncounted |= !counted;
        Ok(())
    }
}

/// The shortest and the longest of the spans that are counted together.
fn stand_ins<'a>(thinned: &ThinnedSpans<'a>) -> (StoredSpan<'a>, StoredSpan<'a>) {
    let start_ns = u64::try_from(thinned.minute_end_ns).unwrap_or(0);
    let of = |duration_ns: u64| StoredSpan {
        span: Span {
            name: Cow::Borrowed(thinned.name),
            kind: thinned.kind,
            status: thinned.status,
            start_ns,
            end_ns: start_ns.saturating_add(duration_ns),
            ..Span::default()
        },
        resource: thinned.resource.clone(),
        scope: std::sync::Arc::new(StoredScope::default()),
    };
    (of(thinned.durations_ns.0), of(thinned.durations_ns.1))
}

fn view<'a>(stored: &'a StoredSpan<'a>) -> SpanView<'a> {
    SpanView { stored, trace: None }
}

/// Whether a condition holds for all spans counted together, or for none; `None` if that
/// is not known.
fn decide(expr: &Expr, low: SpanView<'_>, high: SpanView<'_>) -> Option<bool> {
    match expr {
        Expr::Logical(LogicalOp::And, terms) => {
            conjunction(terms.iter().map(|term| decide(term, low, high)))
        }
        // A side that is neither true nor false makes the pair false: the whole is asked.
        Expr::Logical(LogicalOp::Or, terms) => {
            let decided = terms.iter().all(|term| decide(term, low, high).is_some());
            decided.then(|| eval::holds(expr, low))
        }
        Expr::Not(inner) => decide(inner, low, high).map(|_| eval::holds(expr, low)),
        Expr::Compare(op, a, b) if is_bound(*op, a, b) => {
            let (low, high) = (eval::holds(expr, low), eval::holds(expr, high));
            (low == high).then_some(low)
        }
        expr => names_known_fields(expr, low, high).then(|| eval::holds(expr, low)),
    }
}

fn conjunction(terms: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = Some(true);
    for term in terms {
        match term {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = None,
        }
    }
    known
}

/// Whether a comparison bounds the duration on one side: if the shortest and the longest
/// span agree, so do all between them.
fn is_bound(op: CompareOp, a: &Expr, b: &Expr) -> bool {
    let duration = |e: &Expr| matches!(e, Expr::Field(Field::Intrinsic(Intrinsic::Duration)));
    let number = |e: &Expr| {
        matches!(e, Expr::Literal(Literal::Duration(_) | Literal::Int(_) | Literal::Float(_)))
    };
    !matches!(op, CompareOp::Equal | CompareOp::NotEqual)
        && (duration(a) && number(b) || number(a) && duration(b))
}

fn names_known_fields(expr: &Expr, low: SpanView<'_>, high: SpanView<'_>) -> bool {
    let of = |expr: &Expr| names_known_fields(expr, low, high);
    match expr {
        Expr::Literal(_) => true,
        Expr::Field(field) => is_known(field, low, high),
        Expr::Logical(_, terms) => terms.iter().all(of),
        Expr::Compare(_, a, b) | Expr::Arith(_, a, b) => of(a) && of(b),
        Expr::Match(_, a, _) | Expr::Not(a) | Expr::Neg(a) | Expr::Exists(a) | Expr::Missing(a) => {
            of(a)
        }
    }
}

/// Whether all spans counted together have one value of a field, and which is known.
fn is_known(field: &Field, low: SpanView<'_>, high: SpanView<'_>) -> bool {
    match field {
        Field::Attribute { scope: Scope::Resource, parent: false, .. }
        | Field::Intrinsic(Intrinsic::Name | Intrinsic::Kind | Intrinsic::Status) => true,
        Field::Intrinsic(Intrinsic::Duration) => {
            eval::duration_ns(low.stored) == eval::duration_ns(high.stored)
        }
        _ => false,
    }
}
