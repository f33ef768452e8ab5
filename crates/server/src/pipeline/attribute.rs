//! Attributes: their limits, their text, and their names as labels.

use std::borrow::Cow;
use std::fmt::Write;

use trefoil_store::model::{Attribute, Resource, Scope, Value};
use trefoil_wire::otlp as wire;

use super::refusal::ItemError;

/// Attributes on one resource, scope, span, event, link or record. SDKs stop at 128 by
/// default; eight times that leaves room for collectors that add.
pub(crate) const ATTRIBUTES_MAX: usize = 1024;
/// Bytes of a key.
pub(crate) const KEY_BYTES_MAX: usize = 1024;
/// Bytes of a value as text; a stack trace or a dumped request fits.
pub(crate) const VALUE_BYTES_MAX: usize = 1 << 20;
/// Elements of lists and maps in one item's attributes: an empty one takes 2 bytes on the
/// wire and 32 in memory, so the limits on bytes alone would not do.
pub(super) const ELEMENTS_MAX: usize = 1 << 17;
/// Bytes of the name of a span or metric.
const NAME_BYTES_MAX: usize = 4 << 10;

/// Reads attributes into a list that is used again, within the limits.
pub(super) fn attributes<'a>(
    view: wire::Attributes<'a>,
    out: &mut Vec<Attribute<'a>>,
) -> Result<(), ItemError> {
    out.clear();
    let mut elements = ELEMENTS_MAX;
    if view.len() > ATTRIBUTES_MAX {
        return Err(ItemError::Rule("too_many_attributes"));
    }
    for pair in view {
        let pair = pair?;
        if pair.key.len() > KEY_BYTES_MAX {
            return Err(ItemError::Rule("attribute_key_too_long"));
        }
        let value = value(pair.value, &mut elements)?;
        if size(&value) > VALUE_BYTES_MAX {
            return Err(ItemError::Rule("attribute_value_too_long"));
        }
        out.push(Attribute { key: pair.key.into(), value });
    }
    Ok(())
}

/// Reads a value with at most `elements` elements of lists and maps, and takes those it
/// has from the number. The decoder refuses messages that nest too deep for this recursion.
pub(super) fn value<'a>(
    view: wire::AnyValue<'a>,
    elements: &mut usize,
) -> Result<Value<'a>, ItemError> {
    Ok(match view {
        wire::AnyValue::Empty => Value::Empty,
        wire::AnyValue::Str(text) => Value::Str(text.into()),
        wire::AnyValue::Bool(yes) => Value::Bool(yes),
        wire::AnyValue::Int(number) => Value::Int(number),
        wire::AnyValue::Double(number) => Value::Double(number),
        wire::AnyValue::Bytes(bytes) => Value::Bytes(bytes.into()),
        wire::AnyValue::Array(items) => {
            take(elements, items.len())?;
            let items = items.iter().map(|item| value(item?, elements));
            Value::Array(items.collect::<Result<_, ItemError>>()?)
        }
        wire::AnyValue::Map(pairs) => {
            take(elements, pairs.len())?;
            let pairs = pairs.iter().map(|pair| {
                let pair = pair?;
                Ok(Attribute { key: pair.key.into(), value: value(pair.value, elements)? })
            });
            Value::Map(pairs.collect::<Result<_, ItemError>>()?)
        }
    })
}

fn take(elements: &mut usize, count: usize) -> Result<(), ItemError> {
    *elements = elements.checked_sub(count).ok_or(ItemError::Rule("too_many_elements"))?;
    Ok(())
}

/// Reads a resource; an absent one is empty.
pub(super) fn resource<'a>(
    view: Option<&wire::Resource<'a>>,
    schema_url: &'a str,
) -> Result<Resource<'a>, ItemError> {
    let mut resource = Resource { schema_url: schema_url.into(), ..Resource::default() };
    if let Some(view) = view {
        attributes(view.attributes, &mut resource.attributes)?;
        resource.dropped_attributes = view.dropped_attributes_count;
    }
    Ok(resource)
}

/// Reads a scope; an absent one is empty.
pub(super) fn scope<'a>(
    view: Option<&wire::Scope<'a>>,
    schema_url: &'a str,
) -> Result<Scope<'a>, ItemError> {
    let mut scope = Scope { schema_url: schema_url.into(), ..Scope::default() };
    if let Some(view) = view {
        scope.name = view.name.into();
        scope.version = view.version.into();
        check_name(view.name)?;
        attributes(view.attributes, &mut scope.attributes)?;
        scope.dropped_attributes = view.dropped_attributes_count;
    }
    Ok(scope)
}

/// Refuses a name that is too long to be one.
pub(super) fn check_name(name: &str) -> Result<(), ItemError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(ItemError::Rule("name_too_long"));
    }
    Ok(())
}

