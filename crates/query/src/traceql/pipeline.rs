//! Runs a pipeline over one trace.

use std::collections::{HashMap, HashSet};

use super::ast::{
    Aggregate, AggregateOp, Expr, Mode, Pipeline, Relation, ScalarExpr, ScalarFilter, SpansetExpr,
    SpansetOp, Stage,
};
use super::eval::{self, SpanView};
use super::trace::{Node, Trace};
use super::value::{self, Value};
use crate::error::{Error, Result};

/// Spans of one trace that belong together, by their place in it, with what was computed
/// about them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spanset {
    /// Ascending.
    pub(crate) spans: Vec<usize>,
    /// `count()`, `by(…)`, …
    pub(crate) attributes: Vec<(String, Value<'static>)>,
}

/// The spansets that come out at the end; none if the trace does not match.
pub(crate) fn run(pipeline: &Pipeline, trace: &Trace<'_>) -> Result<Vec<Spanset>> {
    let all = Spanset { spans: (0..trace.spans.len()).collect(), attributes: Vec::new() };
    stages(pipeline, trace, vec![all])
}

fn stages(pipeline: &Pipeline, trace: &Trace<'_>, input: Vec<Spanset>) -> Result<Vec<Spanset>> {
    let mut sets = input;
    for stage in &pipeline.stages {
        sets = match stage {
            Stage::Spansets(expr) => {
                let mut out = Vec::new();
                for set in sets {
                    out.extend(select(expr, trace, &set)?);
                }
                out
            }
            Stage::Scalar(filter) => {
                sets.into_iter().filter_map(|set| scalar_filter(filter, trace, set)).collect()
            }
            Stage::By(by) => sets.iter().flat_map(|set| group(by, trace, set)).collect(),
            Stage::Coalesce => vec![coalesce(&sets)],
            Stage::Select(_) => sets,
        };
        sets.retain(|set| !set.spans.is_empty());
        if sets.is_empty() {
            break;
        }
    }
    Ok(sets)
}

fn view<'a>(trace: &'a Trace<'a>, at: usize) -> SpanView<'a> {
    SpanView { stored: &trace.spans[at], trace: Some((trace, at)) }
}

fn select(expr: &SpansetExpr, trace: &Trace<'_>, input: &Spanset) -> Result<Vec<Spanset>> {
    match expr {
        SpansetExpr::Filter(filter) => {
            let keep = |at: &usize| eval::holds(filter, view(trace, *at));
            Ok(with_spans(input, input.spans.iter().copied().filter(keep).collect()))
        }
        SpansetExpr::Pipeline(pipeline) => stages(pipeline, trace, vec![input.clone()]),
        SpansetExpr::Op(op, lhs, rhs) => {
            let (lhs, rhs) = (select(lhs, trace, input)?, select(rhs, trace, input)?);
            let spans = match op {
                SpansetOp::And if lhs.is_empty() || rhs.is_empty() => Vec::new(),
                SpansetOp::And | SpansetOp::Or => union(lhs.iter().chain(&rhs)),
                SpansetOp::Structural(relation, mode) => {
                    relate(*relation, *mode, trace, single(&lhs)?, single(&rhs)?)
                }
            };
            Ok(with_spans(input, spans))
        }
    }
}

fn with_spans(input: &Spanset, spans: Vec<usize>) -> Vec<Spanset> {
    if spans.is_empty() {
        return Vec::new();
    }
    vec![Spanset { spans, attributes: input.attributes.clone() }]
}

fn union<'a>(sets: impl Iterator<Item = &'a Spanset>) -> Vec<usize> {
    let mut spans: Vec<usize> = sets.flat_map(|set| set.spans.iter().copied()).collect();
    spans.sort_unstable();
    spans.dedup();
    spans
}

/// The spans of at most one spanset: what a structural operator takes on each side.
fn single(sets: &[Spanset]) -> Result<&[usize]> {
    match sets {
        [] => Ok(&[]),
        [one] => Ok(&one.spans),
        _ => Err(Error::execution(
            "a structural operator relates one spanset to one other, but by(…) made several: put | coalesce() behind it",
        )),
    }
}

