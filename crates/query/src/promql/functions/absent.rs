//! `absent` and `absent_over_time`.

use std::collections::HashSet;

use trefoil_store::{Labels, LabelsBuilder, MatchOp, Matcher};

use super::super::ast::{Call, Kind, Node};
use super::super::column::{Column, Series, Steps};
use super::super::eval::Evaluator;
use super::super::labels::Needed;
use super::super::rollup;
use super::{Func, find};
use crate::error::{Error, Result};

/// 1 at the steps at which nothing is there.
pub(super) fn absent(ev: &mut Evaluator<'_>, call: &Call, steps: Steps) -> Result<Vec<Series>> {
    let arg = &call.args[0];
    let mut column = Column { floats: vec![1.0; steps.count], histograms: Vec::new() };
    let mut seen = |_: &mut Evaluator<'_>, _: &Labels, _: bool, there: &mut Column| {
        for i in 0..steps.count {
            if there.has(i) {
                column.clear(i);
            }
        }
        Ok(())
    };
    if call.function.id == Func::AbsentOverTime {
        let function = find("present_over_time")
            .ok_or_else(|| Error::execution("internal error: present_over_time is missing"))?;
        let present = Call { function, args: vec![arg.clone()] };
        rollup::stream(ev, &present, steps, Needed::Only(&[]), &mut seen)?;
    } else {
        ev.stream_with(arg, steps, Needed::Only(&[]), &mut seen)?;
    }
    Ok(vec![Series { labels: labels_of(arg), drop_name: false, column }])
}

/// The labels that the selector says the missing series would have.
fn labels_of(arg: &Node) -> Labels {
    let matchers: &[Matcher] = match &arg.unparen().kind {
        Kind::Selector(selector) => &selector.matchers,
        Kind::Matrix(matrix) => &matrix.selector.matchers,
        _ => return Labels::empty(),
    };
    let mut builder = LabelsBuilder::default();
    let mut seen = HashSet::new();
    for matcher in matchers.iter().filter(|m| m.name != "__name__") {
        // Two conditions on one label contradict or are unclear: then it is left out.
        let first = matcher.op == MatchOp::Equal && seen.insert(matcher.name.as_str());
        builder.set(&matcher.name, if first { &matcher.value } else { "" });
    }
    builder.build()
}
