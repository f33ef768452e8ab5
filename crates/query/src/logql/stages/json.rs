//! `| json` and `| json a="b.c[0]"`.
//!
//! Source: Loki, "Log queries: JSON". Nested objects are flattened with `_`; arrays and
//! nulls are skipped unless an expression asks for them.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::logql::ast::Extraction;
use crate::logql::json::{Json, Malformed, each_item, each_member};
use crate::logql::row::Row;
use crate::logql::stages::label_name;

/// What `__error__` says when a line is no JSON object.
pub(crate) const JSON_ERROR: &str = "JSONParserErr";

/// How deep objects are flattened; the reader itself stops at the same depth.
const DEPTH_MAX: usize = 64;

/// How many steps an expression may have.
const STEPS_MAX: usize = 64;

/// The stage: everything, or what the expressions name.
#[derive(Debug)]
pub(crate) struct JsonStage {
    fields: Vec<(String, Vec<Step>)>,
}

/// One step of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl JsonStage {
    pub(crate) fn new(fields: &[Extraction]) -> Result<Self> {
        let fields = fields
            .iter()
            .map(|field| match path(&field.path.value) {
                Ok(steps) => Ok((field.label.clone(), steps)),
                Err(why) => Err(Error::bad(
                    field.path.span.clone(),
                    format!("invalid json expression {:?}: {why}", field.path.value),
                )),
            })
            .collect::<Result<_>>()?;
        Ok(JsonStage { fields })
    }

    /// All properties of a line, as the stage without expressions takes them.
    pub(crate) fn everything<'x>(
        line: &'x str,
        sink: &mut dyn FnMut(Cow<'x, str>, Cow<'x, str>),
    ) -> std::result::Result<(), Malformed> {
        flatten("", line, 0, sink)
    }

    pub(crate) fn process(&self, row: &mut Row<'_>) {
        let result = row.extract_from_line(|line, sink| {
            if self.fields.is_empty() {
                return flatten("", line, 0, sink);
            }
            // A line that is not an object is an error even if nothing is asked of it.
            each_member(line, &mut |_, _| Ok(()))?;
            for (label, steps) in &self.fields {
                let value = follow(Json::Object(line), steps).map_or(Cow::Borrowed(""), Json::text);
                sink(Cow::Owned(label.clone()), value);
            }
            Ok(())
        });
        if let Err(Malformed(why)) = result {
            row.fail(JSON_ERROR, why);
        }
    }
}

fn flatten<'x>(
    prefix: &str,
    object: &'x str,
    depth: usize,
    sink: &mut dyn FnMut(Cow<'x, str>, Cow<'x, str>),
) -> std::result::Result<(), Malformed> {
    if depth > DEPTH_MAX {
        return Err(Malformed("nested too deeply"));
    }
    each_member(object, &mut |key, value| {
        let key = label_name(&key);
        let name = match prefix {
            "" => key,
            _ => Cow::Owned(format!("{prefix}_{key}")),
        };
        match value {
            Json::Object(inner) => flatten(&name, inner, depth + 1, sink),
            Json::Array(_) | Json::Null => Ok(()),
            _ => {
                sink(name, value.text());
                Ok(())
            }
        }
    })
}

/// Walks an expression; `None` where a step leads nowhere.
fn follow<'x>(from: Json<'x>, steps: &[Step]) -> Option<Json<'x>> {
    let mut here = from;
    for step in steps {
        let mut found = None;
        match (step, here) {
            (Step::Key(wanted), Json::Object(object)) => {
                // The object was read before, so it is well formed.
                let _ = each_member(object, &mut |key, value| {
                    if found.is_none() && key == wanted.as_str() {
                        found = Some(value);
                    }
                    Ok(())
                });
            }
            (Step::Index(wanted), Json::Array(array)) => {
                let mut at = 0;
                let _ = each_item(array, &mut |value| {
                    if at == *wanted {
                        found = Some(value);
                    }
                    at += 1;
                });
            }
            _ => {}
        }
        here = found?;
    }
    Some(here)
}

/// Reads `my.list[0]["field"]`.
fn path(text: &str) -> std::result::Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if steps.len() >= STEPS_MAX {
            return Err(format!("more than {STEPS_MAX} steps"));
        }
        if let Some(inside) = rest.strip_prefix('[') {
            let (step, after) = bracket(inside)?;
            steps.push(step);
            rest = after;
            continue;
        }
        if !steps.is_empty() {
            rest = rest.strip_prefix('.').ok_or("expected \".\" or \"[\" between steps")?;
        }
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '@' | '$')))
            .unwrap_or(rest.len());
        if end == 0 {
            return Err("expected a field name".to_owned());
        }
        steps.push(Step::Key(rest[..end].to_owned()));
        rest = &rest[end..];
    }
    if steps.is_empty() { Err("it is empty".to_owned()) } else { Ok(steps) }
}

fn bracket(inside: &str) -> std::result::Result<(Step, &str), String> {
    if let Some(quoted) = inside.strip_prefix('"') {
        let (key, after) = quoted.split_once('"').ok_or("a quote is not closed")?;
        let after = after.strip_prefix(']').ok_or("expected \"]\"")?;
        return Ok((Step::Key(key.to_owned()), after));
    }
    let (number, after) = inside.split_once(']').ok_or("expected \"]\"")?;
    let index = number.trim().parse().map_err(|_| "expected an index or a quoted field in []")?;
    Ok((Step::Index(index), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let key = |k: &str| Step::Key(k.to_owned());
        let cases = [
            ("a", vec![key("a")]),
            ("a.b", vec![key("a"), key("b")]),
            ("a[0][\"b c\"].d", vec![key("a"), Step::Index(0), key("b c"), key("d")]),
            ("[\"x\"]", vec![key("x")]),
        ];
        for (text, steps) in cases {
            assert_eq!(path(text).as_ref(), Ok(&steps), "{text}");
        }
        for bad in ["", ".", "a.", "a..b", "a[", "a[x]", "a[\"b]", "a b", "[1"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
