//! What Prometheus checks once the shape is known: types, numbers of arguments, what a
//! range or a modifier may follow, and how deep it all nests.

use std::ops::Range;

use super::super::ast::{
    Aggregate, AggregateOp, Binary, Call, Cardinality, Edge, Kind, Matrix, Node, Selector, Span,
    Type,
};
use super::super::functions::Func;
use crate::error::{Error, Result};
use crate::limits::DEPTH_MAX;

/// The error for an expression that nests too deeply.
pub(super) fn too_deep(span: Range<usize>) -> Error {
    Error::bad(
        span,
        format!(
            "expression nests more than {DEPTH_MAX} levels deep: record a part of it with a rule"
        ),
    )
}

/// Refuses trees that recursion cannot walk. Long chains of one operator lean to the left
/// without nesting in the text, so the parser's own count does not see them.
pub(super) fn depth(root: &Node) -> Result<()> {
    let mut level = vec![root];
    for _ in 0..DEPTH_MAX {
        if level.is_empty() {
            return Ok(());
        }
        level = level.into_iter().flat_map(Node::children).collect();
    }
    match level.first() {
        None => Ok(()),
        Some(node) => Err(too_deep(node.span.clone())),
    }
}

/// A range after an expression: only a plain selector may have one.
pub(super) fn matrix_of(node: Node, range: Span) -> Result<Node> {
    let span = node.span.clone();
    let Kind::Selector(selector) = node.kind else {
        return Err(Error::bad(span, "ranges only allowed for vector selectors"));
    };
    if selector.shift.offset.is_some() {
        return Err(Error::bad(span, "no offset modifiers allowed before range"));
    }
    if selector.shift.at.is_some() {
        return Err(Error::bad(span, "no @ modifiers allowed before range"));
    }
    if selector.edge != Edge::Plain {
        return Err(Error::bad(span, "no smoothed modifiers allowed before range"));
    }
    let matrix = Matrix { selector: *selector, range };
    Ok(Node { span, kind: Kind::Matrix(Box::new(matrix)) })
}

/// A subquery after an expression: it must be an instant vector.
pub(super) fn subquery_of(node: &Node) -> Result<()> {
    let found = node.value_type();
    if found == Type::Vector {
        return Ok(());
    }
    Err(Error::bad(
        node.span.clone(),
        format!("subquery is only allowed on instant vector, got {}", found.name()),
    ))
}

/// Checks the types of all operands and arguments.
pub(super) fn types(node: &Node) -> Result<()> {
    match &node.kind {
        Kind::Unary { expr, .. } => {
            let found = expr.value_type();
            if !matches!(found, Type::Scalar | Type::Vector) {
                return Err(Error::bad(
                    node.span.clone(),
                    format!(
                        "unary expression only allowed on expressions of type scalar or instant vector, got {:?}",
                        found.name()
                    ),
                ));
            }
        }
        Kind::Binary(binary) => check_binary(node, binary)?,
        Kind::Aggregate(aggregate) => check_aggregate(aggregate)?,
        Kind::Call(call) => {
            check_call(node, call)?;
            if call.function.id == Func::Info {
                // The second argument only filters, so it may match everything.
                return call.args.iter().take(1).try_for_each(types);
            }
        }
        Kind::Selector(selector) => check_selector(node, selector)?,
        Kind::Matrix(matrix) => check_selector(node, &matrix.selector)?,
        _ => {}
    }
    node.children().into_iter().try_for_each(types)
}

fn check_selector(node: &Node, selector: &Selector) -> Result<()> {
    if selector.matchers.iter().any(|matcher| !matcher.matches("")) {
        return Ok(());
    }
    Err(Error::bad(
        node.span.clone(),
        "vector selector must contain at least one non-empty matcher",
    ))
}

fn expect(node: &Node, wanted: Type, context: &str) -> Result<()> {
    let found = node.value_type();
    if found == wanted {
        return Ok(());
    }
    Err(Error::bad(
        node.span.clone(),
        format!("expected type {} in {context}, got {}", wanted.name(), found.name()),
    ))
}