/// What a structural operator returns; an empty right side returns nothing.
fn relate(
    relation: Relation,
    mode: Mode,
    trace: &Trace<'_>,
    lhs: &[usize],
    rhs: &[usize],
) -> Vec<usize> {
    let related = related(relation, trace, lhs, rhs);
    match mode {
        Mode::Right => related,
        Mode::Not => {
            let related: HashSet<usize> = related.into_iter().collect();
            rhs.iter().copied().filter(|at| !related.contains(at)).collect()
        }
        Mode::Union => {
            let inverse = match relation {
                Relation::Child => Relation::Parent,
                Relation::Parent => Relation::Child,
                Relation::Descendant => Relation::Ancestor,
                Relation::Ancestor => Relation::Descendant,
                Relation::Sibling => Relation::Sibling,
            };
            let mut both = related;
            both.extend(self::related(inverse, trace, rhs, lhs));
            both.sort_unstable();
            both.dedup();
            both
        }
    }
}

/// Those of `rhs` that have the relation to one of `lhs`.
fn related(relation: Relation, trace: &Trace<'_>, lhs: &[usize], rhs: &[usize]) -> Vec<usize> {
    let node = |at: &usize| &trace.nodes[*at];
    let reached = |at: &usize| node(at).left != 0;
    let lhs: Vec<usize> = lhs.iter().copied().filter(reached).collect();
    let candidates = rhs.iter().copied().filter(reached);
    match relation {
        Relation::Child => {
            let lefts: HashSet<i64> = lhs.iter().map(|at| node(at).left).collect();
            candidates.filter(|at| lefts.contains(&node(at).parent_left)).collect()
        }
        Relation::Parent => {
            let parents: HashSet<i64> = lhs.iter().map(|at| node(at).parent_left).collect();
            candidates.filter(|at| parents.contains(&node(at).left)).collect()
        }
        Relation::Sibling => {
            // A span is not its own sibling: alone among the left side it has none there.
            let mut families: HashMap<i64, Vec<usize>> = HashMap::new();
            for at in lhs {
                families.entry(node(&at).parent_left).or_default().push(at);
            }
            let has_other = |at: &usize| {
                families
                    .get(&node(at).parent_left)
                    .is_some_and(|f| f.iter().any(|other| other != at))
            };
            candidates.filter(has_other).collect()
        }
        Relation::Descendant => {
            let tree = Nested::new(lhs.iter().map(node));
            candidates.filter(|at| tree.contains_around(node(at))).collect()
        }
        Relation::Ancestor => {
            let mut lefts: Vec<i64> = lhs.iter().map(|at| node(at).left).collect();
            lefts.sort_unstable();
            // Below `at` are exactly the left bounds strictly between its own two.
            let has_below = |at: &usize| {
                let first = lefts.partition_point(|left| *left <= node(at).left);
                lefts.get(first).is_some_and(|left| *left < node(at).right)
            };
            candidates.filter(has_below).collect()
        }
    }
}

/// Bounds sorted by the left one, with the greatest right bound up to each.
struct Nested {
    bounds: Vec<(i64, i64)>,
}

impl Nested {
    fn new<'a>(nodes: impl Iterator<Item = &'a Node>) -> Self {
        let mut bounds: Vec<(i64, i64)> = nodes.map(|n| (n.left, n.right)).collect();
        bounds.sort_unstable();
        let mut greatest = 0;
        for (_, right) in &mut bounds {
            greatest = greatest.max(*right);
            *right = greatest;
        }
        Nested { bounds }
    }

    /// Whether one of the bounds encloses the node. Bounds never overlap in part, so one
    /// that opened before and closes after is enough.
    fn contains_around(&self, node: &Node) -> bool {
        let before = self.bounds.partition_point(|(left, _)| *left < node.left);
        before > 0 && self.bounds[before - 1].1 > node.right
    }
}

