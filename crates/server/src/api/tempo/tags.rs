//! Names and values of attributes.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Value as Json, json};
use trefoil_query::traceql::Value;
use trefoil_query::traceql::ast::{Field, Intrinsic};
use trefoil_query::traceql::catalog::{self, ENTRIES_MAX, TagNames};
use trefoil_store::model::{SpanKind, StatusCode};

use super::params::Params;
use super::{Answered, Refused, json_answer};
use crate::api::{Api, AppState};

/// What can be asked without an attribute, as Tempo lists it.
const INTRINSICS: [&str; 27] = [
    "duration",
    "event:name",
    "event:timeSinceStart",
    "instrumentation:name",
    "instrumentation:version",
    "kind",
    "link:spanID",
    "link:traceID",
    "name",
    "rootName",
    "rootServiceName",
    "span:childCount",
    "span:duration",
    "span:id",
    "span:kind",
    "span:name",
    "span:parentID",
    "span:status",
    "span:statusMessage",
    "status",
    "statusMessage",
    "trace:duration",
    "trace:id",
    "trace:rootName",
    "trace:rootService",
    "traceDuration",
    "nestedSetParent",
];

const SCOPES: [&str; 6] = ["resource", "span", "intrinsic", "event", "link", "instrumentation"];

/// `search/tags`: one list over all scopes, or of one.
pub(super) async fn names_v1(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let scope = scope(&params)?;
    let names = names(&state, &params).await?;
    let limit = params.count("limit", ENTRIES_MAX)?;
    let wanted: Vec<&str> = match scope {
        Some("intrinsic") => INTRINSICS.to_vec(),
        Some(scope) => of_scope(&names, scope).iter().map(String::as_str).collect(),
        None => {
            let all: BTreeSet<&str> =
                SCOPES.iter().flat_map(|s| of_scope(&names, s)).map(String::as_str).collect();
            all.into_iter().collect()
        }
    };
    let wanted = &wanted[..wanted.len().min(limit)];
    Ok(json_answer(&json!({ "tagNames": wanted, "metrics": {} })))
}

/// `v2/search/tags`: a list for each scope.
pub(super) async fn names_v2(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let wanted = scope(&params)?;
    let names = names(&state, &params).await?;
    let limit = params.count("limit", ENTRIES_MAX)?;
    let mut scopes: Vec<Json> = Vec::new();
    for scope in SCOPES.into_iter().filter(|s| wanted.is_none_or(|w| w == *s)) {
        let tags: Vec<&str> = match scope {
            "intrinsic" => INTRINSICS.to_vec(),
            _ => of_scope(&names, scope).iter().map(String::as_str).take(limit).collect(),
        };
        if !tags.is_empty() {
            scopes.push(json!({ "name": scope, "tags": tags }));
        }
    }
    Ok(json_answer(&json!({ "scopes": scopes, "metrics": {} })))
}

fn scope(params: &Params) -> Result<Option<&str>, Refused> {
    match params.get("scope") {
        None | Some("none" | "all") => Ok(None),
        Some(scope) if SCOPES.contains(&scope) => Ok(Some(scope)),
        Some(other) => {
            Err(Refused::bad(format!("invalid scope: {other}; known are {}", SCOPES.join(", "))))
        }
    }
}

async fn names(state: &AppState, params: &Params) -> Result<TagNames, Refused> {
    let range = params.range()?;
    let filter = params.get("q").and_then(catalog::lenient_filter);
    state
        .ask(Api::Tempo, None, move |snapshot, limits| {
            catalog::tag_names(snapshot, filter.as_ref(), range, limits)
        })
        .await
        .map_err(|e| Refused::query(&e, ""))
}

fn of_scope<'a>(names: &'a TagNames, scope: &str) -> &'a BTreeSet<String> {
    static NONE: BTreeSet<String> = BTreeSet::new();
    match scope {
        "resource" => &names.resource,
        "span" => &names.span,
        "event" => &names.event,
        "link" => &names.link,
        "instrumentation" => &names.instrumentation,
        _ => &NONE,
    }
}

/// `search/tag/{tag}/values`: texts. A tag that is no TraceQL field is an attribute's name.
pub(super) async fn values_v1(
    State(state): State<Arc<AppState>>,
    Path(tag): Path<String>,
    params: Params,
) -> Answered {
    let field = match tag.as_str() {
        "status.code" => Field::Intrinsic(Intrinsic::Status),
        "span.kind" => Field::Intrinsic(Intrinsic::Kind),
        "root.name" => Field::Intrinsic(Intrinsic::RootName),
        "root.service.name" => Field::Intrinsic(Intrinsic::RootService),
        _ => match catalog::parse_field(&tag) {
            Ok(field @ Field::Intrinsic(_)) => field,
            _ => Field::Attribute {
                scope: trefoil_query::traceql::ast::Scope::Any,
                parent: false,
                name: tag,
            },
        },
    };
    let texts: BTreeSet<String> =
        values(&state, field, &params).await?.iter().map(Value::text).collect();
    Ok(json_answer(&json!({ "tagValues": texts, "metrics": {} })))
}

/// `v2/search/tag/{tag}/values`: values with their types, of a TraceQL field.
pub(super) async fn values_v2(
    State(state): State<Arc<AppState>>,
    Path(tag): Path<String>,
    params: Params,
) -> Answered {
    let field = catalog::parse_field(&tag).map_err(|e| {
        Refused::bad(format!("{tag:?} is no TraceQL field such as resource.service.name: {e}"))
    })?;
    let typed = |value: &Value<'_>| {
        let kind = match value {
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Bool(_) => "bool",
            Value::Duration(_) => "duration",
            Value::Status(_) | Value::Kind(_) => "keyword",
            _ => "string",
        };
        json!({ "type": kind, "value": value.text() })
    };
    let values: Vec<Json> = values(&state, field, &params).await?.iter().map(typed).collect();
    Ok(json_answer(&json!({ "tagValues": values, "metrics": {} })))
}

async fn values(
    state: &AppState,
    field: Field,
    params: &Params,
) -> Result<Vec<Value<'static>>, Refused> {
    let range = params.range()?;
    let limit = params.count("limit", ENTRIES_MAX)?;
    let filter = params.get("q").and_then(catalog::lenient_filter);
    if let (Field::Intrinsic(intrinsic), None) = (&field, &filter)
        && let Some(fixed) = fixed_values(*intrinsic)
    {
        return Ok(fixed);
    }
    state
        .ask(Api::Tempo, None, move |snapshot, limits| {
            catalog::tag_values(snapshot, &field, filter.as_ref(), range, limit, limits)
        })
        .await
        .map_err(|e| Refused::query(&e, ""))
}

/// Words of the language are offered whether or not a span has them.
fn fixed_values(intrinsic: Intrinsic) -> Option<Vec<Value<'static>>> {
    match intrinsic {
        Intrinsic::Status => {
            let all = [StatusCode::Error, StatusCode::Ok, StatusCode::Unset];
            Some(all.map(Value::Status).to_vec())
        }
        Intrinsic::Kind => {
            let all = [
                SpanKind::Client,
                SpanKind::Consumer,
                SpanKind::Internal,
                SpanKind::Producer,
                SpanKind::Server,
                SpanKind::Unspecified,
            ];
            Some(all.map(Value::Kind).to_vec())
        }
        _ => None,
    }
}