fn check_binary(node: &Node, binary: &Binary) -> Result<()> {
    let Binary { op, left, right, returns_bool, matching } = binary;
    let bad = |message: String| Err(Error::bad(node.span.clone(), message));
    for operand in [left, right] {
        if !matches!(operand.value_type(), Type::Scalar | Type::Vector) {
            return Err(Error::bad(
                operand.span.clone(),
                "binary expression must contain only scalar and instant vector types",
            ));
        }
    }
    let scalars = [left, right].into_iter().filter(|o| o.value_type() == Type::Scalar).count();
    if *returns_bool && !op.is_comparison() {
        return bad("bool modifier can only be used on comparison operators".to_owned());
    }
    if op.is_comparison() && scalars == 2 && !returns_bool {
        return bad("comparisons between scalars must use BOOL modifier".to_owned());
    }
    if op.is_set() && scalars > 0 {
        return bad(format!(
            "set operator {:?} not allowed in binary scalar expression",
            op.text()
        ));
    }
    let modified = matching.on
        || !matching.labels.is_empty()
        || matching.fill_left.is_some()
        || matching.fill_right.is_some();
    if modified && scalars > 0 {
        return bad("vector matching only allowed between instant vectors".to_owned());
    }
    if op.is_set() {
        if matching.cardinality != Cardinality::OneToOne {
            return bad(format!("no grouping allowed for {:?} operation", op.text()));
        }
        if matching.fill_left.is_some() || matching.fill_right.is_some() {
            return bad(format!(
                "filling in missing series not allowed for {:?} operation",
                op.text()
            ));
        }
    }
    if matching.on {
        for label in &matching.include {
            if matching.labels.contains(label) {
                return bad(format!(
                    "label {label:?} must not occur in ON and GROUP clause at once"
                ));
            }
        }
    }
    Ok(())
}

fn check_aggregate(aggregate: &Aggregate) -> Result<()> {
    expect(&aggregate.expr, Type::Vector, "aggregation expression")?;
    let Some(param) = &aggregate.param else {
        return Ok(());
    };
    let wanted = if aggregate.op == AggregateOp::CountValues { Type::String } else { Type::Scalar };
    expect(param, wanted, "aggregation parameter")
}

fn check_call(node: &Node, call: &Call) -> Result<()> {
    let Call { function, args } = call;
    let name = function.name;
    let count = |wanted: &str, number: usize| {
        Err(Error::bad(
            node.span.clone(),
            format!(
                "expected {wanted}{number} argument(s) in call to {name:?}, got {}",
                args.len()
            ),
        ))
    };
    let most = function.args.len();
    let least = most - function.optional;
    if !function.repeats && function.optional == 0 && args.len() != most {
        return count("", most);
    }
    if args.len() < least {
        return count("at least ", least);
    }
    if !function.repeats && args.len() > most {
        return count("at most ", most);
    }
    let context = format!("call to function {name:?}");
    for (i, arg) in args.iter().enumerate() {
        let wanted = function.args.get(i).or(function.args.last());
        expect(arg, *wanted.unwrap_or(&Type::Scalar), &context)?;
    }
    if function.id == Func::Info && args.len() == 2 {
        check_info(&args[1])?;
    }
    check_edges(call)
}

fn check_info(arg: &Node) -> Result<()> {
    let bad = |message: &str| Err(Error::bad(arg.span.clone(), message));
    let Kind::Selector(selector) = &arg.kind else {
        return bad("expected label selectors only");
    };
    if selector.name.is_some() {
        return bad("expected label selectors only, got vector selector instead");
    }
    Ok(())
}

/// `anchored` and `smoothed` only make sense for functions that compare the edges.
fn check_edges(call: &Call) -> Result<()> {
    for arg in &call.args {
        let Kind::Matrix(matrix) = &arg.unparen().kind else {
            continue;
        };
        let (word, allowed): (_, &[Func]) = match matrix.selector.edge {
            Edge::Plain => continue,
            Edge::Anchored => (
                "anchored",
                &[Func::Changes, Func::Delta, Func::Increase, Func::Rate, Func::Resets],
            ),
            Edge::Smoothed => ("smoothed", &[Func::Delta, Func::Increase, Func::Rate]),
        };
        if allowed.contains(&call.function.id) {
            continue;
        }
        let names: Vec<&str> = super::super::functions::FUNCTIONS
            .iter()
            .filter(|f| allowed.contains(&f.id))
            .map(|f| f.name)
            .collect();
        return Err(Error::bad(
            arg.span.clone(),
            format!(
                "{word} modifier can only be used with: {} - not with {}",
                names.join(", "),
                call.function.name
            ),
        ));
    }
    Ok(())
}
