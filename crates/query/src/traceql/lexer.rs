//! TraceQL text to tokens.
//!
//! Two things depend on what stands before: after `.`, `span.`, `resource.`, … everything
//! up to a space or one of `{}()=~!<>&|^,` belongs to the attribute's name (so `span.a+b`
//! is one name), and quoted parts may hold any character. Source: Tempo, "Construct a
//! TraceQL query", and its grammar.

use std::ops::Range;

use super::ast::{Field, Intrinsic, Scope};
use crate::duration;
use crate::error::{Error, Result};

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// An operator or a bracket.
    Sym(&'static str),
    /// A word that is no field by itself.
    Word(String),
    /// A scoped attribute or a scoped intrinsic.
    Field(Field),
    /// A quoted text.
    Text(String),
    /// An integer.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    /// The end of the text.
    End,
}

/// Longest first, so that the first hit is the right one.
const SYMBOLS: [&str; 34] = [
    "!>>", "!<<", "&>>", "&<<", "&&", "||", "!=", "=~", "!~", ">=", "<=", ">>", "<<", "!>", "!<",
    "&>", "&<", "&~", "=", "!", ">", "<", "+", "-", "*", "/", "%", "^", "~", "|", "{", "}", "(",
    ")",
];

/// All tokens of a text with their places, [`Token::End`] last.
pub(crate) fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>> {
    let mut lexer = Lexer { text, at: 0 };
    let mut out = Vec::new();
    loop {
        lexer.skip_blank()?;
        let start = lexer.at;
        let token = lexer.next_token()?;
        let done = token == Token::End;
        out.push((token, start..lexer.at));
        if done {
            return Ok(out);
        }
    }
}

