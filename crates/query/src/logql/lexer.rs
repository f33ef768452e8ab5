//! Text to tokens.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::logql::units::{parse_bytes, query_duration_ns};

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    /// A name or a word of the language.
    Ident(String),
    /// A quoted string, escapes resolved.
    Text(String),
    /// A number.
    Number(f64),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A size in bytes.
    Bytes(u64),
    /// A parser flag with its dashes, e.g. `--strict`.
    Flag(String),
    /// An operator or a bracket.
    Sign(&'static str),
    /// The end of the text.
    End,
}

/// A token and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: TokenKind,
    /// Byte range in the text.
    pub(crate) span: Range<usize>,
}

/// Longest first, so that `|=` is not read as `|` and `=`.
const SIGNS: [&str; 29] = [
    "==", "=~", "!=", "!~", "!>", "|=", "|~", "|>", ">=", "<=", "{", "}", "(", ")", "[", "]", ",",
    ".", "=", "|", ">", "<", "+", "-", "*", "/", "%", "^", ":",
];

/// Splits the whole text. The last token is [`TokenKind::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        at = skip_blank(text, at);
        let Some(first) = text[at..].chars().next() else {
            out.push(Token { kind: TokenKind::End, span: at..at });
            return Ok(out);
        };
        let (kind, end) = match first {
            '"' => quoted(text, at)?,
            '`' => raw(text, at)?,
            '\'' => {
                return Err(Error::bad(
                    at..at + 1,
                    "strings stand between double quotes or backticks, not single quotes",
                ));
            }
            'a'..='z' | 'A'..='Z' | '_' => word(text, at),
            '0'..='9' => number(text, at)?,
            '.' if text[at + 1..].starts_with(|c: char| c.is_ascii_digit()) => number(text, at)?,
            '-' if flag_follows(&text[at..]) => flag(text, at),
            _ => sign(text, at, first)?,
        };
        out.push(Token { kind, span: at..end });
        at = end;
    }
}

fn skip_blank(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        if !trimmed.starts_with('#') {
            return at;
        }
        at += trimmed.find('\n').unwrap_or(trimmed.len());
    }
}

fn word(text: &str, at: usize) -> (TokenKind, usize) {
    let end = text[at..]
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .map_or(text.len(), |n| at + n);
    (TokenKind::Ident(text[at..end].to_owned()), end)
}

fn flag_follows(rest: &str) -> bool {
    rest.strip_prefix("--").is_some_and(|r| r.starts_with(|c: char| c.is_ascii_lowercase()))
}

fn flag(text: &str, at: usize) -> (TokenKind, usize) {
    let end = text[at..]
        .find(|c: char| !(c.is_ascii_lowercase() || c == '-'))
        .map_or(text.len(), |n| at + n);
    (TokenKind::Flag(text[at..end].to_owned()), end)
}

fn sign(text: &str, at: usize, first: char) -> Result<(TokenKind, usize)> {
    match SIGNS.iter().find(|sign| text[at..].starts_with(**sign)) {
        Some(sign) => Ok((TokenKind::Sign(sign), at + sign.len())),
        None => {
            Err(Error::bad(at..at + first.len_utf8(), format!("unexpected character {first:?}")))
        }
    }
}

/// A number, or a duration or size if a unit follows it.
fn number(text: &str, at: usize) -> Result<(TokenKind, usize)> {
    let rest = &text[at..];
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | 'µ' | 'μ')))
        .unwrap_or(rest.len());
    // `1e-5`: the sign belongs to the exponent.
    let end = match rest[..end].strip_suffix(['e', 'E']) {
        Some(mantissa)
            if mantissa.parse::<f64>().is_ok() && rest[end..].starts_with(['+', '-']) =>
        {
            let digits = rest[end + 1..].bytes().take_while(u8::is_ascii_digit).count();
            end + 1 + digits
        }
        _ => end,
    };
    let word = &rest[..end];
    let kind = if let Some(value) = plain_number(word) {
        TokenKind::Number(value)
    } else if let Some(ns) = query_duration_ns(word) {
        TokenKind::Duration(ns)
    } else if let Some(bytes) = parse_bytes(word) {
        TokenKind::Bytes(bytes)
    } else {
        return Err(Error::bad(
            at..at + end,
            format!("{word:?} is neither a number nor a duration (5m, 1.5s) nor a size (10KB)"),
        ));
    };
    Ok((kind, at + end))
}

