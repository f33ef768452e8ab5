//! What the store can rule out: a condition that at least one span of every matching
//! trace satisfies.
//!
//! It may hold for too many spans, never for too few: every found trace is evaluated
//! exactly afterwards. So what the store cannot ask becomes [`SpanFilter::All`], and a
//! negation is never pushed through.

use trefoil_store::model::{TraceId, Value as Stored};
use trefoil_store::{Compare, Field as Column, SpanFilter};

use super::ast::{
    CompareOp, Expr, Field, Intrinsic, Literal, LogicalOp, Mode, Pattern, Pipeline, Scope,
    SpansetExpr, SpansetOp, Stage,
};

/// For a pipeline.
pub(crate) fn of_pipeline(pipeline: &Pipeline) -> SpanFilter {
    // Later filters see what earlier ones left, so while the stages are plain filters, one
    // span satisfies them all. The first other stage ends that.
    let mut terms = Vec::new();
    for stage in &pipeline.stages {
        match stage {
            Stage::Spansets(SpansetExpr::Filter(expr)) => terms.push(of_expr(expr)),
            Stage::Spansets(expr) if terms.is_empty() => return of_spansets(expr),
            Stage::Select(_) => {}
            _ => break,
        }
    }
    match and(terms) {
        SpanFilter::All => of_root(pipeline),
        filter => filter,
    }
}

/// A trace known by its root's name or service has a span of that name or service.
fn of_root(pipeline: &Pipeline) -> SpanFilter {
    for term in first_conditions(pipeline) {
        let Some((Field::Intrinsic(intrinsic), Literal::Text(text))) = equality(term) else {
            continue;
        };
        let column = match intrinsic {
            // An absent root counts as an empty name, which no span need have.
            _ if text.is_empty() => continue,
            Intrinsic::RootName => Column::Name,
            Intrinsic::RootService => Column::Resource("service.name".to_owned()),
            _ => continue,
        };
        return SpanFilter::Field(column, Compare::Equal(Stored::Str(text.clone().into())));
    }
    SpanFilter::All
}

/// The only trace that can match, if the query names one by its id.
pub(crate) fn only_trace(pipeline: &Pipeline) -> Option<TraceId> {
    first_conditions(pipeline).iter().find_map(|term| match equality(term)? {
        (Field::Intrinsic(Intrinsic::TraceId), Literal::Text(id)) if id.len() <= 32 => {
            u128::from_str_radix(id, 16).ok().map(u128::to_be_bytes)
        }
        _ => None,
    })
}

/// The terms that all hold for any span that a pipeline's first stage selects.
fn first_conditions(pipeline: &Pipeline) -> &[Expr] {
    match pipeline.stages.first() {
        Some(Stage::Spansets(SpansetExpr::Filter(Expr::Logical(LogicalOp::And, terms)))) => terms,
        Some(Stage::Spansets(SpansetExpr::Filter(expr))) => std::slice::from_ref(expr),
        _ => &[],
    }
}

fn equality(expr: &Expr) -> Option<(&Field, &Literal)> {
    let Expr::Compare(CompareOp::Equal, a, b) = expr else { return None };
    match (&**a, &**b) {
        (Expr::Field(field), Expr::Literal(literal))
        | (Expr::Literal(literal), Expr::Field(field)) => Some((field, literal)),
        _ => None,
    }
}

fn of_spansets(expr: &SpansetExpr) -> SpanFilter {
    match expr {
        SpansetExpr::Filter(expr) => of_expr(expr),
        SpansetExpr::Pipeline(pipeline) => of_pipeline(pipeline),
        SpansetExpr::Op(SpansetOp::Or, lhs, rhs) => or(vec![of_spansets(lhs), of_spansets(rhs)]),
        SpansetExpr::Op(SpansetOp::Structural(_, Mode::Not), _, rhs) => of_spansets(rhs),
        // Both sides must find something, so either side's condition will do.
        SpansetExpr::Op(_, lhs, rhs) => narrower(of_spansets(lhs), of_spansets(rhs)),
    }
}

fn narrower(a: SpanFilter, b: SpanFilter) -> SpanFilter {
    if worth(&b) > worth(&a) { b } else { a }
}

/// How much a filter is likely to rule out, roughly; 0 for nothing.
fn worth(filter: &SpanFilter) -> u32 {
    match filter {
        SpanFilter::All => 0,
        SpanFilter::Field(Column::Resource(_), Compare::Equal(_)) => 5,
        SpanFilter::Field(_, Compare::Equal(_)) | SpanFilter::Mentions(..) => 6,
        SpanFilter::Field(_, Compare::Status(_)) => 4,
        SpanFilter::Field(_, Compare::Exists | Compare::NotEqual(_) | Compare::NotRegex(_)) => 1,
        SpanFilter::Field(..) => 3,
        SpanFilter::And(all) => all.iter().map(worth).max().unwrap_or(0) + 1,
        SpanFilter::Or(any) => any.iter().map(worth).min().unwrap_or(9),
        SpanFilter::Not(_) => 1,
    }
}

