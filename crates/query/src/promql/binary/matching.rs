//! Arithmetic and comparison between vectors: one-to-one, many-to-one, with fills.

use std::collections::HashMap;

use trefoil_store::{Labels, LabelsBuilder};

use super::super::ast::{Binary, Cardinality, Node};
use super::super::column::{Cell, Column, Series, Steps};
use super::super::eval::Evaluator;
use super::super::labels;
use super::{Outcome, apply, mark, write_signature};
use crate::error::{Error, Result};

/// The series that share a signature.
#[derive(Default)]
struct Group {
    many: Vec<usize>,
    one: Vec<usize>,
}

/// A series of the result with the steps that a match has claimed, kept or not.
struct Output {
    series: Series,
    claimed: Vec<bool>,
}

struct Matcher<'b> {
    b: &'b Binary,
    at: usize,
    steps: Steps,
    /// The side that may have several samples per match, and the other.
    many: Vec<Series>,
    one: Vec<Series>,
    many_is_left: bool,
    fill_many: Option<f64>,
    fill_one: Option<f64>,
    outputs: Vec<Output>,
    by_labels: HashMap<Labels, usize>,
}

/// Combines two vectors.
pub(super) fn combine(
    ev: &mut Evaluator<'_>,
    node: &Node,
    b: &Binary,
    left: Vec<Series>,
    right: Vec<Series>,
    steps: Steps,
) -> Result<Vec<Series>> {
    let many_is_left = b.matching.cardinality != Cardinality::OneToMany;
    let (many, one) = if many_is_left { (left, right) } else { (right, left) };
    let mut matcher = Matcher {
        b,
        at: node.span.start,
        steps,
        many,
        one,
        many_is_left,
        // Prometheus swaps the operands of `group_right` and then takes `fill_left` for the
        // left one, which is the "many" side in either case. Its conformance scripts expect it.
        fill_many: b.matching.fill_left,
        fill_one: b.matching.fill_right,
        outputs: Vec::new(),
        by_labels: HashMap::new(),
    };
    matcher.run(ev)?;
    let kept = matcher.outputs.into_iter().map(|output| output.series);
    Ok(kept.filter(|series| !series.column.is_empty()).collect())
}

