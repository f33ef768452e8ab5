//! `query`, `query_range` and `format_query`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use trefoil_query::logql::{self, Expr};

use super::params::{HOUR_NS, Params};
use super::write::{self, Shape};
use super::{Answered, Refused, json};
use crate::api::{Api, AppState};

/// A query for one instant.
pub(super) async fn instant(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let at_ns = params.time("time")?.unwrap_or_else(|| state.clock.now_ns());
    let mut question = logql::Params::instant(at_ns);
    question.limit = params.lines()?;
    question.direction = params.direction()?;
    ask(&state, &params, question).await
}

/// A query over a range of time.
pub(super) async fn range(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let (start, end) = params.range(state.clock.now_ns(), HOUR_NS)?;
    let mut question = logql::Params::range(start, end, params.step(start, end)?);
    question.interval_ns = params.duration("interval")?.unwrap_or(0);
    if question.interval_ns < 0 {
        return Err(Refused::bad("interval must be >= 0"));
    }
    question.limit = params.lines()?;
    question.direction = params.direction()?;
    ask(&state, &params, question).await
}

async fn ask(state: &AppState, params: &Params, mut question: logql::Params) -> Answered {
    let text = params.query()?.to_owned();
    let expr = logql::parse(&text).map_err(|e| Refused::query(&e, &text))?;
    question.now_ns = state.clock.now_ns();
    let shape = Shape {
        categorize: params.categorize && matches!(expr, Expr::Log(_)),
        at_ns: question.end_ns,
    };
    let asked = state.ask(Api::Loki, params.timeout()?, move |snapshot, limits| {
        let started = Instant::now();
        let answer = logql::run(snapshot, &expr, &question, limits)?;
        Ok(write::answer(&answer, shape, started.elapsed()))
    });
    asked.await.map(json).map_err(|e| Refused::query(&e, &text))
}

/// The canonical form of a query.
pub(super) async fn format(params: Params) -> Answered {
    let text = params.query()?;
    Ok(match logql::parse(text) {
        Ok(expr) => {
            json(serde_json::json!({"status": "success", "data": expr.to_string()}).to_string())
        }
        Err(error) => {
            let reason = Refused::query(&error, text).reason;
            let body = serde_json::json!({"status": "invalid-query", "error": reason});
            (StatusCode::BAD_REQUEST, json(body.to_string())).into_response()
        }
    })
}
