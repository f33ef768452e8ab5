//! JSON (RFC 8259), pulled value by value out of a borrowed text.
//!
//! The reader keeps no tree. It is strict: no comments, no trailing commas, no lone
//! surrogates. An [`Error`] gathers its path while the callers return.

use std::borrow::Cow;
use std::fmt;

/// How deep objects and arrays may nest. Twice the nesting of protobuf, because in JSON
/// each message may be an object within an array.
pub const NESTING_MAX: usize = 2 * crate::protobuf::NESTING_MAX as usize;

/// Characters of a key that an error shows. Keys of known fields are shorter.
const KEY_CHARACTERS_SHOWN_MAX: usize = 60;

/// Result of reading JSON.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub message: String,
    /// Where in the structure, e.g. `resourceSpans[0].scopeSpans[1]`; empty for the whole.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Error {
    /// Puts the name of a field in front of the path.
    #[must_use]
    pub fn in_field(mut self, name: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        let name: String = name.chars().take(KEY_CHARACTERS_SHOWN_MAX).collect();
        self.path = format!("{name}{separator}{}", self.path);
        self
    }

    /// Puts a place in an array in front of the path.
    #[must_use]
    pub fn at_index(mut self, index: usize) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{index}]{separator}{}", self.path);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{} (line {}, column {})", self.message, self.line, self.column)
    }
}

impl std::error::Error for Error {}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// A digit or a minus.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`
    Null,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Object => "an object",
            Kind::Array => "an array",
            Kind::String => "a string",
            Kind::Number => "a number",
            Kind::Bool => "a boolean",
            Kind::Null => "null",
        })
    }
}