impl Matcher<'_> {
    fn run(&mut self, ev: &mut Evaluator<'_>) -> Result<()> {
        let (order, groups) = self.groups();
        let mut anything = None;
        for key in &order {
            ev.check()?;
            let group = &groups[key];
            if group.many.is_empty() && self.fill_many.is_none()
                || group.one.is_empty() && self.fill_one.is_none()
            {
                // Nothing matches; but several on the "one" side are still an error.
                if group.one.len() < 2 {
                    continue;
                }
            }
            let one_at = self.one_at(group, &mut anything)?;
            let signature = labels::from_written(key);
            self.matched(ev, group, &one_at, &signature)?;
            if let Some(fill) = self.fill_many {
                self.filled(ev, group, &one_at, &signature, fill)?;
            }
        }
        Ok(())
    }

    fn groups(&self) -> (Vec<Vec<u8>>, HashMap<Vec<u8>, Group>) {
        let mut order = Vec::new();
        let mut groups: HashMap<Vec<u8>, Group> = HashMap::new();
        let mut key = Vec::new();
        for (side, is_many) in [(&self.many, true), (&self.one, false)] {
            for (i, series) in side.iter().enumerate() {
                write_signature(&mut key, &series.labels, self.b);
                if !groups.contains_key(&key) {
                    order.push(key.clone());
                    groups.insert(key.clone(), Group::default());
                }
                if let Some(group) = groups.get_mut(&key) {
                    if is_many { group.many.push(i) } else { group.one.push(i) }
                }
            }
        }
        (order, groups)
    }

    /// Which series of the "one" side is there at each step; two are an error.
    fn one_at(
        &self,
        group: &Group,
        anything: &mut Option<Vec<bool>>,
    ) -> Result<Vec<Option<usize>>> {
        let mut at = vec![None; self.steps.count];
        for (nth, i) in group.one.iter().enumerate() {
            let column = &self.one[*i].column;
            for (step, slot) in at.iter_mut().enumerate() {
                if !column.has(step) {
                    continue;
                }
                if let Some(other) = *slot
                    && nth > 0
                {
                    // With nothing on the other side nothing would be matched at all.
                    let many = anything.get_or_insert_with(|| self.any_many());
                    if many[step] || self.fill_many.is_some() {
                        return Err(self.duplicate(other, *i));
                    }
                }
                *slot = Some(*i);
            }
        }
        Ok(at)
    }

    fn any_many(&self) -> Vec<bool> {
        let mut flags = vec![false; self.steps.count];
        for series in &self.many {
            mark(&mut flags, &series.column);
        }
        flags
    }

    fn duplicate(&self, first: usize, second: usize) -> Error {
        let mut key = Vec::new();
        write_signature(&mut key, &self.one[first].labels, self.b);
        let mut texts = [first, second].map(|i| labels::text(&self.one[i].labels));
        texts.sort();
        let side = if self.many_is_left { "right" } else { "left" };
        Error::execution(format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
            labels::text(&labels::from_written(&key)),
            texts[0],
            texts[1]
        ))
    }

    /// All samples of the "many" side with their match, or the fill for it.
    fn matched(
        &mut self,
        ev: &mut Evaluator<'_>,
        group: &Group,
        one_at: &[Option<usize>],
        signature: &Labels,
    ) -> Result<()> {
        let one_to_one = self.b.matching.cardinality == Cardinality::OneToOne;
        let mut taken =
            vec![false; if one_to_one && group.many.len() > 1 { one_at.len() } else { 0 }];
        for &i in &group.many {
            // The result's labels depend on the match only where it changes.
            let mut target: Option<(Option<usize>, usize)> = None;
            for (step, matched) in one_at.iter().enumerate() {
                let Some(many) = self.many[i].column.get(step) else { continue };
                let one = match (matched, self.fill_one) {
                    (Some(one), _) => self.one[*one].column.get(step),
                    (None, fill) => fill.map(Cell::Float),
                };
                let Some(one) = one else { continue };
                if let Some(flag) = taken.get_mut(step)
                    && std::mem::replace(flag, true)
                {
                    return Err(Error::execution(
                        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                    ));
                }
                let output = match target {
                    Some((of, output)) if of == *matched => output,
                    _ => {
                        let one_labels = matched
                            .map_or_else(|| signature.clone(), |one| self.one[one].labels.clone());
                        let labels = self.result_labels(&self.many[i].labels, &one_labels);
                        let output = self.output(ev, labels, self.many[i].drop_name)?;
                        target = Some((*matched, output));
                        output
                    }
                };
                self.claim(output, step)?;
                self.put(ev, output, step, &many, &one);
            }
        }
        Ok(())
    }

    /// Samples of the "one" side without any on the "many" side, if those are filled.
    fn filled(
        &mut self,
        ev: &mut Evaluator<'_>,
        group: &Group,
        one_at: &[Option<usize>],
        signature: &Labels,
        fill: f64,
    ) -> Result<()> {
        let mut there = vec![false; one_at.len()];
        for i in &group.many {
            mark(&mut there, &self.many[*i].column);
        }
        for (step, matched) in one_at.iter().enumerate() {
            let Some(i) = *matched else { continue };
            if there[step] {
                continue;
            }
            let Some(one) = self.one[i].column.get(step) else { continue };
            let labels = self.result_labels(signature, &self.one[i].labels);
            let output = self.output(ev, labels, false)?;
            self.claim(output, step)?;
            self.put(ev, output, step, &Cell::Float(fill), &one);
        }
        Ok(())
    }

    fn claim(&mut self, output: usize, step: usize) -> Result<()> {
        if std::mem::replace(&mut self.outputs[output].claimed[step], true) {
            return Err(Error::execution(
                "multiple matches for labels: grouping labels must ensure unique matches",
            ));
        }
        Ok(())
    }

    fn put(&mut self, ev: &mut Evaluator<'_>, output: usize, step: usize, many: &Cell, one: &Cell) {
        let (left, right) = if self.many_is_left { (many, one) } else { (one, many) };
        let column = &mut self.outputs[output].series.column;
        match (apply(&mut ev.notes, self.at, self.b.op, left, right), self.b.returns_bool) {
            (Outcome::Value(cell) | Outcome::Keep(cell), false) => column.set(step, cell),
            (Outcome::Keep(_), true) => column.floats[step] = 1.0,
            (Outcome::Drop, true) => column.floats[step] = 0.0,
            (Outcome::Value(cell), true) => column.set(step, cell),
            (Outcome::Drop, false) | (Outcome::Incompatible, _) => {}
        }
    }

    fn output(&mut self, ev: &mut Evaluator<'_>, labels: Labels, drop_name: bool) -> Result<usize> {
        let drop_name = drop_name || self.b.returns_bool;
        if let Some(at) = self.by_labels.get(&labels) {
            self.outputs[*at].series.drop_name |= drop_name;
            return Ok(*at);
        }
        ev.hold(self.steps.count)?;
        let at = self.outputs.len();
        self.by_labels.insert(labels.clone(), at);
        let column = Column::absent(self.steps.count);
        self.outputs.push(Output {
            series: Series { labels, drop_name, column },
            claimed: vec![false; self.steps.count],
        });
        Ok(at)
    }

    fn result_labels(&self, many: &Labels, one: &Labels) -> Labels {
        let matching = &self.b.matching;
        let mut out = Vec::new();
        let mut result = many.clone();
        if self.b.op.drops_name() {
            result = labels::without_metadata(&result);
        }
        if matching.cardinality == Cardinality::OneToOne {
            if matching.on {
                labels::write_only(&mut out, &result, &matching.labels);
                result = labels::from_written(&out);
            } else if !matching.labels.is_empty() {
                let dropped: Vec<&str> = matching.labels.iter().map(String::as_str).collect();
                result = labels::without_label(&result, &dropped);
            }
        }
        if !matching.include.is_empty() {
            let mut builder = LabelsBuilder::from_labels(&result);
            for label in &matching.include {
                builder.set(label, one.get(label).unwrap_or(""));
            }
            result = builder.build();
        }
        result
    }
}
