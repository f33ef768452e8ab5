//! Functions on text.

use super::OUTPUT_MAX;
use super::eval::Run;
use super::value::Value;
use crate::logql::metadata::base64;
use crate::logql::units::parse_bytes;

/// Calls a function of this file; `None` if there is none of this name and arity.
pub(super) fn call(
    run: &Run<'_>,
    name: &str,
    arguments: &[Value],
) -> Option<Result<Value, String>> {
    match arguments {
        [a] => one(name, &a.text()),
        [a, b] => two(run, name, a, b),
        [a, b, c] => three(run, name, a, b, c),
        // Go's strings.Replace(s, old, new, n).
        [s, old, new, n] if name == "Replace" => {
            let (s, old, new) = (s.text(), old.text(), new.text());
            Some(bounded(match usize::try_from(n.int()) {
                Ok(n) => s.replacen(&old, &new, n),
                Err(_) => s.replace(&old, &new),
            }))
        }
        _ => None,
    }
}

fn bounded(text: String) -> Result<Value, String> {
    if text.len() > OUTPUT_MAX {
        return Err("the result is too long".to_owned());
    }
    Ok(Value::Text(text))
}

fn one(name: &str, text: &str) -> Option<Result<Value, String>> {
    let result = match name {
        "lower" | "ToLower" => text.to_lowercase(),
        "upper" | "ToUpper" => text.to_uppercase(),
        "title" => title(text),
        "trim" | "TrimSpace" => text.trim().to_owned(),
        "b64enc" => base64(text.as_bytes()),
        "b64dec" => return Some(from_base64(text).map(Value::Text)),
        "urlencode" | "urlquery" => url_encode(text),
        "urldecode" => return Some(url_decode(text).map(Value::Text)),
        "html" => html(text),
        "fromJson" => {
            return Some(Ok(Value::from_json(text).unwrap_or(Value::Text(String::new()))));
        }
        "bytes" => {
            let bytes = parse_bytes(text).ok_or_else(|| format!("{text:?} is not a size"));
            return Some(bytes.map(|b| Value::Int(i64::try_from(b).unwrap_or(i64::MAX))));
        }
        _ => return None,
    };
    Some(bounded(result))
}

fn two(run: &Run<'_>, name: &str, a: &Value, b: &Value) -> Option<Result<Value, String>> {
    let text = b.text();
    let result = match name {
        "contains" => return Some(Ok(Value::Bool(text.contains(&a.text())))),
        "hasPrefix" => return Some(Ok(Value::Bool(text.starts_with(&a.text())))),
        "hasSuffix" => return Some(Ok(Value::Bool(text.ends_with(&a.text())))),
        "default" => return Some(Ok(if b.truth() { b.clone() } else { a.clone() })),
        "trimAll" => text.trim_matches(any_of(&a.text())).to_owned(),
        "trimPrefix" => text.strip_prefix(&a.text()).unwrap_or(&text).to_owned(),
        "trimSuffix" => text.strip_suffix(&a.text()).unwrap_or(&text).to_owned(),
        // The functions with Go's own names take the text first.
        "Trim" => a.text().trim_matches(any_of(&text)).to_owned(),
        "TrimLeft" => a.text().trim_start_matches(any_of(&text)).to_owned(),
        "TrimRight" => a.text().trim_end_matches(any_of(&text)).to_owned(),
        "TrimPrefix" => {
            let whole = a.text();
            whole.strip_prefix(&text).unwrap_or(&whole).to_owned()
        }
        "TrimSuffix" => {
            let whole = a.text();
            whole.strip_suffix(&text).unwrap_or(&whole).to_owned()
        }
        "trunc" => trunc(a.int(), &text),
        "alignLeft" | "alignRight" => {
            return Some(align(name == "alignLeft", a.int(), &text));
        }
        "indent" | "nindent" => return Some(indent(name == "nindent", a.int(), &text)),
        "repeat" => return Some(repeat(a.int(), &text)),
        "count" => {
            return Some(run.template.pattern(&a.text()).map(|regex| {
                Value::Int(i64::try_from(regex.find_iter(&text).count()).unwrap_or(i64::MAX))
            }));
        }
        _ => return None,
    };
    Some(bounded(result))
}

