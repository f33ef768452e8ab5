//! Which columns of a span have the values that fields name, so that the store need not
//! read the others.

use trefoil_store::SpanColumns;

use super::ast::{Expr, Field, Intrinsic, Scope};

/// For one field of the span itself.
pub(crate) fn of_field(field: &Field) -> SpanColumns {
    match field {
        Field::Attribute { parent: true, .. } => SpanColumns::ALL,
        Field::Attribute { scope, parent: false, .. } => match scope {
            Scope::Resource | Scope::Instrumentation => SpanColumns::NONE,
            Scope::Any | Scope::Span => SpanColumns { attributes: true, ..SpanColumns::NONE },
            Scope::Event | Scope::Link => SpanColumns { details: true, ..SpanColumns::NONE },
        },
        Field::Intrinsic(
            Intrinsic::Name
            | Intrinsic::Kind
            | Intrinsic::Status
            | Intrinsic::StatusMessage
            | Intrinsic::Duration
            | Intrinsic::InstrumentationName
            | Intrinsic::InstrumentationVersion,
        ) => SpanColumns::NONE,
        Field::Intrinsic(Intrinsic::SpanId | Intrinsic::ParentId | Intrinsic::TraceId) => {
            SpanColumns { ids: true, ..SpanColumns::NONE }
        }
        Field::Intrinsic(_) => SpanColumns::ALL,
    }
}

/// For all fields that an expression names.
pub(crate) fn of_expr(expr: &Expr) -> SpanColumns {
    match expr {
        Expr::Literal(_) => SpanColumns::NONE,
        Expr::Field(field) => of_field(field),
        Expr::Logical(_, terms) => terms.iter().map(of_expr).fold(SpanColumns::NONE, both),
        Expr::Compare(_, a, b) | Expr::Arith(_, a, b) => both(of_expr(a), of_expr(b)),
        Expr::Match(_, a, _) | Expr::Not(a) | Expr::Neg(a) | Expr::Exists(a) | Expr::Missing(a) => {
            of_expr(a)
        }
    }
}

/// What either has.
pub(crate) fn both(a: SpanColumns, b: SpanColumns) -> SpanColumns {
    SpanColumns {
        ids: a.ids || b.ids,
        attributes: a.attributes || b.attributes,
        details: a.details || b.details,
    }
}
