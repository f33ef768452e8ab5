//! What people type without knowing TraceQL, translated into it.
//!
//! The forms of the source documents (S7): `duration > 1s`, `operation="vm.export"`,
//! `error=true`, `tags.provider="vsphere" AND tags.vm_name="test-vm"`; and Jaeger's and
//! logfmt's `http.status_code=500 error=true`, where standing side by side means AND. All
//! conditions are on one span, as Jaeger's are. `AND` binds tighter than `OR`; the
//! translation puts parentheses, since TraceQL's `&&` and `||` bind equally.

use std::ops::Range;

use super::format::{attribute_name, quoted};
use super::lexer::{self, is_attribute_char};
use super::parse;
use crate::error::{Error, Result};
use crate::limits::{DEPTH_MAX, TEXT_MAX};

/// The TraceQL for a text in plain form; TraceQL itself is checked and returned as it is.
///
/// # Errors
/// Neither a plain form nor TraceQL, with the place in the text.
pub fn translate(text: &str) -> Result<String> {
    if text.len() > TEXT_MAX {
        return Err(Error::limit(format!(
            "the query has {} bytes, at most {TEXT_MAX} are read",
            text.len()
        )));
    }
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok("{ }".to_owned());
    }
    if is_traceql(trimmed) {
        parse(text)?;
        return Ok(trimmed.to_owned());
    }
    let mut words = Words { text, tokens: tokens(text)?, at: 0, depth: 0 };
    let condition = words.any()?;
    if words.at < words.tokens.len() {
        return Err(words.unexpected("AND, OR or another condition"));
    }
    let query = format!("{{ {} }}", condition.text);
    parse(&query)
        .map_err(|e| Error::bad(0..text.len(), format!("{} (translated to {query})", e.message)))?;
    Ok(query)
}

/// Plain forms have no braces and no pipeline functions.
fn is_traceql(text: &str) -> bool {
    let inner = text.trim_start_matches(|c: char| c == '(' || c.is_whitespace());
    let function = |name: &&str| {
        inner.strip_prefix(*name).is_some_and(|rest| rest.trim_start().starts_with('('))
    };
    let functions = ["count", "avg", "min", "max", "sum", "by", "select", "coalesce"];
    inner.starts_with('{') || functions.iter().any(function)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// `(` or `)`.
    Paren(char),
    /// `=`, `!=`, ….
    Op(&'static str),
    /// A key or an unquoted value.
    Word(String),
    /// A quoted value.
    Quoted(String),
}

/// Longest first.
const OPS: [(&str, &str); 10] = [
    ("==", "="),
    ("!=", "!="),
    ("=~", "=~"),
    ("!~", "!~"),
    (">=", ">="),
    ("<=", "<="),
    ("=", "="),
    (">", ">"),
    ("<", "<"),
    (":", "="),
];

fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let start = at;
        let token = match c {
            _ if c.is_whitespace() || c == ',' => {
                at += c.len_utf8();
                continue;
            }
            '(' | ')' => {
                at += 1;
                Token::Paren(c)
            }
            '"' | '\'' => quoted_value(text, c, &mut at)?,
            _ => match operator(rest, &out) {
                Some((written, op)) => {
                    at += written.len();
                    Token::Op(op)
                }
                None => word(rest, start, &mut at)?,
            },
        };
        out.push((token, start..at));
    }
    Ok(out)
}

/// `&&` and `||` are words here, so that they may stand for AND and OR.
fn operator(rest: &str, before: &[(Token, Range<usize>)]) -> Option<(&'static str, &'static str)> {
    let after_key = matches!(before.last(), Some((Token::Word(_), _)));
    OPS.into_iter().find(|(written, _)| rest.starts_with(written)).filter(|_| after_key)
}

fn quoted_value(text: &str, quote: char, at: &mut usize) -> Result<Token> {
    let start = *at;
    let mut out = String::new();
    let mut chars = text[start + 1..].char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            _ if c == quote => {
                *at = start + 1 + i + 1;
                return Ok(Token::Quoted(out));
            }
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 't')) => out.push('\t'),
                Some((_, escaped)) => out.push(escaped),
                None => break,
            },
            _ => out.push(c),
        }
    }
    Err(Error::bad(start..text.len(), format!("text without an end: close it with {quote}")))
}

