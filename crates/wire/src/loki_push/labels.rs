use std::borrow::Cow;
use std::fmt;

/// Labels that one stream may have. Loki's default is 15 and few raise it far.
pub const LABELS_MAX: usize = 128;

/// Why the labels of a stream were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelError {
    /// Bytes from the start of the text.
    pub offset: usize,
    /// What is wrong.
    pub message: &'static str,
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "labels: {} at byte {}", self.message, self.offset)
    }
}

impl std::error::Error for LabelError {}

/// Name and value.
type Pair<'a> = (&'a str, Cow<'a, str>);

/// Parses labels as a selector of equalities: `{app="shop", level="info"}`. Values are
/// quoted as in Go, with `"` and escapes or with backquotes.
///
/// # Errors
/// The text is something else, a name comes twice, or there are too many.
pub fn parse_labels(text: &str) -> Result<Vec<Pair<'_>>, LabelError> {
    let mut cursor = Cursor { text, position: 0 };
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    cursor.expect('{', "expected '{'")?;
    while !cursor.take('}') {
        if !pairs.is_empty() {
            cursor.expect(',', "expected ',' or '}'")?;
            if cursor.take('}') {
                break;
            }
        }
        cursor.skip_blanks();
        let at = cursor.position;
        let name = cursor.name()?;
        if pairs.iter().any(|(other, _)| *other == name) {
            return Err(LabelError { offset: at, message: "the same name comes twice" });
        }
        if pairs.len() == LABELS_MAX {
            return Err(LabelError { offset: at, message: "more than 128 labels" });
        }
        cursor.expect('=', "expected '='")?;
        cursor.skip_blanks();
        pairs.push((name, cursor.value()?));
    }
    cursor.skip_blanks();
    match cursor.rest().is_empty() {
        true => Ok(pairs),
        false => Err(cursor.error("expected the end behind '}'")),
    }
}

struct Cursor<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn error(&self, message: &'static str) -> LabelError {
        LabelError { offset: self.position, message }
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_ascii_start().len();
    }

    fn take(&mut self, character: char) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(character);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, character: char, message: &'static str) -> Result<(), LabelError> {
        if self.take(character) { Ok(()) } else { Err(self.error(message)) }
    }

    fn name(&mut self) -> Result<&'a str, LabelError> {
        let length = name_length(self.rest());
        if length == 0 {
            return Err(self.error("expected a label name"));
        }
        let name = &self.rest()[..length];
        self.position += length;
        Ok(name)
    }

    fn value(&mut self) -> Result<Cow<'a, str>, LabelError> {
        let start = self.position;
        let unclosed = LabelError { offset: start, message: "the value has no closing quote" };
        if let Some(raw) = self.rest().strip_prefix('`') {
            let length = raw.find('`').ok_or(unclosed)?;
            self.position += length + 2;
            return Ok(Cow::Borrowed(&raw[..length]));
        }
        let Some(quoted) = self.rest().strip_prefix('"') else {
            return Err(self.error("expected a value in quotes"));
        };
        if let Some(length) = quoted.find(['"', '\\', '\n'])
            && quoted.as_bytes()[length] == b'"'
        {
            self.position += length + 2;
            return Ok(Cow::Borrowed(&quoted[..length]));
        }
        self.position += 1;
        let mut out = Vec::new();
        loop {
            let at = self.position;
            match self.rest().bytes().next() {
                None | Some(b'\n') => return Err(unclosed),
                Some(b'"') => break,
                Some(b'\\') => self.escape(&mut out)?,
                Some(byte) => {
                    // Bytes of a longer character follow one after the other.
                    out.push(byte);
                    self.position = at + 1;
                    while !self.text.is_char_boundary(self.position) {
                        out.push(self.text.as_bytes()[self.position]);
                        self.position += 1;
                    }
                }
            }
        }
        self.position += 1;
        let not_utf8 = |_| LabelError { offset: start, message: "the value is not UTF-8" };
        String::from_utf8(out).map(Cow::Owned).map_err(not_utf8)
    }

    /// Escapes of Go: `\n` and the like, `\x41`, `\101`, `\u00e9`, `\U0001f600`.
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), LabelError> {
        let wrong = self.error("an unknown escape");
        let rest = &self.rest().as_bytes()[1..];
        let digits = |from: usize, count: usize, radix: u32| -> Option<u32> {
            let digits = rest.get(from..from + count)?;
            digits
                .iter()
                .try_fold(0, |sum, &digit| Some(sum * radix + char::from(digit).to_digit(radix)?))
        };
        let mut character = |code: Option<u32>| -> Option<()> {
            let character = char::from_u32(code?)?;
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            Some(())
        };
        let length = match rest.first() {
            Some(b'u') => character(digits(1, 4, 16)).map(|()| 6),
            Some(b'U') => character(digits(1, 8, 16)).map(|()| 10),
            Some(b'x') => digits(1, 2, 16).map(|byte| (out.push(byte as u8), 4).1),
            Some(b'0'..=b'7') => {
                let byte = digits(0, 3, 8).and_then(|code| u8::try_from(code).ok());
                byte.map(|byte| (out.push(byte), 4).1)
            }
            Some(&simple) => {
                let at = b"abfnrtv\\\"".iter().position(|&known| known == simple);
                at.map(|at| (out.push(b"\x07\x08\x0c\n\r\t\x0b\\\""[at]), 2).1)
            }
            None => None,
        };
        self.position += length.ok_or(wrong)?;
        Ok(())
    }
}

/// Bytes of the label name that a text begins with.
pub(super) fn name_length(text: &str) -> usize {
    let is_name = |(at, byte): &(usize, u8)| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => true,
        b'0'..=b'9' => *at > 0,
        _ => false,
    };
    text.bytes().enumerate().take_while(is_name).count()
}
