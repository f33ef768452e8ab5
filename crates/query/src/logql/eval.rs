//! Runs an expression over a snapshot.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;

use trefoil_store::{LogScan, Order, Snapshot, TimeRange};

use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::logql::answer::{Answer, Data, Entry, Stats};
use crate::logql::ast::{Expr, LogExpr};
use crate::logql::metric;
use crate::logql::pipeline::{Pipeline, store_matchers};
use crate::logql::row::{Needed, Row};

/// How many points a series may have, as in Loki and Prometheus.
const STEPS_MAX: i64 = 11_000;

/// In which order lines are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    #[default]
    Backward,
}

/// What is asked besides the expression. Times are Unix nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// First instant, included.
    pub start_ns: i64,
    /// Last instant; included for metric queries, not for log queries, as in Loki. An
    /// instant query looks at this time only.
    pub end_ns: i64,
    /// Distance between the points of a metric query.
    pub step_ns: i64,
    /// For log queries: at least this long between two lines; 0 for all lines.
    pub interval_ns: i64,
    /// How many lines at most.
    pub limit: usize,
    /// Which lines first.
    pub direction: Direction,
    /// Whether the answer is wanted for `end_ns` alone.
    pub instant: bool,
    /// What `now` says in a template.
    pub now_ns: i64,
}

impl Params {
    /// A query for one instant.
    #[must_use]
    pub fn instant(at_ns: i64) -> Self {
        Params {
            start_ns: at_ns,
            end_ns: at_ns,
            step_ns: 0,
            interval_ns: 0,
            limit: 100,
            direction: Direction::Backward,
            instant: true,
            now_ns: at_ns,
        }
    }

    /// A query over a range.
    #[must_use]
    pub fn range(start_ns: i64, end_ns: i64, step_ns: i64) -> Self {
        Params { start_ns, step_ns, instant: false, ..Params::instant(end_ns) }
    }

    /// How many points a series can have.
    pub(crate) fn steps(&self) -> usize {
        if self.instant || self.step_ns <= 0 {
            return 1;
        }
        // The difference of two i64 may not fit into one.
        let span = i128::from(self.end_ns) - i128::from(self.start_ns);
        usize::try_from(span / i128::from(self.step_ns) + 1).unwrap_or(1)
    }

    /// The time of a point.
    pub(crate) fn step_time(&self, step: usize) -> i64 {
        if self.instant {
            return self.end_ns;
        }
        self.start_ns.saturating_add(self.step_ns.saturating_mul(step as i64))
    }
}

/// Runs an expression.
///
/// # Errors
/// Bad parameters, a limit, cancellation, or what the store reports.
pub fn run(
    snapshot: &Snapshot,
    expr: &Expr,
    params: &Params,
    limits: &Limits<'_>,
) -> Result<Answer> {
    check(params, expr)?;
    let mut matched = 0;
    let data = match expr {
        Expr::Log(log) => Data::Streams(lines(snapshot, log, params, limits, &mut matched)?),
        Expr::Metric(metric) => metric::run(snapshot, metric, params, limits, &mut matched)?,
    };
    let stats = Stats {
        bytes_processed: limits.tally.bytes.load(Relaxed),
        lines_processed: limits.tally.rows.load(Relaxed),
        lines_matched: matched,
        blocks_damaged: limits.tally.blocks_damaged.load(Relaxed),
    };
    Ok(Answer { data, stats })
}

fn check(params: &Params, expr: &Expr) -> Result<()> {
    let bad = |why: String| Err(Error::bad(0..0, why));
    if params.start_ns > params.end_ns {
        return bad("the end timestamp must not be before the start time".to_owned());
    }
    if matches!(expr, Expr::Log(_)) {
        if params.instant {
            return bad("log queries are not supported as an instant query type, please change \
                        your query to a range query type"
                .to_owned());
        }
        return Ok(());
    }
    if params.instant {
        return Ok(());
    }
    if params.step_ns <= 0 {
        return bad("zero or negative query resolution step widths are not accepted. Try a \
                    positive integer"
            .to_owned());
    }
    // The difference of two i64 may not fit into one.
    let span = i128::from(params.end_ns) - i128::from(params.start_ns);
    if span / i128::from(params.step_ns) > i128::from(STEPS_MAX) {
        return bad(format!(
            "exceeded maximum resolution of {STEPS_MAX} points per time series. Try decreasing \
             the query resolution (?step=XX)"
        ));
    }
    Ok(())
}

/// The lines of a log query. Stops as soon as the limit is reached.
fn lines(
    snapshot: &Snapshot,
    log: &LogExpr,
    params: &Params,
    limits: &Limits<'_>,
    matched: &mut u64,
) -> Result<Vec<Entry>> {
    let pipeline = Pipeline::new(log, None, Needed::All, params.now_ns)?;
    let matchers = store_matchers(&log.selector)?;
    let mut entries: Vec<Entry> = Vec::new();
    if params.limit == 0 || params.start_ns == params.end_ns {
        return Ok(entries);
    }
    let scan = LogScan {
        streams: &matchers,
        range: TimeRange { start_ns: params.start_ns, end_ns: params.end_ns - 1 },
        lines: &pipeline.pushed,
        order: match params.direction {
            Direction::Forward => Order::Forward,
            Direction::Backward => Order::Backward,
        },
    };
    let mut last_taken: Option<i64> = None;
    snapshot.logs(&scan, limits.tally, &mut |log| {
        let mut row = Row::new(log, &pipeline.needed);
        if !pipeline.keeps(&mut row) {
            return ControlFlow::Continue(());
        }
        *matched += 1;
        let time_ns = row.time_ns();
        let too_close = last_taken.is_some_and(|last| last.abs_diff(time_ns) < interval(params));
        if params.interval_ns > 0 && too_close {
            return ControlFlow::Continue(());
        }
        last_taken = Some(time_ns);
        let labels = row
            .labels()
            .into_iter()
            .map(|(name, value, category)| (name.into_owned(), value.into_owned(), category))
            .collect();
        entries.push(Entry { time_ns, line: row.line.into_owned(), labels });
        if entries.len() >= params.limit {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    Ok(entries)
}

fn interval(params: &Params) -> u64 {
    params.interval_ns.unsigned_abs()
}
