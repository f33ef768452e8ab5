//! What there is to ask for: services, operations, attribute names and values, and which
//! service calls which.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use trefoil_store::model::{Attribute, SpanId, SpanKind, StoredSpan, TraceId};
use trefoil_store::{
    Compare, Field as Column, Order, Snapshot, SpanColumns, SpanFilter, SpanScan, TimeRange,
};

use super::ast::{Expr, Field, Intrinsic, Query, Root, Scope, SpansetExpr, Stage};
use super::eval::{self, SpanView};
use super::value::Value;
use super::{columns, parse, prefilter};
use crate::error::Result;
use crate::limits::Limits;

/// How many distinct names or values an answer lists: more than anyone picks from.
pub const ENTRIES_MAX: usize = 10_000;

/// How many spans the service graph looks at; each costs some 50 bytes until the end.
const GRAPH_SPANS_MAX: usize = 5_000_000;

/// Names of services that sent spans within the range.
///
/// # Errors
/// Cancelled, over the tally's limit, or unreadable.
pub fn services(
    snapshot: &Snapshot,
    range: TimeRange,
    limits: &Limits<'_>,
) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for resource in snapshot.span_resources(range, limits.tally)? {
        if names.len() < ENTRIES_MAX {
            names.extend(eval::service_name(&resource).map(str::to_owned));
        }
    }
    Ok(names)
}

/// Names of a service's spans with their kinds, of one kind only if that is given.
///
/// # Errors
/// Cancelled, over the tally's limit, or unreadable.
pub fn operations(
    snapshot: &Snapshot,
    service: &str,
    kind: Option<SpanKind>,
    range: TimeRange,
    limits: &Limits<'_>,
) -> Result<BTreeSet<(String, &'static str)>> {
    let of_service = Compare::Equal(trefoil_store::model::Value::Str(service.to_owned().into()));
    let mut terms =
        vec![SpanFilter::Field(Column::Resource("service.name".to_owned()), of_service)];
    if let Some(kind) = kind {
        terms.push(SpanFilter::Field(Column::Kind, Compare::Kind(kind)));
    }
    let mut seen: HashMap<String, BTreeSet<&'static str>> = HashMap::new();
    let columns = SpanColumns::NONE;
    each_span(snapshot, &SpanFilter::And(terms), columns, range, limits, |stored| {
        let kind = super::kind_name(stored.span.kind);
        if let Some(kinds) = seen.get_mut(&*stored.span.name) {
            kinds.insert(kind);
        } else {
            seen.insert(stored.span.name.clone().into_owned(), BTreeSet::from([kind]));
        }
        seen.len() < ENTRIES_MAX
    })?;
    Ok(seen
        .into_iter()
        .flat_map(|(name, kinds)| kinds.into_iter().map(move |k| (name.clone(), k)))
        .collect())
}

/// Attribute names, by where they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagNames {
    /// On spans.
    pub span: BTreeSet<String>,
    /// On resources.
    pub resource: BTreeSet<String>,
    /// On events.
    pub event: BTreeSet<String>,
    /// On links.
    pub link: BTreeSet<String>,
    /// On instrumentation scopes.
    pub instrumentation: BTreeSet<String>,
}

/// Names of the attributes on spans within the range that satisfy `filter` (see [`lenient_filter`]).
///
/// # Errors
/// Cancelled, over the tally's limit, or unreadable.
pub fn tag_names(
    snapshot: &Snapshot,
    filter: Option<&Expr>,
    range: TimeRange,
    limits: &Limits<'_>,
) -> Result<TagNames> {
    let mut names = TagNames::default();
    let (mut resources, mut scopes) = (HashSet::new(), HashSet::new());
    let columns = SpanColumns { ids: false, ..SpanColumns::ALL };
    each_matching(snapshot, filter, columns, range, limits, |stored| {
        if resources.insert(Arc::as_ptr(&stored.resource)) {
            add(&mut names.resource, &stored.resource.attributes);
        }
        if scopes.insert(Arc::as_ptr(&stored.scope)) {
            add(&mut names.instrumentation, &stored.scope.attributes);
        }
        add(&mut names.span, &stored.span.attributes);
        stored.span.events.iter().for_each(|e| add(&mut names.event, &e.attributes));
        stored.span.links.iter().for_each(|l| add(&mut names.link, &l.attributes));
        true
    })?;
    Ok(names)
}

