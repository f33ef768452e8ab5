//! A small JSON reader: hands out the members of an object one by one, without building
//! a tree. Values stay slices of the input until somebody wants their text.

use std::borrow::Cow;

/// How deep a document may nest. Loki's own reader has no limit; a stack has.
const DEPTH_MAX: usize = 64;

/// One value, still in the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Json<'t> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number as written.
    Number(&'t str),
    /// A string between its quotes, escapes not yet resolved.
    Str(&'t str),
    /// An array, brackets included.
    Array(&'t str),
    /// An object, braces included.
    Object(&'t str),
}

impl<'t> Json<'t> {
    /// The value as label text: strings without quotes, everything else as written.
    pub(crate) fn text(self) -> Cow<'t, str> {
        match self {
            Json::Null => Cow::Borrowed(""),
            Json::Bool(true) => Cow::Borrowed("true"),
            Json::Bool(false) => Cow::Borrowed("false"),
            Json::Str(raw) => unescape(raw),
            Json::Number(raw) | Json::Array(raw) | Json::Object(raw) => Cow::Borrowed(raw),
        }
    }
}

/// Why a text is not JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Calls `member` for each key and value of the object that `text` starts with. What
/// follows the object is not looked at. `member` gets values in the order of the text and
/// may have been called before an error is found.
pub(crate) fn each_member<'t>(
    text: &'t str,
    member: &mut dyn FnMut(Cow<'t, str>, Json<'t>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_space();
    reader.expect(b'{', "expected a JSON object")?;
    reader.skip_space();
    if reader.take(b'}') {
        return Ok(());
    }
    loop {
        reader.skip_space();
        let key = reader.string()?;
        reader.skip_space();
        reader.expect(b':', "expected ':' after a key")?;
        let value = reader.value(1)?;
        member(unescape(key), value)?;
        reader.skip_space();
        if reader.take(b',') {
            continue;
        }
        return reader.expect(b'}', "expected ',' or '}' in an object");
    }
}

/// Calls `item` for each value of an array.
pub(crate) fn each_item<'t>(
    text: &'t str,
    item: &mut dyn FnMut(Json<'t>),
) -> Result<(), Malformed> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_space();
    reader.expect(b'[', "expected a JSON array")?;
    reader.skip_space();
    if reader.take(b']') {
        return Ok(());
    }
    loop {
        item(reader.value(1)?);
        reader.skip_space();
        if reader.take(b',') {
            continue;
        }
        return reader.expect(b']', "expected ',' or ']' in an array");
    }
}

/// Reads one value and requires that nothing follows it.
pub(crate) fn whole(text: &str) -> Result<Json<'_>, Malformed> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.skip_space();
    if reader.at == text.len() { Ok(value) } else { Err(Malformed("text after the value")) }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, why: &'static str) -> Result<(), Malformed> {
        if self.take(byte) { Ok(()) } else { Err(Malformed(why)) }
    }

    /// Reads a string and returns what is between the quotes.
    fn string(&mut self) -> Result<&'t str, Malformed> {
        self.expect(b'"', "expected a string")?;
        let start = self.at;
        loop {
            match self.peek() {
                None => return Err(Malformed("a string is not closed")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.text[start..self.at - 1]);
                }
                // Quote and backslash are ASCII, so `at` stays on a character boundary
                // wherever the text is sliced.
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json<'t>, Malformed> {
        if depth > DEPTH_MAX {
            return Err(Malformed("nested too deeply"));
        }
        self.skip_space();
        let start = self.at;
        match self.peek() {
            Some(b'"') => Ok(Json::Str(self.string()?)),
            Some(b'{') => {
                self.container(b'}', depth)?;
                Ok(Json::Object(&self.text[start..self.at]))
            }
            Some(b'[') => {
                self.container(b']', depth)?;
                Ok(Json::Array(&self.text[start..self.at]))
            }
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => {
                while matches!(self.peek(), Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
                    self.at += 1;
                }
                let number = &self.text[start..self.at];
                number
                    .parse::<f64>()
                    .map(|_| Json::Number(number))
                    .map_err(|_| Malformed("not a number"))
            }
            Some(_) => Err(Malformed("expected a value")),
            None => Err(Malformed("the text ends where a value should be")),
        }
    }

    fn word(&mut self, word: &'static str, value: Json<'t>) -> Result<Json<'t>, Malformed> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(Malformed("expected a value"))
        }
    }

    /// Reads to the end of an object or array.
    fn container(&mut self, close: u8, depth: usize) -> Result<(), Malformed> {
        self.at += 1;
        self.skip_space();
        if self.take(close) {
            return Ok(());
        }
        loop {
            if close == b'}' {
                self.skip_space();
                self.string()?;
                self.skip_space();
                self.expect(b':', "expected ':' after a key")?;
            }
            self.value(depth + 1)?;
            self.skip_space();
            if self.take(b',') {
                continue;
            }
            return self.expect(close, "expected ',' or the end of an object or array");
        }
    }
}

/// Resolves the escapes of a JSON string. An escape that means nothing is kept as it is.
pub(crate) fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else { break };
        rest = &rest[c.len_utf8()..];
        match c {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'u' => rest = unicode(rest, &mut out),
            '"' | '\\' | '/' => out.push(c),
            _ => {
                out.push('\\');
                out.push(c);
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn hex4(text: &str) -> Option<u32> {
    let digits = text.get(..4)?;
    digits
        .bytes()
        .all(|b| b.is_ascii_hexdigit())
        .then(|| u32::from_str_radix(digits, 16).unwrap_or(0xfffd))
}

/// Reads the digits after `\u`, and a second half of a surrogate pair if there is one.
fn unicode<'t>(rest: &'t str, out: &mut String) -> &'t str {
    let Some(first) = hex4(rest) else {
        out.push_str("\\u");
        return rest;
    };
    let after = &rest[4..];
    if (0xd800..0xdc00).contains(&first)
        && let Some(second) = after.strip_prefix("\\u").and_then(hex4)
        && (0xdc00..0xe000).contains(&second)
    {
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
        return &after[6..];
    }
    out.push(char::from_u32(first).unwrap_or('\u{fffd}'));
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> (Vec<(String, String)>, Option<&'static str>) {
        let mut found = Vec::new();
        let result = each_member(text, &mut |key, value| {
            found.push((key.into_owned(), value.text().into_owned()));
            Ok(())
        });
        (found, result.err().map(|e| e.0))
    }

    #[test]
    fn members_come_in_order_with_their_text() {
        let (found, error) = members(
            r#" {"a":"x\ny","b":1.5e3,"c":true,"d":null,"e":[1,{"k":2}],"f":{"g":"h"}} tail"#,
        );
        assert_eq!(error, None);
        let expected = [
            ("a", "x\ny"),
            ("b", "1.5e3"),
            ("c", "true"),
            ("d", ""),
            ("e", r#"[1,{"k":2}]"#),
            ("f", r#"{"g":"h"}"#),
        ];
        let found: Vec<_> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn malformed_text_is_refused() {
        for bad in
            ["", "x", "[1]", "{", r#"{"a"}"#, r#"{"a":}"#, r#"{"a":1"#, r#"{"a":"x}"#, r#"{a:1}"#]
        {
            assert!(members(bad).1.is_some(), "{bad}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(members(&deep).1, Some("nested too deeply"));
        assert_eq!(members("{\"a\":\"\\").1, Some("a string is not closed"));
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(r"a\u00e9\ud83d\ude00\ud800x\q\"), "aé😀\u{fffd}x\\q");
        assert_eq!(unescape(r"\u12"), "\\u12");
    }
}