/// For the condition of one `{ … }`.
pub(crate) fn of_expr(expr: &Expr) -> SpanFilter {
    match expr {
        Expr::Literal(Literal::Bool(false)) => SpanFilter::Or(Vec::new()),
        Expr::Logical(LogicalOp::And, terms) => and(terms.iter().map(of_expr).collect()),
        Expr::Logical(LogicalOp::Or, terms) => or(terms.iter().map(of_expr).collect()),
        Expr::Field(field) => column(field)
            .map_or(SpanFilter::All, |c| SpanFilter::Field(c, Compare::Equal(Stored::Bool(true)))),
        Expr::Compare(op, a, b) => match (&**a, &**b) {
            (Expr::Field(field), Expr::Literal(literal)) => comparison(field, *op, literal),
            (Expr::Literal(literal), Expr::Field(field)) => {
                comparison(field, op.flipped(), literal)
            }
            _ => SpanFilter::All,
        },
        Expr::Match(positive, a, pattern) => match &**a {
            Expr::Field(field) => matching(field, *positive, pattern),
            _ => SpanFilter::All,
        },
        Expr::Exists(inner) => match &**inner {
            Expr::Field(field @ Field::Attribute { .. }) => {
                column(field).map_or(SpanFilter::All, |c| SpanFilter::Field(c, Compare::Exists))
            }
            _ => SpanFilter::All,
        },
        _ => SpanFilter::All,
    }
}

fn and(terms: Vec<SpanFilter>) -> SpanFilter {
    let mut terms: Vec<SpanFilter> =
        terms.into_iter().filter(|t| !matches!(t, SpanFilter::All)).collect();
    match terms.len() {
        0 => SpanFilter::All,
        1 => terms.remove(0),
        _ => SpanFilter::And(terms),
    }
}

fn or(terms: Vec<SpanFilter>) -> SpanFilter {
    if terms.iter().any(|t| matches!(t, SpanFilter::All)) {
        return SpanFilter::All;
    }
    SpanFilter::Or(terms)
}

/// Where the store finds a field, if it can.
fn column(field: &Field) -> Option<Column> {
    Some(match field {
        Field::Intrinsic(Intrinsic::Name) => Column::Name,
        Field::Intrinsic(Intrinsic::Kind) => Column::Kind,
        Field::Intrinsic(Intrinsic::Status) => Column::Status,
        Field::Intrinsic(Intrinsic::StatusMessage) => Column::StatusMessage,
        Field::Intrinsic(Intrinsic::Duration) => Column::Duration,
        Field::Attribute { scope: Scope::Span, parent: false, name } => Column::Span(name.clone()),
        Field::Attribute { scope: Scope::Resource, parent: false, name } => {
            Column::Resource(name.clone())
        }
        Field::Attribute { scope: Scope::Any, parent: false, name } => Column::Any(name.clone()),
        _ => return None,
    })
}

fn comparison(field: &Field, op: CompareOp, literal: &Literal) -> SpanFilter {
    let Some(column) = column(field) else { return mention(field, op, literal) };
    let value = match literal {
        Literal::Int(v) | Literal::Duration(v) => Stored::Int(*v),
        Literal::Float(v) => Stored::Double(*v),
        Literal::Text(v) => Stored::Str(v.clone().into()),
        Literal::Bool(v) => Stored::Bool(*v),
        Literal::Status(v) => return enumeration(column, op, Compare::Status(*v)),
        Literal::Kind(v) => return enumeration(column, op, Compare::Kind(*v)),
    };
    let compare = match op {
        CompareOp::Equal => Compare::Equal(value),
        CompareOp::NotEqual => Compare::NotEqual(value),
        CompareOp::Less => Compare::Less(value),
        CompareOp::LessEqual => Compare::LessEqual(value),
        CompareOp::Greater => Compare::Greater(value),
        CompareOp::GreaterEqual => Compare::GreaterEqual(value),
    };
    SpanFilter::Field(column, compare)
}

/// An attribute of an event, a link or a scope that is equal to something is mentioned.
fn mention(field: &Field, op: CompareOp, literal: &Literal) -> SpanFilter {
    let Field::Attribute {
        scope: Scope::Event | Scope::Link | Scope::Instrumentation,
        parent: false,
        name,
    } = field
    else {
        return SpanFilter::All;
    };
    let text = match literal {
        Literal::Text(text) => text.clone(),
        Literal::Int(v) | Literal::Duration(v) => v.to_string(),
        Literal::Float(v) => v.to_string(),
        Literal::Bool(v) => v.to_string(),
        Literal::Status(_) | Literal::Kind(_) => return SpanFilter::All,
    };
    match op {
        CompareOp::Equal => SpanFilter::Mentions(name.clone(), text),
        _ => SpanFilter::All,
    }
}

fn enumeration(column: Column, op: CompareOp, compare: Compare) -> SpanFilter {
    let is = SpanFilter::Field(column.clone(), compare);
    match (column, op) {
        (Column::Kind | Column::Status, CompareOp::Equal) => is,
        (Column::Kind | Column::Status, CompareOp::NotEqual) => SpanFilter::Not(Box::new(is)),
        _ => SpanFilter::All,
    }
}

fn matching(field: &Field, positive: bool, pattern: &Pattern) -> SpanFilter {
    let Some(column) = column(field) else { return SpanFilter::All };
    let regex = pattern.regex.clone();
    SpanFilter::Field(
        column,
        if positive { Compare::Regex(regex) } else { Compare::NotRegex(regex) },
    )
}
