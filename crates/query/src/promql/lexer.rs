//! Text to tokens. Keywords are left to the parser, which knows where one may also be a
//! metric or label name.

use std::ops::Range;

use crate::duration::parse_prometheus_ms;
use crate::error::{Error, Result};

/// One token with its bytes in the text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Tok,
    /// Where it is.
    pub(crate) span: Range<usize>,
}

/// Kinds of tokens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tok {
    /// A word of letters, digits and underscores.
    Ident,
    /// A word with a colon in it: only a metric's name may have one.
    MetricIdent,
    /// A number.
    Number(f64),
    /// A duration such as `1h30m`, in milliseconds.
    Duration(i64),
    /// A quoted string, unescaped. `"\xff"` may make it something else than UTF-8.
    Str(Vec<u8>),
    /// An operator or a bracket, as written.
    Op(&'static str),
    /// The end of the text.
    End,
}

/// Longest first, so that `==` is not read as `=` twice.
const OPERATORS: [&str; 27] = [
    "==", "!=", "=~", "!~", ">=", "<=", "</", ">/", "+", "-", "*", "/", "%", "^", "=", ">", "<",
    "(", ")", "{", "}", "[", "]", ",", ":", "@", "!",
];

/// Splits a text into tokens; the last one is [`Tok::End`].
pub(crate) fn tokenize(text: &str) -> Result<Vec<Token>> {
    let mut lexer = Lexer { text, at: 0, in_range: 0 };
    let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
    loop {
        lexer.skip_space();
        let start = lexer.at;
        let kind = lexer.next()?;
        let end = kind == Tok::End;
        tokens.push(Token { kind, span: start..lexer.at });
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Depth of square brackets: inside them a colon separates range and step.
    in_range: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &[u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let space = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
            self.at += space;
            if self.rest().first() != Some(&b'#') {
                return;
            }
            self.at += self.rest().iter().take_while(|b| **b != b'\n').count();
        }
    }

    fn next(&mut self) -> Result<Tok> {
        let rest = self.rest();
        let Some(&first) = rest.first() else {
            return Ok(Tok::End);
        };
        let second = rest.get(1).copied().unwrap_or(b' ');
        match first {
            b'0'..=b'9' => self.number(),
            b'.' if second.is_ascii_digit() => self.number(),
            b'"' | b'\'' | b'`' => self.string(first),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Ok(self.word()),
            b':' if self.in_range == 0 && (second.is_ascii_alphabetic() || second == b'_') => {
                Ok(self.word())
            }
            _ => self.operator(),
        }
    }

    fn word(&mut self) -> Tok {
        let colon = self.in_range == 0;
        let mut kind = Tok::Ident;
        let mut len = 0;
        for &b in self.rest() {
            match b {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => {}
                b':' if colon => kind = Tok::MetricIdent,
                _ => break,
            }
            len += 1;
        }
        self.at += len;
        kind
    }

    fn operator(&mut self) -> Result<Tok> {
        let rest = self.rest();
        let Some(op) = OPERATORS.iter().find(|op| rest.starts_with(op.as_bytes())) else {
            let c = self.text[self.at..].chars().next().unwrap_or(' ');
            let span = self.at..self.at + c.len_utf8();
            return Err(Error::bad(span, format!("unexpected character: {c:?}")));
        };
        match *op {
            "[" => self.in_range += 1,
            "]" => self.in_range = self.in_range.saturating_sub(1),
            "!" => {
                let after = self.text[self.at + 1..].chars().next();
                let what = after.map_or("end of input".to_owned(), |c| format!("{c:?}"));
                return Err(Error::bad(
                    self.at..self.at + 1,
                    format!("unexpected character after '!': {what}"),
                ));
            }
            _ => {}
        }
        self.at += op.len();
        Ok(Tok::Op(op))
    }

    fn number(&mut self) -> Result<Tok> {
        let start = self.at;
        let rest = self.rest();
        let hex = rest.len() > 2 && rest[0] == b'0' && matches!(rest[1], b'x' | b'X');
        let len = if hex {
            2 + rest[2..].iter().take_while(|b| b.is_ascii_hexdigit() || **b == b'_').count()
        } else {
            decimal_len(rest)
        };
        // Whatever letters follow belong to it: `5m` is a duration, `5x` is a mistake.
        let word = len
            + rest[len..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        self.at += word;
        let text = &self.text[start..self.at];
        if word > len {
            return match parse_prometheus_ms(text) {
                // Beyond this, seconds as a float no longer tell milliseconds apart.
                Some(ms) if ms <= 1_000_000_000_000_000 => Ok(Tok::Duration(ms)),
                _ => Err(bad_number(start..self.at, text)),
            };
        }
        let digits: String = text.chars().filter(|c| *c != '_').collect();
        let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hex) => u64::from_str_radix(hex, 16).ok().map(|n| n as f64),
            None => digits.parse::<f64>().ok(),
        };
        value.map(Tok::Number).ok_or_else(|| bad_number(start..self.at, text))
    }

    fn string(&mut self, quote: u8) -> Result<Tok> {
        let start = self.at;
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let Some(&b) = self.rest().first() else {
                return Err(Error::bad(
                    start..self.at,
                    if quote == b'`' {
                        "unterminated raw string"
                    } else {
                        "unterminated quoted string"
                    },
                ));
            };
            self.at += 1;
            match b {
                _ if b == quote => return Ok(Tok::Str(out)),
                b'\n' if quote != b'`' => {
                    return Err(Error::bad(start..self.at, "unterminated quoted string"));
                }
                b'\\' if quote != b'`' => self.escape(quote, &mut out)?,
                _ => out.push(b),
            }
        }
    }

    /// Go's escapes: `\a \b \f \n \r \t \v \\ \' \"`, `\ooo`, `\xhh`, `\uhhhh`, `\Uhhhhhhhh`.
    fn escape(&mut self, quote: u8, out: &mut Vec<u8>) -> Result<()> {
        let start = self.at - 1;
        let text = self.text;
        let bad = |end: usize| {
            let end = (end..=text.len()).find(|at| text.is_char_boundary(*at));
            Error::bad(
                start..end.unwrap_or(text.len()),
                "unknown escape sequence in string: write \\\\ for a backslash",
            )
        };
        let Some(&b) = self.rest().first() else {
            return Err(Error::bad(start..self.at, "escape sequence not terminated"));
        };
        self.at += 1;
        let (digits, radix) = match b {
            b'a' => return push(out, 7),
            b'b' => return push(out, 8),
            b'f' => return push(out, 12),
            b'n' => return push(out, b'\n'),
            b'r' => return push(out, b'\r'),
            b't' => return push(out, b'\t'),
            b'v' => return push(out, 11),
            b'\\' => return push(out, b'\\'),
            _ if b == quote => return push(out, quote),
            b'0'..=b'7' => {
                self.at -= 1;
                (3, 8)
            }
            b'x' => (2, 16),
            b'u' => (4, 16),
            b'U' => (8, 16),
            _ => return Err(bad(self.at)),
        };
        let hex = self.text.get(self.at..self.at + digits).ok_or_else(|| bad(self.at))?;
        // Rust would take a sign as well.
        let code = Some(hex).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = code.and_then(|hex| u32::from_str_radix(hex, radix).ok());
        let code = code.ok_or_else(|| bad(self.at + digits))?;
        self.at += digits;
        if digits <= 3 {
            let byte = u8::try_from(code).map_err(|_| bad(self.at))?;
            return push(out, byte);
        }
        let c = char::from_u32(code)
            .ok_or_else(|| Error::bad(start..self.at, "escape sequence is no Unicode character"))?;
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }
}