/// Whether a character can be part of an unquoted attribute name.
pub(crate) fn is_attribute_char(c: char) -> bool {
    !c.is_whitespace()
        && !matches!(c, '{' | '}' | '(' | ')' | '=' | '~' | '!' | '<' | '>' | '&' | '|' | '^' | ',')
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Spaces and comments (`// …`, `/* … */`).
    fn skip_blank(&mut self) -> Result<()> {
        loop {
            self.take_while(char::is_whitespace);
            if self.rest().starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if self.rest().starts_with("/*") {
                let Some(end) = self.rest().find("*/") else {
                    return Err(Error::bad(
                        self.at..self.text.len(),
                        "comment without an end: close it with */",
                    ));
                };
                self.at += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn next_token(&mut self) -> Result<Token> {
        let Some(c) = self.peek() else { return Ok(Token::End) };
        let second = self.rest()[c.len_utf8()..].chars().next();
        match c {
            '"' | '`' => self.quoted(c).map(Token::Text),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            '.' => {
                self.at += 1;
                self.attribute(Scope::Any, false).map(Token::Field)
            }
            _ if c.is_ascii_digit() => self.number(),
            _ if c.is_alphabetic() || c == '_' => self.word(),
            ',' => {
                self.at += 1;
                Ok(Token::Sym(","))
            }
            _ => self.symbol(c),
        }
    }

    fn symbol(&mut self, c: char) -> Result<Token> {
        let rest = self.rest();
        if rest.starts_with("==") {
            return Err(Error::bad(self.at..self.at + 2, "unknown operator ==: equality is ="));
        }
        if let Some(symbol) = SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
            self.at += symbol.len();
            return Ok(Token::Sym(symbol));
        }
        let hint = match c {
            '\'' => ": text stands in double quotes",
            '&' => ": the logical operator is &&",
            '[' | ']' => ": there are no lists in TraceQL",
            ';' => ": one query at a time",
            _ => "",
        };
        Err(Error::bad(
            self.at..self.at + c.len_utf8(),
            format!("unexpected character {c:?}{hint}"),
        ))
    }

    /// `"…"` with Go's escapes, or `` `…` `` as it stands.
    fn quoted(&mut self, quote: char) -> Result<String> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.peek() else {
                return Err(Error::bad(
                    start..self.at,
                    format!("text without an end: close it with {quote}"),
                ));
            };
            self.at += c.len_utf8();
            match c {
                _ if c == quote => return Ok(out),
                '\n' if quote == '"' => {
                    return Err(Error::bad(
                        start..self.at,
                        "text without an end on its line: close it with \", or use `…` for several lines",
                    ));
                }
                '\\' if quote == '"' => self.escape(&mut out)?,
                _ => out.push(c),
            }
        }
    }

    /// What stands after a backslash, as in a Go string.
    fn escape(&mut self, out: &mut String) -> Result<()> {
        let start = self.at - 1;
        let c = self.peek().unwrap_or('\0');
        self.at += if c == '\0' { 0 } else { c.len_utf8() };
        let digits = match c {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let simple = match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            '\\' | '"' => c,
            _ if digits > 0 => {
                let hex = self.rest().get(..digits).unwrap_or("");
                let code = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32);
                let Some(code) = code.filter(|_| hex.bytes().all(|b| b.is_ascii_hexdigit())) else {
                    return Err(Error::bad(
                        start..self.at,
                        format!("\\{c} needs {digits} hexadecimal digits of a character"),
                    ));
                };
                self.at += digits;
                code
            }
            _ => {
                return Err(Error::bad(
                    start..self.at,
                    format!(
                        "unknown escape \\{c}: write \\\\ for a backslash, or put the text in `…`"
                    ),
                ));
            }
        };
        out.push(simple);
        Ok(())
    }

    /// An integer, a float, or a duration (Prometheus's units or Go's).
    fn number(&mut self) -> Result<Token> {
        let start = self.at;
        let mut float = false;
        self.take_while(|c| c.is_ascii_digit());
        if self.peek() == Some('.') {
            float = true;
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit());
        }
        if let Some(exponent) = self.exponent() {
            float = true;
            self.at += exponent;
        }
        let number_end = self.at;
        self.take_while(|c| c.is_alphanumeric() || c == '.' || c == '_');
        let (number, all) = (&self.text[start..number_end], &self.text[start..self.at]);
        let span = start..self.at;
        if all.len() > number.len() {
            return parse_duration(all).map(Token::Duration).ok_or_else(|| {
                Error::bad(span, format!("{all:?} is neither a number nor a duration: units are ns, us, ms, s, m, h, d, w, y"))
            });
        }
        if float {
            let value = number.parse().ok().filter(|v: &f64| v.is_finite());
            return value
                .map(Token::Float)
                .ok_or_else(|| Error::bad(span, format!("{number} is not a number")));
        }
        let value = number.parse().map(Token::Int);
        value.map_err(|_| Error::bad(span, format!("{number} does not fit into a 64-bit integer")))
    }

    /// Length of `e5`, `E-3`, … if that stands here.
    fn exponent(&self) -> Option<usize> {
        let rest = self.rest().strip_prefix(['e', 'E'])?;
        let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        (count > 0).then(|| 1 + rest.len() - digits.len() + count)
    }

    fn word(&mut self) -> Result<Token> {
        let start = self.at;
        let word = self.take_while(|c| c.is_alphanumeric() || c == '_');
        let scope = match word {
            "span" => Scope::Span,
            "resource" => Scope::Resource,
            "event" => Scope::Event,
            "link" => Scope::Link,
            "instrumentation" => Scope::Instrumentation,
            "parent" | "trace" => Scope::Any,
            _ => return Ok(Token::Word(word.to_owned())),
        };
        match self.peek() {
            Some('.') if word == "parent" => {
                self.at += 1;
                self.parent_attribute().map(Token::Field)
            }
            Some('.') if word != "trace" => {
                self.at += 1;
                self.attribute(scope, false).map(Token::Field)
            }
            Some(':') if word != "parent" => {
                self.at += 1;
                let name = self.take_while(|c| c.is_alphanumeric() || c == '_');
                scoped_intrinsic(word, name).map(Token::Field).ok_or_else(|| {
                    Error::bad(
                        start..self.at,
                        format!(
                            "unknown intrinsic {word}:{name}: {word}: has {}",
                            known_intrinsics(word)
                        ),
                    )
                })
            }
            _ => Ok(Token::Word(word.to_owned())),
        }
    }

    fn parent_attribute(&mut self) -> Result<Field> {
        for (prefix, scope) in [("span.", Scope::Span), ("resource.", Scope::Resource)] {
            if self.rest().starts_with(prefix) {
                self.at += prefix.len();
                return self.attribute(scope, true);
            }
        }
        self.attribute(Scope::Any, true)
    }

    fn attribute(&mut self, scope: Scope, parent: bool) -> Result<Field> {
        let start = self.at;
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if c == '"' {
                self.quoted_part(&mut name)?;
            } else if is_attribute_char(c) {
                name.push(c);
                self.at += c.len_utf8();
            } else {
                break;
            }
        }
        if name.is_empty() {
            return Err(Error::bad(start..self.at, "an attribute name must follow the point"));
        }
        Ok(Field::Attribute { scope, parent, name })
    }

    /// A quoted part of an attribute's name; only `\"` and `\\` are escapes there.
    fn quoted_part(&mut self, name: &mut String) -> Result<()> {
        let start = self.at;
        self.at += 1;
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(()),
                '\\' => match self.peek() {
                    Some(escaped @ ('"' | '\\')) => {
                        name.push(escaped);
                        self.at += 1;
                    }
                    _ => {
                        return Err(Error::bad(
                            self.at - 1..self.at,
                            "in an attribute name only \\\" and \\\\ are escapes",
                        ));
                    }
                },
                _ => name.push(c),
            }
        }
        Err(Error::bad(start..self.at, "attribute name without an end: close it with \""))
    }
}