fn group(by: &Expr, trace: &Trace<'_>, input: &Spanset) -> Vec<Spanset> {
    let mut groups: Vec<Spanset> = Vec::new();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    for at in &input.spans {
        let value = eval::eval(by, view(trace, *at)).single();
        let mut key = Vec::new();
        value.write_key(&mut key);
        let place = *places.entry(key).or_insert_with(|| {
            let mut attributes = input.attributes.clone();
            attributes.push((format!("by({by})"), value.into_owned()));
            groups.push(Spanset { spans: Vec::new(), attributes });
            groups.len() - 1
        });
        groups[place].spans.push(*at);
    }
    groups
}

fn coalesce(sets: &[Spanset]) -> Spanset {
    Spanset { spans: union(sets.iter()), attributes: Vec::new() }
}

/// The spanset with its aggregates noted, if the comparison holds. An aggregate over no
/// value at all (no span has the attribute) has no result, and the spanset is dropped.
fn scalar_filter(filter: &ScalarFilter, trace: &Trace<'_>, mut set: Spanset) -> Option<Spanset> {
    let mut noted = Vec::new();
    let lhs = scalar(&filter.lhs, trace, &set, &mut noted)?;
    let rhs = scalar(&filter.rhs, trace, &set, &mut noted)?;
    if !value::compare(filter.op, &lhs, &rhs) {
        return None;
    }
    set.attributes.extend(noted);
    Some(set)
}

type Noted = Vec<(String, Value<'static>)>;

fn scalar(
    expr: &ScalarExpr,
    trace: &Trace<'_>,
    set: &Spanset,
    noted: &mut Noted,
) -> Option<Value<'static>> {
    match expr {
        ScalarExpr::Literal(literal) => Some(Value::from_literal(literal).into_owned()),
        ScalarExpr::Aggregate(aggregate) => {
            let value = aggregate_value(aggregate, trace, set)?;
            noted.push((aggregate.to_string(), value.clone()));
            Some(value)
        }
        ScalarExpr::Arith(op, a, b) => {
            let (a, b) = (scalar(a, trace, set, noted)?, scalar(b, trace, set, noted)?);
            Some(value::arith(*op, &a, &b))
        }
    }
}

fn aggregate_value(
    aggregate: &Aggregate,
    trace: &Trace<'_>,
    set: &Spanset,
) -> Option<Value<'static>> {
    let Some(of) = &aggregate.of else {
        return Some(Value::Int(set.spans.len() as i64));
    };
    let values = set.spans.iter().map(|at| eval::eval(of, view(trace, *at)).single().into_owned());
    // Only numbers can be aggregated; a text that some span holds under this name is no number.
    let mut values = values.filter(|v| v.number().is_some()).peekable();
    let first = values.peek()?.clone();
    match aggregate.op {
        AggregateOp::Count => Some(Value::Int(values.count() as i64)),
        AggregateOp::Min => values.reduce(|a, b| if number(&b) < number(&a) { b } else { a }),
        AggregateOp::Max => values.reduce(|a, b| if number(&b) > number(&a) { b } else { a }),
        AggregateOp::Sum => Some(sum(values)),
        AggregateOp::Avg => {
            let (mut count, mut total) = (0u64, 0.0);
            for value in values {
                count += 1;
                total += number(&value);
            }
            let mean = total / count as f64;
            Some(if matches!(first, Value::Duration(_)) {
                Value::Duration(mean as i64)
            } else {
                Value::Float(mean)
            })
        }
    }
}

fn number(value: &Value<'_>) -> f64 {
    value.number().unwrap_or(f64::NAN)
}

/// Integers and durations stay what they are while all are the same and nothing overflows.
fn sum(values: impl Iterator<Item = Value<'static>>) -> Value<'static> {
    let add = |a: Value<'static>, b: Value<'static>| match (&a, &b) {
        (Value::Int(x), Value::Int(y)) if x.checked_add(*y).is_some() => Value::Int(x + y),
        (Value::Duration(x), Value::Duration(y)) if x.checked_add(*y).is_some() => {
            Value::Duration(x + y)
        }
        _ => Value::Float(number(&a) + number(&b)),
    };
    values.reduce(add).unwrap_or(Value::Nil)
}

#[cfg(test)]
mod tests;