/// Bytes of a value; the decoder has limited its depth.
pub(crate) fn size(value: &Value<'_>) -> usize {
    match value {
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Empty | Value::Bool(_) | Value::Int(_) | Value::Double(_) => 8,
        Value::Array(items) => items.iter().map(|item| 8 + size(item)).sum(),
        Value::Map(pairs) => pairs.iter().map(|pair| 8 + pair.key.len() + size(&pair.value)).sum(),
    }
}

/// The string value of an attribute, if it has one.
pub(crate) fn string<'a>(attributes: &'a [Attribute<'_>], key: &str) -> Option<Cow<'a, str>> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(text(&attribute.value))
}

/// A value as a label shows it: text as it is, numbers in their shortest form, lists and
/// maps as JSON, bytes in base64. This is what Prometheus and Loki make of OTLP values.
pub(crate) fn text<'a>(value: &'a Value<'_>) -> Cow<'a, str> {
    match value {
        Value::Str(text) => Cow::Borrowed(text),
        Value::Empty => Cow::Borrowed(""),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Int(number) => Cow::Owned(number.to_string()),
        Value::Double(number) => Cow::Owned(double(*number)),
        Value::Bytes(bytes) => Cow::Owned(base64(bytes)),
        Value::Array(_) | Value::Map(_) => {
            let mut out = String::new();
            json(value, &mut out);
            Cow::Owned(out)
        }
    }
}

fn json(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Empty => out.push_str("null"),
        Value::Str(text) => json_string(text, out),
        Value::Bytes(bytes) => json_string(&base64(bytes), out),
        Value::Double(number) if !number.is_finite() => json_string(&double(*number), out),
        Value::Bool(_) | Value::Int(_) | Value::Double(_) => out.push_str(&text(value)),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                json(item, out);
            }
            out.push(']');
        }
        Value::Map(pairs) => {
            out.push('{');
            for (i, pair) in pairs.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                json_string(&pair.key, out);
                out.push(':');
                json(&pair.value, out);
            }
            out.push('}');
        }
    }
}

fn json_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Writing to a string cannot fail.
            c if (c as u32) < 0x20 => drop(write!(out, "\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A double in its shortest form, with an exponent where Go's JSON has one.
fn double(number: f64) -> String {
    let magnitude = number.abs();
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{number:e}");
        // Go writes the sign of a positive exponent.
        match text.split_once('e') {
            Some((mantissa, exponent)) if !exponent.starts_with('-') => {
                format!("{mantissa}e+{exponent}")
            }
            _ => text,
        }
    } else {
        number.to_string()
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let sextet = (word >> (18 - 6 * i)) & 63;
            out.push(if i <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    out
}

/// A key as the name of a label: what Prometheus's OTLP endpoint makes of it. Every
/// character a label may not have becomes `_`; a name must not start with a digit or,
/// being reserved by habit, with a single `_`.
pub(crate) fn label_name(key: &str) -> Cow<'_, str> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let prefix = match key.chars().next() {
        Some(first) if first.is_ascii_digit() => "key_",
        Some(first) if (first == '_' || !valid(first)) && !starts_with_two(key, valid) => "key",
        _ => "",
    };
    if prefix.is_empty() && key.chars().all(valid) {
        return Cow::Borrowed(key);
    }
    let mut name = String::with_capacity(prefix.len() + key.len());
    name.push_str(prefix);
    name.extend(key.chars().map(|c| if valid(c) { c } else { '_' }));
    Cow::Owned(name)
}

/// Whether the name would start with `__`.
fn starts_with_two(key: &str, valid: impl Fn(char) -> bool) -> bool {
    let mut chars = key.chars().map(|c| if valid(c) { c } else { '_' });
    chars.next() == Some('_') && chars.next() == Some('_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_names_follow_prometheus() {
        for (key, expected) in [
            ("http.method", "http_method"),
            ("a__b", "a__b"),
            ("2xx", "key_2xx"),
            ("_private", "key_private"),
            ("__reserved", "__reserved"),
            (".dotted", "key_dotted"),
            ("größe", "gr__e"),
            ("ok", "ok"),
        ] {
            assert_eq!(label_name(key), expected, "{key}");
        }
    }

    #[test]
    fn values_as_text() {
        let map = Value::Map(vec![
            Attribute {
                key: "a\"b".into(),
                value: Value::Array(vec![Value::Int(1), Value::Bool(true)]),
            },
            Attribute { key: "n".into(), value: Value::Empty },
            Attribute { key: "x".into(), value: Value::Bytes((&b"\x01\xff"[..]).into()) },
        ]);
        assert_eq!(text(&map), r#"{"a\"b":[1,true],"n":null,"x":"Af8="}"#);
        for (number, expected) in [
            (1.0, "1"),
            (0.5, "0.5"),
            (1e21, "1e+21"),
            (1e-7, "1e-7"),
            (0.0, "0"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(text(&Value::Double(number)), expected);
        }
        for (bytes, expected) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes), expected);
        }
    }
}