fn word(rest: &str, start: usize, at: &mut usize) -> Result<Token> {
    for symbol in ["&&", "||", "!"] {
        if rest.starts_with(symbol) {
            *at += symbol.len();
            return Ok(Token::Word(symbol.to_owned()));
        }
    }
    let ends = |c: char| !is_attribute_char(c) || c == '"' || c == '\'' || c == ':';
    let mut end = rest.find(ends).unwrap_or(rest.len());
    // A colon belongs to what it stands in (span:id, a URL, a time) unless a value follows a key.
    while rest[end..].starts_with(':') && !rest[end + 1..].starts_with([' ', '"', '\'']) && end > 0
    {
        end += 1;
        end += rest[end..].find(ends).unwrap_or(rest.len() - end);
    }
    if end == 0 {
        let c = rest.chars().next().unwrap_or(' ');
        return Err(Error::bad(start..start + c.len_utf8(), format!("unexpected character {c:?}")));
    }
    *at += end;
    Ok(Token::Word(rest[..end].to_owned()))
}

struct Words<'a> {
    text: &'a str,
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    depth: usize,
}

/// A translated condition, and whether it needs parentheses within another.
struct Condition {
    text: String,
    compound: bool,
}

impl Condition {
    fn single(text: String) -> Self {
        Condition { text, compound: false }
    }

    fn wrapped(&self) -> String {
        if self.compound { format!("({})", self.text) } else { self.text.clone() }
    }
}

impl Words<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn span(&self) -> Range<usize> {
        self.tokens.get(self.at).map_or(self.text.len()..self.text.len(), |(_, span)| span.clone())
    }

    fn unexpected(&self, wanted: &str) -> Error {
        let span = self.span();
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(_) => format!("{:?}", &self.text[span.clone()]),
        };
        Error::bad(span, format!("unexpected {found}, expected {wanted}"))
    }

    /// Takes one of the words, in any case.
    fn take_word(&mut self, words: &[&str]) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(w)) if words.iter().any(|x| w.eq_ignore_ascii_case(x)));
        self.at += usize::from(found);
        found
    }

    fn any(&mut self) -> Result<Condition> {
        let mut terms = vec![self.all()?];
        while self.take_word(&["or", "||"]) {
            terms.push(self.all()?);
        }
        Ok(join(terms, " || "))
    }

    fn all(&mut self) -> Result<Condition> {
        let mut terms = vec![self.not()?];
        loop {
            let is_or = matches!(self.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case("or") || w == "||");
            let explicit = !is_or && self.take_word(&["and", "&&"]);
            let goes_on = matches!(self.peek(), Some(Token::Word(_) | Token::Paren('(')));
            if !explicit && (is_or || !goes_on) {
                return Ok(join(terms, " && "));
            }
            terms.push(self.not()?);
        }
    }

    fn not(&mut self) -> Result<Condition> {
        self.depth += 1;
        if self.depth > DEPTH_MAX / 2 {
            return Err(Error::bad(self.span(), "the conditions nest too deep"));
        }
        let condition = if self.take_word(&["not", "!"]) {
            let inner = self.not()?;
            Condition::single(format!("!({})", inner.text))
        } else if self.peek() == Some(&Token::Paren('(')) {
            self.at += 1;
            let inner = self.any()?;
            if self.peek() != Some(&Token::Paren(')')) {
                return Err(self.unexpected(")"));
            }
            self.at += 1;
            inner
        } else {
            self.condition()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn condition(&mut self) -> Result<Condition> {
        let key_span = self.span();
        let Some(Token::Word(key)) = self.peek().cloned() else {
            return Err(
                self.unexpected("a condition such as duration > 1s or http.status_code=500")
            );
        };
        self.at += 1;
        let Some(Token::Op(op)) = self.peek().cloned() else {
            return Err(self.unexpected("= or another comparison, and a value"));
        };
        self.at += 1;
        let value_span = self.span();
        let (value, is_quoted) = match self.peek().cloned() {
            Some(Token::Word(value)) => (value, false),
            Some(Token::Quoted(value)) => (value, true),
            _ => return Err(self.unexpected("a value")),
        };
        self.at += 1;
        translate_condition(&Plain {
            key: &key,
            op,
            value: &value,
            is_quoted,
            key_span,
            value_span,
        })
    }
}

fn join(mut terms: Vec<Condition>, with: &str) -> Condition {
    if terms.len() == 1 {
        return terms.remove(0);
    }
    let texts: Vec<String> = terms.iter().map(Condition::wrapped).collect();
    Condition { text: texts.join(with), compound: true }
}

struct Plain<'a> {
    key: &'a str,
    op: &'static str,
    value: &'a str,
    is_quoted: bool,
    key_span: Range<usize>,
    value_span: Range<usize>,
}

/// What a value of an intrinsic looks like.
enum Shape {
    Text,
    Duration,
    /// One of these words.
    Word(&'static [&'static str]),
}

const STATUSES: &[&str] = &["error", "ok", "unset"];
const KINDS: &[&str] = &["server", "client", "producer", "consumer", "internal", "unspecified"];

