//! A pipeline ready to run: compiled stages, what the store can filter by itself, and which
//! labels anybody will look at.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::logql::ast::{LabelMatcher, LogExpr, MatchOp, Stage, Unwrap};
use crate::logql::regex::translate;
use crate::logql::row::{Needed, Row};
use crate::logql::stages::drop::Pick;
use crate::logql::stages::json::JsonStage;
use crate::logql::stages::label_filter::LabelStage;
use crate::logql::stages::label_format::{Format, FormatValue};
use crate::logql::stages::line_filter::LineStage;
use crate::logql::stages::logfmt::LogfmtStage;
use crate::logql::stages::pattern::PatternStage;
use crate::logql::stages::regexp::RegexpStage;
use crate::logql::stages::unwrap::UnwrapStage;
use crate::logql::stages::{
    decolorize, drop as drop_stage, keep, label_format, line_format, unpack,
};
use crate::logql::template::Template;

/// A pipeline ready to run.
#[derive(Debug)]
pub(crate) struct Pipeline {
    stages: Vec<Compiled>,
    /// Conditions the store checks next to the data; the stages do not repeat them.
    pub(crate) pushed: Vec<trefoil_store::LineFilter>,
    /// The sample, for metric queries over a label.
    pub(crate) unwrap: Option<UnwrapStage>,
    /// Which labels are looked at.
    pub(crate) needed: Needed,
    now_ns: i64,
}

#[derive(Debug)]
enum Compiled {
    Line(LineStage),
    Label(LabelStage),
    Json(JsonStage),
    Logfmt(LogfmtStage),
    Pattern(PatternStage),
    Regexp(RegexpStage),
    Unpack,
    LineFormat(Template),
    LabelFormat(Vec<Format>),
    Drop(Vec<Pick>),
    Keep(Vec<Pick>),
    Decolorize,
}

impl Pipeline {
    /// Compiles a pipeline. `result` says which labels the result shows.
    ///
    /// # Errors
    /// A pattern, template or expression that is wrong, with its place.
    pub(crate) fn new(
        log: &LogExpr,
        unwrap: Option<&Unwrap>,
        result: Needed,
        now_ns: i64,
    ) -> Result<Self> {
        let mut stages = Vec::with_capacity(log.stages.len());
        let mut pushed = Vec::new();
        let mut line_is_stored = true;
        for stage in &log.stages {
            let compiled = compile(stage)?;
            if let Compiled::Line(line) = &compiled
                && line_is_stored
                && let Some(filters) = line.pushed()
            {
                pushed.extend(filters);
                continue;
            }
            line_is_stored &= !matches!(
                compiled,
                Compiled::LineFormat(_) | Compiled::Unpack | Compiled::Decolorize
            );
            stages.push(compiled);
        }
        let unwrap = unwrap.map(UnwrapStage::new).transpose()?;
        let needed = needed(&stages, unwrap.as_ref(), result);
        if needed.is_nothing() {
            // As in Loki: when nobody looks at a label, lines are not parsed, so a line
            // that cannot be parsed does not fail `sum(rate({…} | json [5m]))`.
            stages.retain(|stage| !matches!(stage, Compiled::Json(_) | Compiled::Logfmt(_)));
        }
        Ok(Pipeline { stages, pushed, unwrap, needed, now_ns })
    }

    /// Whether all that it does is done by the store already.
    pub(crate) fn only_filters_stored_lines(&self) -> bool {
        self.stages.is_empty()
    }

    /// Runs the stages; false if the row is filtered out.
    pub(crate) fn keeps(&self, row: &mut Row<'_>) -> bool {
        self.stages.iter().all(|stage| match stage {
            Compiled::Line(line) => line.keeps(&row.line),
            Compiled::Label(filter) => filter.keeps(row),
            other => {
                self.change(other, row);
                true
            }
        })
    }

