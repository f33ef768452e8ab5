//! Runs a template.

use super::functions::call;
use super::value::Value;
use super::{Context, Node, OUTPUT_MAX, Operand, Pipeline, Template};

/// How many nodes one run may visit: nested ranges multiply.
const STEPS_MAX: usize = 100_000;

pub(super) fn run(template: &Template, context: &Context<'_>) -> Result<String, String> {
    let mut run = Run {
        template,
        context,
        out: String::new(),
        variables: vec![(String::new(), Value::Labels)],
        steps: 0,
    };
    run.nodes(&template.nodes, &Value::Labels)?;
    Ok(run.out)
}

pub(super) struct Run<'r> {
    pub(super) template: &'r Template,
    pub(super) context: &'r Context<'r>,
    out: String,
    variables: Vec<(String, Value)>,
    steps: usize,
}

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), String> {
        for node in nodes {
            self.steps += 1;
            if self.steps > STEPS_MAX || self.out.len() > OUTPUT_MAX {
                return Err("the template makes too much text".to_owned());
            }
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Action(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    if pipeline.variables.is_empty() {
                        self.print(&value);
                    }
                }
                Node::If(branches, otherwise) => self.branch(branches, otherwise, dot)?,
                Node::With(pipeline, body, otherwise) => {
                    let known = self.variables.len();
                    let value = self.pipeline(pipeline, dot)?;
                    if value.truth() {
                        self.nodes(body, &value)?;
                    } else {
                        self.nodes(otherwise, dot)?;
                    }
                    self.variables.truncate(known);
                }
                Node::Range(pipeline, body, otherwise) => {
                    self.range(pipeline, body, otherwise, dot)?;
                }
            }
        }
        Ok(())
    }

    fn print(&mut self, value: &Value) {
        match value {
            Value::Labels => {
                let map = self.labels();
                map.print(&mut self.out);
            }
            _ => value.print(&mut self.out),
        }
    }

    fn labels(&self) -> Value {
        let all = (self.context.all)();
        Value::Map(all.into_iter().map(|(name, value)| (name, Value::Text(value))).collect())
    }

    fn branch(
        &mut self,
        branches: &[(Pipeline, Vec<Node>)],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), String> {
        let known = self.variables.len();
        for (test, body) in branches {
            if self.pipeline(test, dot)?.truth() {
                self.nodes(body, dot)?;
                self.variables.truncate(known);
                return Ok(());
            }
        }
        self.nodes(otherwise, dot)?;
        self.variables.truncate(known);
        Ok(())
    }

    fn range(
        &mut self,
        pipeline: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), String> {
        let known = self.variables.len();
        let over = self.commands(pipeline, dot)?;
        let items: Vec<(Value, Value)> =
            match if over == Value::Labels { self.labels() } else { over } {
                Value::List(items) => {
                    items.into_iter().enumerate().map(|(i, v)| (Value::Int(i as i64), v)).collect()
                }
                Value::Map(members) => {
                    members.into_iter().map(|(k, v)| (Value::Text(k), v)).collect()
                }
                // `fromJson` gives an empty text for what it cannot read.
                Value::Nil => Vec::new(),
                Value::Text(text) if text.is_empty() => Vec::new(),
                other => return Err(format!("range can't iterate over {}", other.text())),
            };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        for (key, item) in items {
            match pipeline.variables.as_slice() {
                [value] => self.assign(value, item.clone(), pipeline.declares),
                [index, value] => {
                    self.assign(index, key, pipeline.declares);
                    self.assign(value, item.clone(), pipeline.declares);
                }
                _ => {}
            }
            self.nodes(body, &item)?;
            self.variables.truncate(known);
        }
        Ok(())
    }

    fn assign(&mut self, name: &str, value: Value, declares: bool) {
        if declares {
            self.variables.push((name.to_owned(), value));
        } else if let Some(slot) = self.variables.iter_mut().rev().find(|(n, _)| n == name) {
            slot.1 = value;
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let value = self.commands(pipeline, dot)?;
        if let Some(name) = pipeline.variables.first() {
            self.assign(name, value.clone(), pipeline.declares);
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or(Value::Nil))
    }

    fn command(
        &mut self,
        command: &[Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, String> {
        let Some((Operand::Function(name), arguments)) = command.split_first() else {
            return match command.first() {
                Some(operand) => self.operand(operand, dot),
                None => Ok(Value::Nil),
            };
        };
        // `and` and `or` do not look at what cannot change the answer.
        if name == "and" || name == "or" {
            let mut value = Value::Nil;
            for argument in arguments {
                value = self.operand(argument, dot)?;
                if value.truth() == (name == "or") {
                    return Ok(value);
                }
            }
            return Ok(last.unwrap_or(value));
        }
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            values.push(self.operand(argument, dot)?);
        }
        values.extend(last);
        call(self, name, &values).map_err(|why| format!("{name}: {why}"))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        Ok(match operand {
            Operand::Dot => dot.clone(),
            Operand::Nil => Value::Nil,
            Operand::Bool(value) => Value::Bool(*value),
            Operand::Int(value) => Value::Int(*value),
            Operand::Float(value) => Value::Float(*value),
            Operand::Text(text) => Value::Text(text.clone()),
            Operand::Function(name) => {
                call(self, name, &[]).map_err(|why| format!("{name}: {why}"))?
            }
            Operand::Variable(name) => self
                .variables
                .iter()
                .rev()
                .find(|(n, _)| n == name)
                .map_or(Value::Nil, |(_, value)| value.clone()),
            Operand::Group(pipeline) => self.commands(pipeline, dot)?,
            Operand::Fields(base, fields) => {
                let mut value = self.operand(base, dot)?;
                for field in fields {
                    value = self.field(&value, field)?;
                }
                value
            }
        })
    }

    fn field(&self, value: &Value, name: &str) -> Result<Value, String> {
        match value {
            Value::Labels => Ok(Value::Text((self.context.labels)(name).unwrap_or_default())),
            Value::Map(members) => Ok(members
                .iter()
                .find(|(key, _)| key == name)
                .map_or(Value::Nil, |(_, value)| value.clone())),
            Value::Nil => Ok(Value::Nil),
            other => Err(format!("can't evaluate field {name} in {}", other.text())),
        }
    }
}