/// Reads one text from front to back.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    text: &'a str,
    position: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// A reader of a text.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Reader { text, position: 0, depth: 0 }
    }

    /// A reader of bytes that should be UTF-8. A byte order mark is passed over.
    ///
    /// # Errors
    /// They are not.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Reader::new(text)),
            Err(error) => {
                let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                let reader = Reader::new(&valid);
                Err(reader.error_at(valid.len(), "text that is not UTF-8"))
            }
        }
    }

    /// An error about the value that comes next.
    #[must_use]
    pub fn error(&self, message: impl Into<String>) -> Error {
        self.error_at(self.position, message)
    }

    /// An error at a place that [`Reader::position`] gave.
    #[must_use]
    #[cold]
    pub fn error_at(&self, position: usize, message: impl Into<String>) -> Error {
        let before = self.text.get(..position).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Error {
            message: message.into(),
            path: String::new(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// Where the reader stands, in bytes.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The text from a place that [`Reader::position`] gave up to here.
    #[must_use]
    pub fn text_since(&self, position: usize) -> &'a str {
        self.text.get(position..self.position).unwrap_or_default()
    }

    /// What comes next, after white space.
    ///
    /// # Errors
    /// Nothing that JSON knows.
    pub fn peek(&mut self) -> Result<Kind> {
        self.skip_space();
        match self.byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("the text ends where a value should be")),
        }
    }

    fn expect(&mut self, expected: Kind) -> Result<()> {
        let got = self.peek()?;
        if got == expected {
            return Ok(());
        }
        Err(self.error(format!("expected {expected}, got {got}")))
    }

    /// Reads an object: `field` is called with each key and must read the value.
    ///
    /// # Errors
    /// Not an object, or what `field` returns.
    pub fn object(&mut self, mut field: impl FnMut(&mut Self, &str) -> Result<()>) -> Result<()> {
        self.expect(Kind::Object)?;
        self.enter()?;
        if !self.take(b'}') {
            loop {
                self.skip_space();
                if self.byte() != Some(b'"') {
                    return Err(self.error("expected a key in quotes"));
                }
                let key = self.string()?;
                if !self.take(b':') {
                    return Err(self.error("expected ':'"));
                }
                field(self, &key).map_err(|error| error.in_field(&key))?;
                if self.take(b'}') {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.error("expected ',' or '}'"));
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads an array: `item` is called for each value and must read it.
    ///
    /// # Errors
    /// Not an array, or what `item` returns.
    pub fn array(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.expect(Kind::Array)?;
        self.enter()?;
        if !self.take(b']') {
            for index in 0.. {
                item(self).map_err(|error| error.at_index(index))?;
                if self.take(b']') {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.error("expected ',' or ']'"));
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn enter(&mut self) -> Result<()> {
        if self.depth >= NESTING_MAX {
            return Err(self.error(format!("nested deeper than the limit of {NESTING_MAX}")));
        }
        self.depth += 1;
        self.position += 1;
        Ok(())
    }

    /// Reads a string.
    ///
    /// # Errors
    /// Not a string, or a wrong escape in it.
    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        self.expect(Kind::String)?;
        let start = self.position + 1;
        let rest = &self.text.as_bytes()[start..];
        match rest.iter().position(|&byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
            Some(length) if rest[length] == b'"' => {
                self.position = start + length + 1;
                Ok(Cow::Borrowed(&self.text[start..start + length]))
            }
            _ => self.escaped_string(start).map(Cow::Owned),
        }
    }

    fn escaped_string(&mut self, start: usize) -> Result<String> {
        let mut out = String::new();
        let mut position = start;
        loop {
            let rest = &self.text[position..];
            let plain = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
            let Some(length) = plain else {
                return Err(self.error("the string has no closing quote"));
            };
            out.push_str(&rest[..length]);
            position += length;
            match rest.as_bytes()[length] {
                b'"' => {
                    self.position = position + 1;
                    return Ok(out);
                }
                b'\\' => {
                    let (character, length) = self.escape(position)?;
                    out.push(character);
                    position += length;
                }
                _ => return Err(self.error_at(position, "a control character in a string")),
            }
        }
    }

    /// The character of the escape at `position`, and how many bytes it takes.
    fn escape(&self, position: usize) -> Result<(char, usize)> {
        let simple = match self.text.as_bytes().get(position + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(position),
            _ => return Err(self.error_at(position, "an unknown escape in a string")),
        };
        Ok((simple, 2))
    }

    fn unicode_escape(&self, position: usize) -> Result<(char, usize)> {
        let wrong = || self.error_at(position, "not a Unicode character in a \\u escape");
        let unit = |at: usize| -> Option<u32> {
            let digits = self.text.as_bytes().get(at..at + 6)?;
            let hex = digits.strip_prefix(b"\\u")?;
            hex.iter().try_fold(0, |sum, &digit| Some(sum * 16 + char::from(digit).to_digit(16)?))
        };
        let first = unit(position).ok_or_else(wrong)?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok((char::from_u32(first).ok_or_else(wrong)?, 6));
        }
        match unit(position + 6) {
            Some(second) if (0xdc00..0xe000).contains(&second) => {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                Ok((char::from_u32(code).ok_or_else(wrong)?, 12))
            }
            _ => Err(wrong()),
        }
    }

    /// Reads a number as it is written.
    ///
    /// # Errors
    /// Not a number.
    pub fn number(&mut self) -> Result<&'a str> {
        self.expect(Kind::Number)?;
        let start = self.position;
        let bytes = self.text.as_bytes();
        let digits = |from: usize| {
            let rest = bytes.get(from..).unwrap_or_default();
            rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let mut at = start + usize::from(bytes[start] == b'-');
        let whole = digits(at);
        let mut right = whole == 1 || whole > 1 && bytes[at] != b'0';
        at += whole;
        if bytes.get(at) == Some(&b'.') {
            let fraction = digits(at + 1);
            right &= fraction > 0;
            at += 1 + fraction;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let exponent = digits(at);
            right &= exponent > 0;
            at += exponent;
        }
        if !right {
            return Err(self.error("a number that is not written as JSON asks for"));
        }
        self.position = at;
        Ok(&self.text[start..at])
    }

    /// Reads `true` or `false`.
    ///
    /// # Errors
    /// Neither.
    pub fn bool(&mut self) -> Result<bool> {
        self.expect(Kind::Bool)?;
        if self.word("true") {
            Ok(true)
        } else if self.word("false") {
            Ok(false)
        } else {
            Err(self.error("expected true or false"))
        }
    }

    /// Reads `null`, if it is next.
    ///
    /// # Errors
    /// Nothing that JSON knows is next.
    pub fn null(&mut self) -> Result<bool> {
        if self.peek()? != Kind::Null {
            return Ok(false);
        }
        if self.word("null") {
            return Ok(true);
        }
        Err(self.error("expected null"))
    }

    /// Passes over a value of any kind.
    ///
    /// # Errors
    /// It is not valid JSON.
    pub fn skip(&mut self) -> Result<()> {
        match self.peek()? {
            Kind::Object => self.object(|reader, _| reader.skip()),
            Kind::Array => self.array(Self::skip),
            Kind::String => self.string().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::Bool => self.bool().map(drop),
            Kind::Null => self.null().map(drop),
        }
    }

    /// Says that nothing may follow.
    ///
    /// # Errors
    /// Something does.
    pub fn end(&mut self) -> Result<()> {
        self.skip_space();
        if self.position < self.text.len() {
            return Err(self.error("expected the end of the text"));
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.text[self.position..].starts_with(word);
        if found {
            self.position += word.len();
        }
        found
    }

    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.byte() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }
}

/// Appends a string in quotes.
pub fn write_string(text: &str, out: &mut String) {
    use std::fmt::Write as _;
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => {
                let _ = write!(out, "\\u{control:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests;