/// A duration in Prometheus's form (`1d12h`), else in Go's (`1.5s`, `100us`).
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    match duration::parse_prometheus_ms(text) {
        Some(ms) => ms.checked_mul(1_000_000),
        None => duration::parse_go_ns(text),
    }
}

fn scoped_intrinsic(scope: &str, name: &str) -> Option<Field> {
    let found = match (scope, name) {
        ("span", "duration") => Intrinsic::Duration,
        ("span", "name") => Intrinsic::Name,
        ("span", "kind") => Intrinsic::Kind,
        ("span", "status") => Intrinsic::Status,
        ("span", "statusMessage") => Intrinsic::StatusMessage,
        ("span", "id") => Intrinsic::SpanId,
        ("span", "parentID") => Intrinsic::ParentId,
        ("span", "childCount") => Intrinsic::ChildCount,
        ("trace", "duration") => Intrinsic::TraceDuration,
        ("trace", "rootName") => Intrinsic::RootName,
        ("trace", "rootService") => Intrinsic::RootService,
        ("trace", "id") => Intrinsic::TraceId,
        ("event", "name") => Intrinsic::EventName,
        ("event", "timeSinceStart") => Intrinsic::EventTimeSinceStart,
        ("link", "traceID") => Intrinsic::LinkTraceId,
        ("link", "spanID") => Intrinsic::LinkSpanId,
        ("instrumentation", "name") => Intrinsic::InstrumentationName,
        ("instrumentation", "version") => Intrinsic::InstrumentationVersion,
        _ => return None,
    };
    Some(Field::Intrinsic(found))
}

fn known_intrinsics(scope: &str) -> &'static str {
    match scope {
        "span" => "duration, name, kind, status, statusMessage, id, parentID, childCount",
        "trace" => "duration, rootName, rootService, id",
        "event" => "name, timeSinceStart",
        "link" => "traceID, spanID",
        "instrumentation" => "name, version",
        _ => "no intrinsics, only attributes",
    }
}

/// The intrinsics that are written without a scope.
pub(crate) fn bare_intrinsic(word: &str) -> Option<Intrinsic> {
    Some(match word {
        "duration" => Intrinsic::Duration,
        "name" => Intrinsic::Name,
        "status" => Intrinsic::Status,
        "statusMessage" => Intrinsic::StatusMessage,
        "kind" => Intrinsic::Kind,
        "childCount" => Intrinsic::ChildCount,
        "rootName" => Intrinsic::RootName,
        "rootServiceName" => Intrinsic::RootService,
        "traceDuration" => Intrinsic::TraceDuration,
        "nestedSetLeft" => Intrinsic::NestedSetLeft,
        "nestedSetRight" => Intrinsic::NestedSetRight,
        "nestedSetParent" => Intrinsic::NestedSetParent,
        _ => return None,
    })
}