fn add(names: &mut BTreeSet<String>, attributes: &[Attribute<'_>]) {
    for attribute in attributes {
        if names.len() < ENTRIES_MAX && !names.contains(&*attribute.key) {
            names.insert(attribute.key.clone().into_owned());
        }
    }
}

/// Distinct values of a field on spans within the range that satisfy `filter`, at most
/// `limit`, ordered by their text.
///
/// # Errors
/// Cancelled, over the tally's limit, or unreadable.
pub fn tag_values(
    snapshot: &Snapshot,
    field: &Field,
    filter: Option<&Expr>,
    range: TimeRange,
    limit: usize,
    limits: &Limits<'_>,
) -> Result<Vec<Value<'static>>> {
    let limit = limit.min(ENTRIES_MAX);
    // A root's own name and service are what its trace is known by.
    let (field, roots_only) = match field {
        Field::Intrinsic(Intrinsic::RootName) => (&Field::Intrinsic(Intrinsic::Name), true),
        Field::Intrinsic(Intrinsic::RootService) => (&service_field(), true),
        other => (other, false),
    };
    let mut values: BTreeMap<Vec<u8>, Value<'static>> = BTreeMap::new();
    let mut key = Vec::new();
    let columns = columns::of_field(field);
    // Roots are known by having no parent.
    let columns = SpanColumns { ids: columns.ids || roots_only, ..columns };
    each_matching(snapshot, filter, columns, range, limits, |stored| {
        if roots_only && stored.span.parent_span_id != [0; 8] {
            return true;
        }
        let mut keep = |value: Value<'_>| {
            key.clear();
            value.write_key(&mut key);
            if !matches!(value, Value::Nil | Value::Opaque) && !values.contains_key(&key) {
                values.insert(key.clone(), value.into_owned());
            }
        };
        match eval::field_value(field, SpanView { stored, trace: None }) {
            Value::Each(items) | Value::List(items) => items.into_iter().for_each(keep),
            single => keep(single),
        }
        values.len() < limit
    })?;
    let mut values: Vec<Value<'static>> = values.into_values().take(limit).collect();
    values.sort_by_cached_key(Value::text);
    Ok(values)
}

fn service_field() -> Field {
    Field::Attribute { scope: Scope::Resource, parent: false, name: "service.name".to_owned() }
}

/// The field that a text names, as in `resource.service.name`, `.http.method` or `name`.
///
/// # Errors
/// The text names no field.
pub fn parse_field(text: &str) -> Result<Field> {
    let query = parse(&format!("{{ }} | select({text})"))?;
    match query.root {
        Root::Search(pipeline) => match pipeline.stages.into_iter().next_back() {
            Some(Stage::Select(fields)) if fields.len() == 1 => Ok(fields[0].clone()),
            _ => Err(crate::Error::bad(0..text.len(), format!("{text:?} is not one field"))),
        },
        Root::Metrics(_) => {
            Err(crate::Error::bad(0..text.len(), format!("{text:?} is not a field")))
        }
    }
}

/// The conditions of a query that is still being typed (`{ resource.cluster = }`), for the
/// lists that help to type it: what does not parse, or needs whole traces, is left out.
/// Source: Tempo, "Filtered tag values".
#[must_use]
pub fn lenient_filter(text: &str) -> Option<Expr> {
    if let Some(expr) = single_filter(parse(text).ok()) {
        return Some(expr);
    }
    let inner = text.trim().strip_prefix('{')?;
    let inner = inner.rsplit_once('}').map_or(inner, |(inner, _)| inner);
    let terms: Vec<Expr> = inner
        .split("&&")
        .filter(|part| !part.trim().is_empty())
        .filter_map(|part| single_filter(parse(&format!("{{ {part} }}")).ok()))
        .collect();
    (!terms.is_empty()).then_some(Expr::Logical(super::ast::LogicalOp::And, terms))
}

