//! The functions a template may call, and the logical ones.

use super::eval::Run;
use super::value::Value;
use super::{math, printf, text, time};

/// Every name that can be called.
const NAMES: [&str; 83] = [
    "__line__",
    "__timestamp__",
    "now",
    "and",
    "or",
    "not",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "len",
    "index",
    "print",
    "println",
    "printf",
    "html",
    "urlquery",
    "lower",
    "upper",
    "title",
    "trim",
    "trimAll",
    "trimPrefix",
    "trimSuffix",
    "trunc",
    "substr",
    "replace",
    "repeat",
    "indent",
    "nindent",
    "alignLeft",
    "alignRight",
    "default",
    "contains",
    "hasPrefix",
    "hasSuffix",
    "b64enc",
    "b64dec",
    "urlencode",
    "urldecode",
    "fromJson",
    "regexReplaceAll",
    "regexReplaceAllLiteral",
    "count",
    "ToLower",
    "ToUpper",
    "Replace",
    "Trim",
    "TrimLeft",
    "TrimRight",
    "TrimPrefix",
    "TrimSuffix",
    "TrimSpace",
    "add",
    "addf",
    "sub",
    "subf",
    "mul",
    "mulf",
    "div",
    "divf",
    "mod",
    "max",
    "maxf",
    "min",
    "minf",
    "ceil",
    "floor",
    "round",
    "int",
    "float64",
    "bytes",
    "duration",
    "duration_seconds",
    "date",
    "toDate",
    "toDateInZone",
    "unixEpoch",
    "unixEpochMillis",
    "unixEpochNanos",
    "unixToTime",
];

pub(super) fn is_function(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Calls a function by name.
pub(super) fn call(run: &Run<'_>, name: &str, arguments: &[Value]) -> Result<Value, String> {
    match (name, arguments) {
        ("__line__", []) => Ok(Value::Text(run.context.line.to_owned())),
        ("__timestamp__", []) => Ok(Value::Time(i128::from(run.context.time_ns))),
        ("now", []) => Ok(Value::Time(i128::from(run.context.now_ns))),
        ("not", [value]) => Ok(Value::Bool(!value.truth())),
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            for other in others {
                if compare(first, other)? == std::cmp::Ordering::Equal {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        ("ne" | "lt" | "le" | "gt" | "ge", [a, b]) => {
            let order = compare(a, b)?;
            Ok(Value::Bool(match name {
                "ne" => order.is_ne(),
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            }))
        }
        ("len", [value]) => length(value),
        ("index", [value, keys @ ..]) => index(run, value, keys),
        ("print", _) => Ok(Value::Text(print(arguments, false))),
        ("println", _) => Ok(Value::Text(print(arguments, true) + "\n")),
        ("printf", [format, values @ ..]) => {
            printf::format(&format.text(), values).map(Value::Text)
        }
        _ => text::call(run, name, arguments)
            .or_else(|| math::call(name, arguments))
            .or_else(|| time::call(name, arguments))
            .unwrap_or_else(|| Err(format!("wrong number of arguments: {}", arguments.len()))),
    }
}

/// Compares two values of one kind, as Go's `eq` and `lt` do.
fn compare(a: &Value, b: &Value) -> Result<std::cmp::Ordering, String> {
    let order = match (a, b) {
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => {
            // NaN equals nothing; any other answer than "equal" will do.
            Some(a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Less))
        }
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        (Value::Nil, Value::Nil) => Some(std::cmp::Ordering::Equal),
        (Value::Nil, _) | (_, Value::Nil) => Some(std::cmp::Ordering::Less),
        _ => None,
    };
    order.ok_or_else(|| "incompatible types for comparison".to_owned())
}

fn length(value: &Value) -> Result<Value, String> {
    let len = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(members) => members.len(),
        other => return Err(format!("len of {}", other.text())),
    };
    Ok(Value::Int(len as i64))
}

fn index(run: &Run<'_>, value: &Value, keys: &[Value]) -> Result<Value, String> {
    let mut here = value.clone();
    for key in keys {
        here = match &here {
            Value::Labels => Value::Text((run.context.labels)(&key.text()).unwrap_or_default()),
            Value::Map(members) => {
                let name = key.text();
                let found = members.iter().find(|(n, _)| *n == name);
                found.map_or(Value::Nil, |(_, value)| value.clone())
            }
            Value::List(items) => {
                let at = usize::try_from(key.int()).ok();
                at.and_then(|at| items.get(at)).cloned().ok_or("index out of range")?
            }
            other => return Err(format!("can't index {}", other.text())),
        };
    }
    Ok(here)
}

/// As Go's `Sprint`: a space between two operands when neither is a string; `Sprintln`
/// always.
fn print(values: &[Value], spaces: bool) -> String {
    let mut out = String::new();
    for (i, value) in values.iter().enumerate() {
        let text = |v: &Value| matches!(v, Value::Text(_));
        if i > 0 && (spaces || !(text(value) || text(&values[i - 1]))) {
            out.push(' ');
        }
        value.print(&mut out);
    }
    out
}