    fn change(&self, stage: &Compiled, row: &mut Row<'_>) {
        match stage {
            Compiled::Json(json) => json.process(row),
            Compiled::Logfmt(logfmt) => logfmt.process(row),
            Compiled::Pattern(pattern) => pattern.process(row),
            Compiled::Regexp(regexp) => regexp.process(row),
            Compiled::Unpack => unpack::process(row),
            Compiled::LineFormat(template) => line_format::process(template, self.now_ns, row),
            Compiled::LabelFormat(formats) => label_format::process(formats, self.now_ns, row),
            Compiled::Drop(picks) => drop_stage::process(picks, row),
            Compiled::Keep(picks) => keep::process(picks, row),
            Compiled::Decolorize => decolorize::process(row),
            Compiled::Line(_) | Compiled::Label(_) => {}
        }
    }
}

fn compile(stage: &Stage) -> Result<Compiled> {
    Ok(match stage {
        Stage::Line(filter) => Compiled::Line(LineStage::new(filter)?),
        Stage::Label(filter) => Compiled::Label(LabelStage::new(filter)?),
        Stage::Json(fields) => Compiled::Json(JsonStage::new(fields)?),
        Stage::Logfmt { strict, keep_empty, fields } => {
            Compiled::Logfmt(LogfmtStage::new(*strict, *keep_empty, fields))
        }
        Stage::Pattern(text) => Compiled::Pattern(
            PatternStage::new(&text.value).map_err(|why| Error::bad(text.span.clone(), why))?,
        ),
        Stage::Regexp(text) => Compiled::Regexp(
            RegexpStage::new(&text.value).map_err(|why| Error::bad(text.span.clone(), why))?,
        ),
        Stage::Unpack => Compiled::Unpack,
        Stage::LineFormat(text) => Compiled::LineFormat(
            Template::new(&text.value).map_err(|why| Error::bad(text.span.clone(), why))?,
        ),
        Stage::LabelFormat(formats) => {
            Compiled::LabelFormat(formats.iter().map(Format::new).collect::<Result<_>>()?)
        }
        Stage::Drop(picks) => Compiled::Drop(picks.iter().map(Pick::new).collect::<Result<_>>()?),
        Stage::Keep(picks) => Compiled::Keep(picks.iter().map(Pick::new).collect::<Result<_>>()?),
        Stage::Decolorize => Compiled::Decolorize,
    })
}

/// What the result shows, and what any stage reads on the way there.
fn needed(stages: &[Compiled], unwrap: Option<&UnwrapStage>, result: Needed) -> Needed {
    let mut needed = result;
    for stage in stages {
        match stage {
            Compiled::Label(filter) => filter.each_name(&mut |name| needed.add(name)),
            Compiled::LineFormat(template) => template_needs(template, &mut needed),
            Compiled::LabelFormat(formats) => {
                for format in formats {
                    match &format.value {
                        FormatValue::Rename(from) => needed.add(from),
                        FormatValue::Template(template) => template_needs(template, &mut needed),
                    }
                }
            }
            Compiled::Drop(picks) | Compiled::Keep(picks) => {
                picks.iter().for_each(|pick| needed.add(pick.name()));
            }
            _ => {}
        }
    }
    if let Some(unwrap) = unwrap {
        needed.add(&unwrap.label);
        for filter in &unwrap.filters {
            filter.each_name(&mut |name| needed.add(name));
        }
    }
    needed
}

fn template_needs(template: &Template, needed: &mut Needed) {
    let mut names = BTreeSet::new();
    let known = template.each_label(&mut |name| {
        names.insert(name.to_owned());
    });
    if known {
        names.iter().for_each(|name| needed.add(name));
    } else {
        *needed = Needed::All;
    }
}

/// The selector in the store's terms.
pub(crate) fn store_matchers(selector: &[LabelMatcher]) -> Result<Vec<trefoil_store::Matcher>> {
    selector
        .iter()
        .map(|matcher| {
            let value = &matcher.value;
            let (op, pattern) = match matcher.op {
                MatchOp::Equal => (trefoil_store::MatchOp::Equal, value.value.clone()),
                MatchOp::NotEqual => (trefoil_store::MatchOp::NotEqual, value.value.clone()),
                MatchOp::Regex => (trefoil_store::MatchOp::Regex, translate(&value.value)),
                MatchOp::NotRegex => (trefoil_store::MatchOp::NotRegex, translate(&value.value)),
            };
            trefoil_store::Matcher::new(&matcher.name, op, &pattern)
                .map_err(|why| Error::bad(value.span.clone(), why))
        })
        .collect()
}