fn single_filter(query: Option<Query>) -> Option<Expr> {
    let Root::Search(pipeline) = query?.root else { return None };
    match <[Stage; 1]>::try_from(pipeline.stages) {
        Ok([Stage::Spansets(SpansetExpr::Filter(expr))]) if !eval::needs_trace(&expr) => Some(expr),
        _ => None,
    }
}

/// Calls from one service to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// The caller.
    pub parent: String,
    /// The called.
    pub child: String,
    /// How often.
    pub calls: u64,
    /// How many of the called spans failed.
    pub errors: u64,
}

/// Who called whom: spans whose parent is of another service. The second value is false
/// if there were too many spans to look at them all.
///
/// # Errors
/// Cancelled, over the tally's limit, or unreadable.
pub fn dependencies(
    snapshot: &Snapshot,
    range: TimeRange,
    limits: &Limits<'_>,
) -> Result<(Vec<Dependency>, bool)> {
    let mut names: Vec<String> = Vec::new();
    let mut places: HashMap<String, u32> = HashMap::new();
    let mut owners: HashMap<(TraceId, SpanId), u32> = HashMap::new();
    let mut children: Vec<(TraceId, SpanId, u32, bool)> = Vec::new();
    let columns = SpanColumns { ids: true, ..SpanColumns::NONE };
    each_span(snapshot, &SpanFilter::All, columns, range, limits, |stored| {
        let span = &stored.span;
        let name = eval::service_name(&stored.resource).unwrap_or("");
        let service = places.get(name).copied().unwrap_or_else(|| {
            let place = names.len() as u32;
            names.push(name.to_owned());
            places.insert(name.to_owned(), place);
            place
        });
        owners.insert((span.trace_id, span.span_id), service);
        if span.parent_span_id != [0; 8] {
            let failed = span.status == trefoil_store::model::StatusCode::Error;
            children.push((span.trace_id, span.parent_span_id, service, failed));
        }
        owners.len() < GRAPH_SPANS_MAX
    })?;
    let complete = owners.len() < GRAPH_SPANS_MAX;
    let mut calls: BTreeMap<(u32, u32), (u64, u64)> = BTreeMap::new();
    for (trace, parent, child, failed) in children {
        if let Some(parent) = owners.get(&(trace, parent)).filter(|p| **p != child) {
            let entry = calls.entry((*parent, child)).or_default();
            entry.0 += 1;
            entry.1 += u64::from(failed);
        }
    }
    let name = |place: u32| names[place as usize].clone();
    let mut edges: Vec<Dependency> = calls
        .into_iter()
        .map(|((p, c), (calls, errors))| Dependency {
            parent: name(p),
            child: name(c),
            calls,
            errors,
        })
        .collect();
    edges.sort();
    Ok((edges, complete))
}

fn each_matching(
    snapshot: &Snapshot,
    filter: Option<&Expr>,
    columns: SpanColumns,
    range: TimeRange,
    limits: &Limits<'_>,
    mut visit: impl FnMut(&StoredSpan<'_>) -> bool,
) -> Result<()> {
    let prefilter = filter.map_or(SpanFilter::All, prefilter::of_expr);
    let columns = filter.map_or(columns, |f| columns::both(columns, columns::of_expr(f)));
    each_span(snapshot, &prefilter, columns, range, limits, |stored| {
        let view = SpanView { stored, trace: None };
        filter.is_some_and(|f| !eval::holds(f, view)) || visit(stored)
    })
}

/// Hands out spans as they lie, while `visit` says to go on.
fn each_span(
    snapshot: &Snapshot,
    filter: &SpanFilter,
    columns: SpanColumns,
    range: TimeRange,
    limits: &Limits<'_>,
    mut visit: impl FnMut(&StoredSpan<'_>) -> bool,
) -> Result<()> {
    let scan = SpanScan { range, filter, order: Order::Any };
    snapshot.spans_with(&scan, columns, limits.tally, &mut |stored| {
        if visit(stored) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(())
}
