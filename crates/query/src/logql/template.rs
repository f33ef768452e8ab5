//! The template language of `line_format` and `label_format`.
//!
//! A subset of Go's `text/template` (fields, variables, pipelines, `if`, `with`, `range`,
//! trimming, comments) with the functions that Loki documents ("LogQL template
//! functions"). `define`, `template`, `block`, `break` and `continue` are refused.

use std::cell::RefCell;

use regex::Regex;

mod eval;
mod functions;
mod math;
mod parse;
mod printf;
mod text;
mod time;
mod value;

#[cfg(test)]
mod tests;

/// How long a result may get, in bytes. Loki has no limit; `repeat` makes one necessary.
const OUTPUT_MAX: usize = 1 << 20;

/// How many compiled patterns one template keeps.
const PATTERNS_MAX: usize = 32;

/// A parsed template.
#[derive(Debug)]
pub(crate) struct Template {
    nodes: Vec<Node>,
    patterns: RefCell<Vec<(String, Regex)>>,
}

/// What a template can ask for while it runs.
pub(crate) struct Context<'c> {
    /// The value of one label.
    pub(crate) labels: &'c dyn Fn(&str) -> Option<String>,
    /// All labels, sorted by name.
    pub(crate) all: &'c dyn Fn() -> Vec<(String, String)>,
    /// The line.
    pub(crate) line: &'c str,
    /// The record's time in Unix nanoseconds.
    pub(crate) time_ns: i64,
    /// What `now` says, in Unix nanoseconds.
    pub(crate) now_ns: i64,
}

#[derive(Debug)]
enum Node {
    Text(String),
    Action(Pipeline),
    If(Vec<(Pipeline, Vec<Node>)>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
}

/// Commands, each fed to the next, with the variables that get the result.
#[derive(Debug)]
struct Pipeline {
    variables: Vec<String>,
    declares: bool,
    commands: Vec<Vec<Operand>>,
}

#[derive(Debug)]
enum Operand {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Function(String),
    Variable(String),
    Group(Box<Pipeline>),
    /// Fields of another operand, outermost first.
    Fields(Box<Operand>, Vec<String>),
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let nodes = parse::parse(text).map_err(|why| format!("invalid template: {why}"))?;
        Ok(Template { nodes, patterns: RefCell::new(Vec::new()) })
    }

    /// The text for one row.
    ///
    /// # Errors
    /// Why the template cannot be evaluated on this row.
    pub(crate) fn run(&self, context: &Context<'_>) -> Result<String, String> {
        eval::run(self, context)
    }

    /// Calls `name` with every label the template reads; returns false if it may read any.
    pub(crate) fn each_label(&self, name: &mut dyn FnMut(&str)) -> bool {
        nodes_read(&self.nodes, name)
    }

    fn pattern(&self, pattern: &str) -> Result<Regex, String> {
        let mut known = self.patterns.borrow_mut();
        if let Some((_, regex)) = known.iter().find(|(text, _)| text == pattern) {
            return Ok(regex.clone());
        }
        let regex = crate::logql::regex::plain(pattern)?;
        if known.len() < PATTERNS_MAX {
            known.push((pattern.to_owned(), regex.clone()));
        }
        Ok(regex)
    }
}

fn nodes_read(nodes: &[Node], name: &mut dyn FnMut(&str)) -> bool {
    nodes.iter().all(|node| match node {
        Node::Text(_) => true,
        Node::Action(pipeline) => pipeline_reads(pipeline, name),
        Node::If(branches, otherwise) => {
            branches.iter().all(|(test, body)| pipeline_reads(test, name) && nodes_read(body, name))
                && nodes_read(otherwise, name)
        }
        Node::With(pipeline, body, otherwise) | Node::Range(pipeline, body, otherwise) => {
            pipeline_reads(pipeline, name) && nodes_read(body, name) && nodes_read(otherwise, name)
        }
    })
}

fn pipeline_reads(pipeline: &Pipeline, name: &mut dyn FnMut(&str)) -> bool {
    pipeline.commands.iter().flatten().all(|operand| operand_reads(operand, name))
}

fn operand_reads(operand: &Operand, name: &mut dyn FnMut(&str)) -> bool {
    match operand {
        Operand::Dot => false,
        Operand::Variable(variable) => !variable.is_empty(),
        Operand::Group(pipeline) => pipeline_reads(pipeline, name),
        Operand::Fields(base, fields) => match &**base {
            Operand::Dot => {
                fields.iter().for_each(|field| name(field));
                true
            }
            Operand::Variable(variable) if variable.is_empty() => {
                fields.iter().for_each(|field| name(field));
                true
            }
            other => operand_reads(other, name),
        },
        _ => true,
    }
}