fn plain_number(word: &str) -> Option<f64> {
    if let Some(digits) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16).ok().map(|n| n as f64);
    }
    // Rust also reads "inf" and "nan", which cannot get here: a digit or dot comes first.
    // A number too large for 64 bits is none: it would print as a word.
    word.parse().ok().filter(|value: &f64| value.is_finite())
}

fn raw(text: &str, at: usize) -> Result<(TokenKind, usize)> {
    match text[at + 1..].find('`') {
        Some(len) => {
            let end = at + 1 + len;
            Ok((TokenKind::Text(text[at + 1..end].replace('\r', "")), end + 1))
        }
        None => Err(Error::bad(at..text.len(), "a backtick string is not closed")),
    }
}

fn quoted(text: &str, at: usize) -> Result<(TokenKind, usize)> {
    let mut out = String::new();
    let mut chars = text[at + 1..].char_indices();
    while let Some((offset, c)) = chars.next() {
        let here = at + 1 + offset;
        match c {
            '"' => return Ok((TokenKind::Text(out), here + 1)),
            '\n' => break,
            '\\' => {
                let rest = &text[here + 1..];
                let (value, len) = escape(rest).ok_or_else(|| {
                    // The character behind the backslash may be longer than a byte.
                    let width = rest.chars().next().map_or(0, char::len_utf8);
                    Error::bad(
                        here..here + 1 + width,
                        "unknown escape in a string; write \\\\ for a backslash, or use backticks",
                    )
                })?;
                out.push(value);
                // `len` counts bytes of ASCII escapes only, so it counts characters as well.
                for _ in 0..len {
                    chars.next();
                }
            }
            _ => out.push(c),
        }
    }
    Err(Error::bad(at..text.len(), "a string is not closed"))
}

/// One escape of a Go string, without its backslash: the character and the bytes it took.
fn escape(rest: &str) -> Option<(char, usize)> {
    let simple = |c| Some((c, 1));
    match rest.bytes().next()? {
        b'n' => simple('\n'),
        b't' => simple('\t'),
        b'r' => simple('\r'),
        b'a' => simple('\u{7}'),
        b'b' => simple('\u{8}'),
        b'f' => simple('\u{c}'),
        b'v' => simple('\u{b}'),
        b'\\' => simple('\\'),
        b'"' => simple('"'),
        b'\'' => simple('\''),
        b'x' => hex(rest, 2),
        b'u' => hex(rest, 4),
        b'U' => hex(rest, 8),
        b'0'..=b'7' => {
            let code = u32::from_str_radix(rest.get(..3)?, 8).ok()?;
            (code < 256).then_some(())?;
            Some((char::from_u32(code)?, 3))
        }
        _ => None,
    }
}

fn hex(rest: &str, digits: usize) -> Option<(char, usize)> {
    let text = rest.get(1..1 + digits)?;
    let code = u32::from_str_radix(text, 16).ok()?;
    Some((char::from_u32(code)?, 1 + digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        tokens(text).expect(text).into_iter().map(|t| t.kind).collect()
    }

    #[test]
    fn splits() {
        use TokenKind::{Bytes, Duration, End, Flag, Ident, Number, Sign, Text};
        let cases = [
            (
                "{a=\"b\"}",
                vec![Sign("{"), Ident("a".into()), Sign("="), Text("b".into()), Sign("}")],
            ),
            ("|= `a\\b`", vec![Sign("|="), Text("a\\b".into())]),
            ("[1h30m]", vec![Sign("["), Duration(5_400_000_000_000), Sign("]")]),
            (
                "1.5s 20KB 1e-3 0x10 .5 5d",
                vec![
                    Duration(1_500_000_000),
                    Bytes(20_000),
                    Number(0.001),
                    Number(16.0),
                    Number(0.5),
                    Duration(432_000_000_000_000),
                ],
            ),
            ("logfmt --keep-empty", vec![Ident("logfmt".into()), Flag("--keep-empty".into())]),
            ("1--2", vec![Number(1.0), Sign("-"), Sign("-"), Number(2.0)]),
            ("a # rest {\n !> b", vec![Ident("a".into()), Sign("!>"), Ident("b".into())]),
            (r#""\"\\\n\x41\u00e9""#, vec![Text("\"\\\nAé".into())]),
        ];
        for (text, mut expected) in cases {
            expected.push(End);
            assert_eq!(kinds(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_with_a_place() {
        let cases =
            [("{a='b'}", 3), ("\"abc", 0), ("`abc", 0), ("\"a\\q\"", 2), ("1x", 0), ("a ; b", 2)];
        for (text, at) in cases {
            assert_eq!(tokens(text).expect_err(text).span.start, at, "{text}");
        }
    }
}