fn three(
    run: &Run<'_>,
    name: &str,
    a: &Value,
    b: &Value,
    c: &Value,
) -> Option<Result<Value, String>> {
    match name {
        "replace" => Some(bounded(c.text().replace(&a.text(), &b.text()))),
        "substr" => Some(bounded(substr(a.int(), b.int(), &c.text()))),
        "regexReplaceAll" | "regexReplaceAllLiteral" => {
            let (text, by) = (b.text(), c.text());
            Some(run.template.pattern(&a.text()).and_then(|regex| {
                bounded(if name == "regexReplaceAll" {
                    regex.replace_all(&text, by.as_str()).into_owned()
                } else {
                    regex.replace_all(&text, regex::NoExpand(&by)).into_owned()
                })
            }))
        }
        _ => None,
    }
}

fn any_of(characters: &str) -> impl Fn(char) -> bool + Copy + '_ {
    move |c| characters.contains(c)
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut previous = ' ';
    for c in text.chars() {
        let starts = !(previous.is_alphanumeric() || matches!(previous, '_' | '\''));
        if starts {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        previous = c;
    }
    out
}

fn trunc(count: i64, text: &str) -> String {
    let len = text.chars().count();
    match usize::try_from(count) {
        Ok(count) => text.chars().take(count).collect(),
        Err(_) => {
            let keep = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
            text.chars().skip(len.saturating_sub(keep)).collect()
        }
    }
}

fn substr(start: i64, end: i64, text: &str) -> String {
    let len = text.chars().count();
    let to = usize::try_from(end).unwrap_or(len).min(len);
    let from = usize::try_from(start).unwrap_or(0);
    text.chars().take(to).skip(from).collect()
}

fn width(count: i64) -> Result<usize, String> {
    match usize::try_from(count) {
        Ok(width) if width <= OUTPUT_MAX => Ok(width),
        Ok(_) => Err("the result is too long".to_owned()),
        Err(_) => Ok(0),
    }
}

fn align(left: bool, count: i64, text: &str) -> Result<Value, String> {
    let width = width(count)?;
    let len = text.chars().count();
    let pad = " ".repeat(width.saturating_sub(len));
    bounded(match (left, len >= width) {
        (true, true) => text.chars().take(width).collect(),
        (false, true) => text.chars().skip(len - width).collect(),
        (true, false) => format!("{text}{pad}"),
        (false, false) => format!("{pad}{text}"),
    })
}

fn indent(newline: bool, count: i64, text: &str) -> Result<Value, String> {
    let pad = " ".repeat(width(count)?);
    let lines = text.matches('\n').count() + 1;
    if lines.saturating_mul(pad.len()) > OUTPUT_MAX {
        return Err("the result is too long".to_owned());
    }
    let body = text.replace('\n', &format!("\n{pad}"));
    bounded(format!("{}{pad}{body}", if newline { "\n" } else { "" }))
}

fn repeat(count: i64, text: &str) -> Result<Value, String> {
    let count = usize::try_from(count).map_err(|_| "negative count".to_owned())?;
    if count.saturating_mul(text.len()) > OUTPUT_MAX {
        return Err("the result is too long".to_owned());
    }
    bounded(text.repeat(count))
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// As Go's `url.QueryEscape`.
fn url_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// As Go's `url.QueryUnescape`.
fn url_decode(text: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = text.get(at..at + 2).ok_or("invalid URL escape")?;
                let value = u8::from_str_radix(digits, 16).map_err(|_| "invalid URL escape")?;
                out.push(value);
                at += 2;
            }
            _ => out.push(byte),
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn from_base64(text: &str) -> Result<String, String> {
    let bad = || "illegal base64 data".to_owned();
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut bits) = (0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return Err(bad()),
        };
        word = word << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    String::from_utf8(out).map_err(|_| bad())
}
