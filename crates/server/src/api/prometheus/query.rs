//! `/query`, `/query_range`, `/format_query`.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use axum::extract::State;
use trefoil_query::Limits;
use trefoil_query::promql::{self, Answer, AnswerValue, Expr};

use super::envelope::{Failure, Reply, Success};
use super::json;
use super::params::Params;
use crate::api::{Api, AppState};

/// Steps a range query may have; more than any screen has pixels.
const STEPS_MAX: i64 = 11_000;

/// An expression at one time, now by default.
pub(super) async fn instant(State(state): State<Arc<AppState>>, params: Params) -> Reply {
    let time_ms = params.time("time")?.unwrap_or_else(|| state.clock.now_ms());
    let asked = Asked::of(&params)?;
    let lookback = asked.lookback_ms;
    run(&state, &params, asked, move |snapshot, expr, limits| {
        promql::instant(snapshot, expr, time_ms, lookback, limits)
    })
    .await
}

/// An expression at every step of a range.
pub(super) async fn range(State(state): State<Arc<AppState>>, params: Params) -> Reply {
    let start_ms = params.required_time("start")?;
    let end_ms = params.required_time("end")?;
    if end_ms < start_ms {
        return Err(Failure::parameter("end", "end timestamp must not be before start time"));
    }
    let step_ms = params
        .duration_ms("step")?
        .ok_or_else(|| Failure::parameter("step", "cannot parse \"\" to a valid duration"))?;
    if step_ms <= 0 {
        return Err(Failure::parameter(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    if (end_ms - start_ms) / step_ms > STEPS_MAX {
        return Err(Failure::bad(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    let asked = Asked::of(&params)?;
    let lookback = asked.lookback_ms;
    run(&state, &params, asked, move |snapshot, expr, limits| {
        promql::range(snapshot, expr, start_ms, end_ms, step_ms, lookback, limits)
    })
    .await
}

/// An expression in canonical form.
pub(super) async fn format(params: Params) -> Reply {
    let expr = parse(&params)?;
    let mut data = Vec::new();
    json::text(&mut data, &expr.to_string());
    Ok(Success::data(data))
}

/// What both kinds of query ask for.
struct Asked {
    expr: Expr,
    lookback_ms: i64,
    limit: usize,
    stats: bool,
}

impl Asked {
    fn of(params: &Params) -> Result<Asked, Failure> {
        Ok(Asked {
            lookback_ms: params.lookback_ms()?,
            limit: params.limit()?,
            stats: params.get("stats").is_some(),
            expr: parse(params)?,
        })
    }
}

fn parse(params: &Params) -> Result<Expr, Failure> {
    let text = params.get("query").unwrap_or("");
    promql::parse(text).map_err(|why| Failure::syntax("query", text, &why))
}

async fn run(
    state: &AppState,
    params: &Params,
    asked: Asked,
    evaluate: impl FnOnce(
        &trefoil_store::Snapshot,
        &Expr,
        &Limits<'_>,
    ) -> Result<Answer, trefoil_query::Error>
    + Send
    + 'static,
) -> Reply {
    let waiting = Instant::now();
    let answer = state.ask(Api::Prometheus, params.timeout()?, move |snapshot, limits| {
        let queued = waiting.elapsed();
        let started = Instant::now();
        let mut answer = evaluate(snapshot, &asked.expr, limits)?;
        truncate(&mut answer, asked.limit);
        let mut data = Vec::new();
        json::open_result(&mut data, &answer.value);
        if asked.stats {
            let evaluated = started.elapsed().as_secs_f64();
            let samples = limits.tally.rows.load(Relaxed);
            // Written by hand like the rest; the names are Prometheus's.
            let _ = write!(
                data,
                r#","stats":{{"timings":{{"evalTotalTime":{evaluated},"resultSortTime":0,"queryPreparationTime":0,"innerEvalTime":{evaluated},"execQueueTime":{},"execTotalTime":{}}},"samples":{{"totalQueryableSamples":{samples},"peakSamples":{samples}}}}}"#,
                queued.as_secs_f64(),
                queued.as_secs_f64() + evaluated,
            );
        }
        data.push(b'}');
        if limits.tally.blocks_damaged.load(Relaxed) > 0 {
            answer.warnings.push("the answer is partial: damaged blocks were left out".to_owned());
        }
        Ok(Success { data, warnings: answer.warnings, infos: answer.infos })
    });
    Ok(answer.await?)
}

fn truncate(answer: &mut Answer, limit: usize) {
    let before = match &mut answer.value {
        AnswerValue::Vector(samples) => {
            let before = samples.len();
            samples.truncate(limit);
            before
        }
        AnswerValue::Matrix(series) => {
            let before = series.len();
            series.truncate(limit);
            before
        }
        AnswerValue::Scalar(..) | AnswerValue::String(..) => 0,
    };
    if before > limit {
        answer.warnings.push("results truncated due to limit".to_owned());
    }
}
