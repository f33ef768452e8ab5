//! Jaeger's API v3: the same questions, answered in OTLP.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};
use trefoil_query::traceql::jaeger::TraceQuery;
use trefoil_store::model::StoredSpan;
use trefoil_wire::otlp::json::Style;
use trefoil_wire::otlp::schema;
use trefoil_wire::protobuf::Writer;

use super::params::{self, Params};
use super::{Refused, find, find_by_ids, find_operations, find_services, json_answer, shown_kind};
use crate::api::{AppState, otlp_trace, rfc3339};

/// Traces in an answer if the request does not say.
const LIMIT: i64 = 100;

/// Errors have a form of their own here.
#[derive(Debug)]
pub(super) struct RefusedV3(Refused);

impl From<Refused> for RefusedV3 {
    fn from(refused: Refused) -> Self {
        RefusedV3(refused)
    }
}

impl IntoResponse for RefusedV3 {
    fn into_response(self) -> Response {
        let Refused { status, reason } = self.0;
        let body = json!({ "error": { "httpCode": status.as_u16(), "message": reason } });
        (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    }
}

type Answered = Result<Response, RefusedV3>;

pub(super) async fn services(State(state): State<Arc<AppState>>) -> Answered {
    Ok(json_answer(&json!({ "services": find_services(&state).await? })))
}

pub(super) async fn operations(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let service = params.required("service")?.to_owned();
    let found = find_operations(&state, service, params.kind("span_kind")?).await?;
    let operations: Vec<Json> = found
        .iter()
        .map(|(name, kind)| json!({ "name": name, "spanKind": shown_kind(kind) }))
        .collect();
    Ok(json_answer(&json!({ "operations": operations })))
}

pub(super) async fn trace(State(state): State<Arc<AppState>>, Path(id): Path<String>) -> Answered {
    let found = find_by_ids(&state, vec![params::trace_id(&id)?]).await?;
    if found.is_empty() {
        return Err(RefusedV3(Refused::not_found()));
    }
    answer(&found)
}

pub(super) async fn traces(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let found = find(&state, search(&params)?).await?;
    if found.is_empty() {
        let reason = "No traces found".to_owned();
        return Err(RefusedV3(Refused { status: StatusCode::NOT_FOUND, reason }));
    }
    answer(&found)
}

fn answer(traces: &[Vec<StoredSpan<'static>>]) -> Answered {
    let mut writer = Writer::new();
    for spans in traces {
        otlp_trace::write(spans, &mut writer);
    }
    let json = otlp_trace::to_json(&schema::TRACE_REQUEST, writer.as_bytes(), Style::Otlp)
        .map_err(Refused::from)?;
    let body = format!("{{\"result\":{json}}}");
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// Times are RFC 3339 and must be given.
fn search(params: &Params) -> Result<TraceQuery, Refused> {
    let time = |name| {
        let text = params.required(name)?;
        rfc3339::parse_ns(text).ok_or_else(|| {
            Refused::bad(format!("malformed parameter {name}: {text:?} is not RFC 3339"))
        })
    };
    let limit = match params.number("query.search_depth")? {
        Some(limit) => limit,
        None => params.number("query.num_traces")?.unwrap_or(LIMIT),
    };
    Ok(TraceQuery {
        service: params.get("query.service_name").map(str::to_owned),
        operation: params.get("query.operation_name").map(str::to_owned),
        tags: params.tags("query.attributes")?,
        start_ns: time("query.start_time_min")?,
        end_ns: time("query.start_time_max")?,
        min_duration_ns: params.duration_ns("query.duration_min")?,
        max_duration_ns: params.duration_ns("query.duration_max")?,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    })
}