fn translate_condition(plain: &Plain<'_>) -> Result<Condition> {
    let (field, shape) = match plain.key {
        "error" => return error_condition(plain),
        "duration" => ("duration", Shape::Duration),
        "minDuration" | "min_duration" => return bound(plain, ">="),
        "maxDuration" | "max_duration" => return bound(plain, "<="),
        "traceDuration" | "trace:duration" => ("traceDuration", Shape::Duration),
        "operation" | "name" | "span.name" | "operationName" => ("name", Shape::Text),
        "service" | "serviceName" | "service.name" => ("resource.service.name", Shape::Text),
        "rootService" | "rootServiceName" => ("rootServiceName", Shape::Text),
        "rootName" => ("rootName", Shape::Text),
        "statusMessage" => ("statusMessage", Shape::Text),
        "status" | "otel.status_code" => ("status", Shape::Word(STATUSES)),
        "kind" | "span.kind" => ("kind", Shape::Word(KINDS)),
        "traceID" | "trace_id" | "traceId" | "trace:id" => ("trace:id", Shape::Text),
        "spanID" | "span_id" | "spanId" | "span:id" => ("span:id", Shape::Text),
        key => return attribute_condition(plain, &attribute(key)),
    };
    let value = match shape {
        Shape::Text => quoted(plain.value),
        Shape::Duration => duration(plain)?,
        Shape::Word(words) => {
            let lower = plain.value.to_ascii_lowercase();
            if !words.contains(&lower.as_str()) {
                return Err(Error::bad(
                    plain.value_span.clone(),
                    format!("{} is one of {}, not {}", plain.key, words.join(", "), plain.value),
                ));
            }
            lower
        }
    };
    Ok(Condition::single(format!("{field} {} {value}", plain.op)))
}

/// `error=true` asks for spans with error status, `error=false` for all others.
fn error_condition(plain: &Plain<'_>) -> Result<Condition> {
    let wanted = match plain.value {
        "true" | "1" => true,
        "false" | "0" => false,
        _ => {
            return Err(Error::bad(
                plain.value_span.clone(),
                "error is true or false; other text is asked with .error=\"…\"",
            ));
        }
    };
    let equal = match plain.op {
        "=" => true,
        "!=" => false,
        _ => return Err(Error::bad(plain.key_span.clone(), "error is asked with = or !=")),
    };
    Ok(Condition::single(format!("status {} error", if wanted == equal { "=" } else { "!=" })))
}

fn bound(plain: &Plain<'_>, op: &str) -> Result<Condition> {
    if plain.op != "=" {
        return Err(Error::bad(plain.key_span.clone(), format!("{} is given with =", plain.key)));
    }
    Ok(Condition::single(format!("duration {op} {}", duration(plain)?)))
}

fn duration(plain: &Plain<'_>) -> Result<String> {
    if lexer::parse_duration(plain.value).is_none() || plain.value.parse::<f64>().is_ok() {
        return Err(Error::bad(
            plain.value_span.clone(),
            format!("{} needs a time with its unit, such as 1s, 250ms or 1m30s", plain.key),
        ));
    }
    Ok(plain.value.to_owned())
}

/// `tags.x` and `x` are `.x`; scopes stay what they are.
fn attribute(key: &str) -> String {
    let scopes = [
        ("tags.", "."),
        ("tag.", "."),
        ("process.tags.", "resource."),
        ("resource.", "resource."),
        ("span.", "span."),
        ("event.", "event."),
        ("link.", "link."),
        ("instrumentation.", "instrumentation."),
        (".", "."),
    ];
    for (prefix, scope) in scopes {
        if let Some(name) = key.strip_prefix(prefix).filter(|name| !name.is_empty()) {
            return format!("{scope}{}", attribute_name(name));
        }
    }
    format!(".{}", attribute_name(key))
}

/// Unquoted numbers and truths are found under both types: the sender may have written
/// `500` or `"500"`, and whoever types `http.status_code=500` means both.
fn attribute_condition(plain: &Plain<'_>, field: &str) -> Result<Condition> {
    let (op, value) = (plain.op, plain.value);
    let text = format!("{field} {op} {}", quoted(value));
    let typed = value.parse::<i64>().is_ok()
        || matches!(value, "true" | "false")
        || (value.parse::<f64>().is_ok_and(f64::is_finite)
            && value.starts_with(|c: char| c.is_ascii_digit() || c == '-'));
    if value == "nil" && !plain.is_quoted {
        return Ok(Condition::single(format!("{field} {op} nil")));
    }
    if plain.is_quoted || !typed || matches!(op, "=~" | "!~") {
        return Ok(Condition::single(text));
    }
    let typed = format!("{field} {op} {value}");
    if !matches!(op, "=" | "!=") {
        return Ok(Condition::single(typed));
    }
    Ok(Condition { text: format!("{typed} || {text}"), compound: true })
}

#[cfg(test)]
mod tests;
