//! Aggregations. Sums and their kin take the series as they stream by; the others need to
//! see all of them.

mod choose;
mod count_values;
pub(crate) mod mean;
mod states;

use std::collections::HashMap;

use trefoil_store::Labels;

use super::ast::{Aggregate, AggregateOp, Node};
use super::column::{Series, Steps};
use super::eval::Evaluator;
use super::labels;
use crate::error::Result;

/// Evaluates an aggregation.
pub(crate) fn vector(
    ev: &mut Evaluator<'_>,
    _node: &Node,
    aggregate: &Aggregate,
    steps: Steps,
) -> Result<Vec<Series>> {
    match aggregate.op {
        AggregateOp::TopK
        | AggregateOp::BottomK
        | AggregateOp::LimitK
        | AggregateOp::LimitRatio => choose::choose(ev, aggregate, steps),
        AggregateOp::CountValues => count_values::count(ev, aggregate, steps),
        _ => states::reduce(ev, aggregate, steps),
    }
}

/// Finds the group of each series.
struct Grouping<'a> {
    aggregate: &'a Aggregate,
    key: Vec<u8>,
    known: HashMap<Vec<u8>, usize>,
    /// Labels of the groups and whether their name is to be dropped.
    groups: Vec<(Labels, bool)>,
}

impl<'a> Grouping<'a> {
    fn new(aggregate: &'a Aggregate) -> Self {
        Grouping { aggregate, key: Vec::new(), known: HashMap::new(), groups: Vec::new() }
    }

    /// The number of a series' group; the next number if it is a new one.
    fn find(&mut self, labels: &Labels, drop_name: bool) -> usize {
        if self.aggregate.without {
            labels::write_without(&mut self.key, labels, &self.aggregate.labels);
        } else {
            labels::write_only(&mut self.key, labels, &self.aggregate.labels);
        }
        if let Some(at) = self.known.get(&self.key) {
            self.groups[*at].1 |= drop_name;
            return *at;
        }
        let at = self.groups.len();
        self.known.insert(self.key.clone(), at);
        self.groups.push((labels::from_written(&self.key), drop_name));
        at
    }
}