fn push(out: &mut Vec<u8>, byte: u8) -> Result<()> {
    out.push(byte);
    Ok(())
}

fn bad_number(span: Range<usize>, text: &str) -> Error {
    Error::bad(span, format!("bad number or duration syntax: {text:?}"))
}

/// Length of digits, fraction and exponent at the start.
fn decimal_len(rest: &[u8]) -> usize {
    let digits =
        |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit() || **b == b'_').count();
    let mut len = digits(0);
    if rest.get(len) == Some(&b'.') {
        len += 1;
        len += digits(len);
    }
    if matches!(rest.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(len + 1), Some(b'+' | b'-')));
        let exponent = rest
            .get(len + 1 + sign..)
            .map_or(0, |r| r.iter().take_while(|b| b.is_ascii_digit()).count());
        if exponent > 0 {
            len += 1 + sign + exponent;
        }
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Tok> {
        let mut kinds: Vec<Tok> =
            tokenize(text).expect(text).into_iter().map(|token| token.kind).collect();
        kinds.pop();
        kinds
    }

    #[test]
    fn numbers_and_durations() {
        for (text, value) in [
            ("1", 1.0),
            ("1.5e3", 1500.0),
            (".5", 0.5),
            ("2.", 2.0),
            ("0x1F", 31.0),
            ("1_000", 1000.0),
            ("12.34e-6", 12.34e-6),
        ] {
            assert_eq!(kinds(text), [Tok::Number(value)], "{text}");
        }
        assert_eq!(kinds("1h30m"), [Tok::Duration(5_400_000)]);
        assert_eq!(kinds("5ms"), [Tok::Duration(5)]);
        for bad in ["5x", "1m1h", "0x", "1e5m", "5m3"] {
            assert!(tokenize(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn colons_are_names_outside_and_separators_inside_brackets() {
        assert_eq!(kinds("a:b"), [Tok::MetricIdent]);
        assert_eq!(
            kinds("[step():1m]"),
            [
                Tok::Op("["),
                Tok::Ident,
                Tok::Op("("),
                Tok::Op(")"),
                Tok::Op(":"),
                Tok::Duration(60_000),
                Tok::Op("]")
            ]
        );
    }

    #[test]
    fn strings() {
        for (text, value) in [
            (r#""a\n\"b""#, "a\n\"b"),
            (r"'it\'s'", "it's"),
            (r"`raw\n`", r"raw\n"),
            (r#""\u00e9\x41\101""#, "éAA"),
        ] {
            assert_eq!(kinds(text), [Tok::Str(value.as_bytes().to_vec())], "{text}");
        }
        for bad in ["\"a", "'a\n'", "`a", r#""\q""#, r#""\xZZ""#, r#""\ud800""#, "\"\\"] {
            assert!(tokenize(bad).is_err(), "{bad}");
        }
    }
}
