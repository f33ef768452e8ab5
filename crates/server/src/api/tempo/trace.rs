//! One trace by its id.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use trefoil_store::model::StoredSpan;
use trefoil_wire::otlp::json::Style;
use trefoil_wire::otlp::schema;
use trefoil_wire::protobuf::Writer;
use trefoil_wire::protobuf::schema::Message;

use super::params::{Params, trace_id};
use super::{Answered, Refused};
use crate::api::{Api, AppState, otlp_trace};

/// `traces/{id}`: `{"batches": […]}`, or a `tempopb.Trace`.
pub(super) async fn v1(
    State(state): State<Arc<AppState>>,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Answered {
    let mut writer = Writer::new();
    otlp_trace::write(&find(&state, &id, &params).await?, &mut writer);
    answer(&schema::TEMPO_TRACE, writer, &headers)
}

/// `v2/traces/{id}`: `{"trace": {"resourceSpans": […]}}`, or a `tempopb.TraceByIDResponse`.
pub(super) async fn v2(
    State(state): State<Arc<AppState>>,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Answered {
    let spans = find(&state, &id, &params).await?;
    let mut writer = Writer::new();
    writer.message(1, |trace| otlp_trace::write(&spans, trace));
    answer(&schema::TEMPO_TRACE_BY_ID_RESPONSE, writer, &headers)
}

fn answer(message: &'static Message, writer: Writer, headers: &HeaderMap) -> Answered {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("application/protobuf")) {
        let content_type = [(header::CONTENT_TYPE, "application/protobuf")];
        return Ok((content_type, writer.into_bytes()).into_response());
    }
    let json = otlp_trace::to_json(message, writer.as_bytes(), Style::Tempo)
        .map_err(|e| Refused::query(&e, ""))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

async fn find(
    state: &AppState,
    id: &str,
    params: &Params,
) -> Result<Vec<StoredSpan<'static>>, Refused> {
    let id = trace_id(id)?;
    if params.get("q").is_some() || params.get("span_pruning") == Some("true") {
        return Err(Refused::bad(
            "q and span_pruning are not supported here: ask for the whole trace",
        ));
    }
    let range = params.range()?;
    let spans = state
        .ask(Api::Tempo, None, move |snapshot, limits| Ok(snapshot.trace(id, limits.tally)?))
        .await
        .map_err(|e| Refused::query(&e, ""))?;
    let within = |s: &StoredSpan<'_>| {
        let ns = |v: u64| i64::try_from(v).unwrap_or(i64::MAX);
        ns(s.span.start_ns) <= range.end_ns && ns(s.span.end_ns) >= range.start_ns
    };
    if !spans.iter().any(within) {
        return Err(Refused {
            status: StatusCode::NOT_FOUND,
            reason: "trace not found".to_owned(),
        });
    }
    Ok(spans)
}
