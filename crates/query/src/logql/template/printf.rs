//! `printf`: Go's `fmt.Sprintf` for the values a template has.
//!
//! Source: Go, package `fmt`, "Printing". Verbs `v s q d f F e E g G x X o b c t U %` with
//! flags, width and precision; a value of the wrong kind prints as Go's `%!d(string=x)`.

use super::OUTPUT_MAX;
use super::value::{Value, go_exponent, go_float};

/// The flags, width and precision of one verb.
#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    zero: bool,
    space: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

pub(super) fn format(format: &str, values: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = format;
    let mut used = 0;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let (spec, after) = spec(&rest[at + 1..], values, &mut used);
        let Some(verb) = after.chars().next() else {
            out.push_str("%!(NOVERB)");
            return Ok(out);
        };
        rest = &after[verb.len_utf8()..];
        if spec.width > OUTPUT_MAX || spec.precision.unwrap_or(0) > OUTPUT_MAX {
            return Err("width or precision is too large".to_owned());
        }
        if verb == '%' {
            out.push('%');
        } else if let Some(value) = values.get(used) {
            used += 1;
            pad(&verb_text(verb, &spec, value), &spec, &mut out);
        } else {
            out.push_str(&format!("%!{verb}(MISSING)"));
        }
        if out.len() > OUTPUT_MAX {
            return Err("the result is too long".to_owned());
        }
    }
    out.push_str(rest);
    if used < values.len() {
        let extra: Vec<String> =
            values[used..].iter().map(|v| format!("{}={}", kind(v), v.text())).collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(out)
}

fn spec<'t>(text: &'t str, values: &[Value], used: &mut usize) -> (Spec, &'t str) {
    let mut spec = Spec::default();
    let mut rest = text;
    loop {
        match rest.bytes().next() {
            Some(b'-') => spec.minus = true,
            Some(b'+') => spec.plus = true,
            Some(b'0') => spec.zero = true,
            Some(b' ') => spec.space = true,
            Some(b'#') => spec.sharp = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    let (width, after) = amount(rest, values, used);
    if let Some(width) = width {
        spec.minus |= width < 0;
        spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
    }
    rest = after;
    if let Some(after) = rest.strip_prefix('.') {
        let (precision, after) = amount(after, values, used);
        spec.precision = Some(usize::try_from(precision.unwrap_or(0)).unwrap_or(0));
        rest = after;
    }
    (spec, rest)
}

/// A number or `*`.
fn amount<'t>(text: &'t str, values: &[Value], used: &mut usize) -> (Option<i64>, &'t str) {
    if let Some(after) = text.strip_prefix('*') {
        let value = values.get(*used).map(Value::int);
        *used += 1;
        return (value, after);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text[..digits].parse().ok().or((digits > 0).then_some(i64::MAX));
    (number, &text[digits..])
}

fn pad(text: &str, spec: &Spec, out: &mut String) {
    let missing = spec.width.saturating_sub(text.chars().count());
    if missing == 0 {
        out.push_str(text);
    } else if spec.minus {
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else if spec.zero {
        let (sign, digits) = match text.as_bytes().first() {
            Some(b'-' | b'+') => text.split_at(1),
            _ => ("", text),
        };
        out.push_str(sign);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(digits);
    } else {
        out.extend(std::iter::repeat_n(' ', missing));
        out.push_str(text);
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float64",
        Value::Text(_) => "string",
        Value::Time(_) => "time.Time",
        Value::List(_) => "[]interface {}",
        Value::Map(_) | Value::Labels => "map[string]interface {}",
    }
}

fn verb_text(verb: char, spec: &Spec, value: &Value) -> String {
    let text = match (verb, value) {
        ('v', Value::Float(float)) => Some(signed(go_float(*float), spec)),
        ('v', Value::Int(int)) => Some(signed(int.to_string(), spec)),
        ('v', other) => Some(cut(&other.text(), spec)),
        ('s', Value::Text(_) | Value::Time(_) | Value::List(_) | Value::Map(_)) => {
            Some(cut(&value.text(), spec))
        }
        ('q', Value::Text(text)) => {
            let mut out = String::new();
            crate::logql::metadata::write_json_string(&cut(text, spec), &mut out);
            Some(out)
        }
        ('t', Value::Bool(value)) => Some(value.to_string()),
        ('x' | 'X', Value::Text(text)) => Some(text.bytes().map(|b| hex(b, verb)).collect()),
        (_, Value::Int(int)) => integer(verb, spec, *int),
        (_, Value::Float(float)) => float_text(verb, spec, *float),
        _ => None,
    };
    text.unwrap_or_else(|| format!("%!{verb}({}={})", kind(value), value.text()))
}

fn hex(byte: u8, verb: char) -> String {
    if verb == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") }
}

fn cut(text: &str, spec: &Spec) -> String {
    match spec.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    }
}

fn signed(text: String, spec: &Spec) -> String {
    if text.starts_with(['-', '+']) {
        text
    } else if spec.plus {
        format!("+{text}")
    } else if spec.space {
        format!(" {text}")
    } else {
        text
    }
}

fn integer(verb: char, spec: &Spec, value: i64) -> Option<String> {
    let size = value.unsigned_abs();
    let (prefix, digits) = match verb {
        'd' => ("", size.to_string()),
        'x' => ("0x", format!("{size:x}")),
        'X' => ("0X", format!("{size:X}")),
        'o' => ("0", format!("{size:o}")),
        'b' => ("0b", format!("{size:b}")),
        'c' => return u32::try_from(value).ok().and_then(char::from_u32).map(String::from),
        'U' => return Some(format!("U+{size:04X}")),
        _ => return None,
    };
    let zeros = spec.precision.unwrap_or(0).saturating_sub(digits.len());
    let sign = if value < 0 { "-" } else { "" };
    let prefix = if spec.sharp { prefix } else { "" };
    Some(signed(format!("{sign}{prefix}{}{digits}", "0".repeat(zeros)), spec))
}

fn float_text(verb: char, spec: &Spec, value: f64) -> Option<String> {
    if !value.is_finite() {
        return Some(signed(go_float(value), spec));
    }
    let precision = spec.precision.unwrap_or(6);
    let text = match verb {
        'f' | 'F' => format!("{value:.precision$}"),
        'e' => go_exponent(&format!("{value:.precision$e}")),
        'E' => go_exponent(&format!("{value:.precision$e}")).to_uppercase(),
        'g' | 'G' => match spec.precision {
            Some(precision) => general(value, precision),
            None => go_float(value),
        },
        _ => return None,
    };
    Some(signed(text, spec))
}

/// `%.3g`: so many significant digits, without trailing zeros.
fn general(value: f64, precision: usize) -> String {
    let precision = precision.clamp(1, 400);
    let scientific = format!("{value:.*e}", precision - 1);
    let exponent: i32 =
        scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or_default();
    let strip = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= precision as i32 {
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        return go_exponent(&format!("{}e{exponent}", strip(mantissa)));
    }
    let decimals = usize::try_from(precision as i32 - 1 - exponent).unwrap_or(0);
    strip(&format!("{value:.decimals$}"))
}
