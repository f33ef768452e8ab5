//! Functions of instant vectors and scalars, one file per family. Functions of ranges are
//! in [`super::rollup`].

mod absent;
mod clock;
mod histograms;
mod info;
mod label;
mod math;
mod sort;
mod table;

use trefoil_store::Labels;

use super::ast::{Call, Kind, Node};
use super::column::{Column, Series, Steps, is_present};
use super::eval::{Evaluator, Sink};
use super::{rollup, selector};
use crate::error::{Error, Result};

pub(crate) use label::distinct;
pub(crate) use table::{FUNCTIONS, Func, Function, find};

/// Whether a call takes one series at a time.
pub(crate) fn streams(call: &Call) -> bool {
    rollup::takes(call.function.id)
        || !call.args.is_empty()
            && (math::knows(call.function.id)
                || clock::is_date(call.function.id)
                || histograms::of_one(call.function.id)
                || matches!(call.function.id, Func::Timestamp | Func::StartTimestamp))
}

/// Evaluates a call of which [`streams`] holds, but for functions of ranges.
pub(crate) fn stream(
    ev: &mut Evaluator<'_>,
    call: &Call,
    steps: Steps,
    sink: Sink<'_>,
) -> Result<()> {
    let function = call.function.id;
    let arg = &call.args[0];
    match function {
        Func::Timestamp | Func::StartTimestamp => times(ev, function, arg, steps, sink),
        _ if histograms::of_one(function) => histograms::stream(ev, function, arg, steps, sink),
        _ if clock::is_date(function) => ev.stream(arg, steps, &mut |ev, labels, _, column| {
            column.drop_histograms();
            column.map_floats(|seconds| clock::date_part(function, seconds));
            sink(ev, labels, true, column)
        }),
        _ => math::stream(ev, call, steps, sink),
    }
}

/// `timestamp` and `start_timestamp`: of a selector the samples' own times, of anything
/// else the time of evaluation (and no start).
fn times(
    ev: &mut Evaluator<'_>,
    function: Func,
    arg: &Node,
    steps: Steps,
    sink: Sink<'_>,
) -> Result<()> {
    let starts = function == Func::StartTimestamp;
    if let Kind::Selector(selector) = &arg.unparen().kind {
        return selector::stream_times(ev, selector, steps, starts, sink);
    }
    if starts {
        return Ok(());
    }
    ev.stream(arg, steps, &mut |ev, labels, _, column| {
        for (i, time) in steps.times().enumerate() {
            if column.has(i) {
                column.clear(i);
                column.floats[i] = time as f64 / 1e3;
            }
        }
        sink(ev, labels, true, column)
    })
}

/// Evaluates a call that needs all series at once.
pub(crate) fn vector(
    ev: &mut Evaluator<'_>,
    node: &Node,
    call: &Call,
    steps: Steps,
) -> Result<Vec<Series>> {
    let function = call.function.id;
    match function {
        Func::Absent | Func::AbsentOverTime => absent::absent(ev, call, steps),
        Func::HistogramQuantile | Func::HistogramQuantiles | Func::HistogramFraction => {
            histograms::estimate(ev, call, steps)
        }
        Func::Info => info::info(ev, call, steps),
        Func::LabelReplace => label::replace(ev, call, steps),
        Func::LabelJoin => label::join(ev, call, steps),
        Func::Sort | Func::SortDesc | Func::SortByLabel | Func::SortByLabelDesc => {
            sort::sort(ev, node, call, steps)
        }
        Func::Vector => {
            let floats = ev.scalar(&call.args[0], steps)?;
            Ok(vec![unlabelled(floats)])
        }
        _ if clock::is_date(function) => {
            let seconds = steps.times().map(|ms| ms as f64 / 1e3);
            Ok(vec![unlabelled(seconds.map(|s| clock::date_part(function, s)).collect())])
        }
        _ => Err(Error::bad(node.span.clone(), format!("internal error: {node} is no vector"))),
    }
}

fn unlabelled(floats: Vec<f64>) -> Series {
    let column = Column { floats, histograms: Vec::new() };
    Series { labels: Labels::empty(), drop_name: false, column }
}

/// Evaluates a call that yields a scalar.
pub(crate) fn scalar(ev: &mut Evaluator<'_>, call: &Call, steps: Steps) -> Result<Vec<f64>> {
    let seconds = |ms: i64| ms as f64 / 1e3;
    let query = ev.query;
    let same = |value: f64| Ok(vec![value; steps.count]);
    match call.function.id {
        Func::Pi => same(std::f64::consts::PI),
        Func::Start => same(seconds(query.start_ms)),
        Func::End => same(seconds(query.last())),
        Func::Range => same(seconds(query.last() - query.start_ms)),
        Func::Step => same(seconds(query.step_ms)),
        Func::MinOf | Func::MaxOf => {
            let left = ev.scalar(&call.args[0], steps)?;
            let right = ev.scalar(&call.args[1], steps)?;
            let max = call.function.id == Func::MaxOf;
            let pick = |(l, r): (f64, f64)| match l.is_nan() || r.is_nan() {
                true => f64::NAN,
                false if max => l.max(r),
                false => l.min(r),
            };
            Ok(left.into_iter().zip(right).map(pick).collect())
        }
        Func::Scalar => only_float(ev, &call.args[0], steps),
        // `time()` is what remains.
        _ => Ok(steps.times().map(seconds).collect()),
    }
}

/// `scalar(v)`: the one float of a vector, or NaN if there is none or more than one.
fn only_float(ev: &mut Evaluator<'_>, arg: &Node, steps: Steps) -> Result<Vec<f64>> {
    let mut found = vec![(0usize, f64::NAN); steps.count];
    ev.stream(arg, steps, &mut |_, _, _, column| {
        for ((count, value), float) in found.iter_mut().zip(&column.floats) {
            if is_present(*float) {
                *count += 1;
                *value = if *count == 1 { *float } else { f64::NAN };
            }
        }
        Ok(())
    })?;
    Ok(found.into_iter().map(|(_, value)| value).collect())
}
