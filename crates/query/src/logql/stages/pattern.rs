//! ``| pattern `<ip> - <_>` `` and the patterns of `|>` and `!>`.
//!
//! Source: Loki, "Log queries: Pattern".

use std::borrow::Cow;

use crate::logql::row::Row;

/// How many pieces a pattern may have.
const PIECES_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Capture(String),
}

/// Splits a pattern; `<name>` and `<_>` are captures, everything else stands for itself.
fn pieces(pattern: &str) -> Result<Vec<Piece>, String> {
    let mut out: Vec<Piece> = Vec::new();
    let mut literal = String::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if let Some((name, after)) = capture(rest) {
            if !literal.is_empty() {
                out.push(Piece::Literal(std::mem::take(&mut literal)));
            } else if matches!(out.last(), Some(Piece::Capture(_))) {
                return Err(format!("pattern {pattern:?} has two captures without text between"));
            }
            out.push(Piece::Capture(name.to_owned()));
            rest = after;
        } else {
            literal.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    if !literal.is_empty() {
        out.push(Piece::Literal(literal));
    }
    if out.len() > PIECES_MAX {
        return Err(format!("pattern has more than {PIECES_MAX} pieces"));
    }
    Ok(out)
}

fn capture(rest: &str) -> Option<(&str, &str)> {
    let (name, after) = rest.strip_prefix('<')?.split_once('>')?;
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (starts && fits).then_some((name, after))
}

/// The parser: named captures become labels.
#[derive(Debug)]
pub(crate) struct PatternStage {
    pieces: Vec<Piece>,
}

impl PatternStage {
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let pieces = pieces(pattern)?;
        let mut names: Vec<&str> = pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Capture(name) if name != "_" => Some(name.as_str()),
                _ => None,
            })
            .collect();
        if names.is_empty() {
            return Err(format!("pattern {pattern:?} has no named capture such as <status>"));
        }
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("pattern {pattern:?} has the capture <{}> twice", pair[0]));
        }
        Ok(PatternStage { pieces })
    }

    pub(crate) fn process(&self, row: &mut Row<'_>) {
        let never = row.extract_from_line(|line, sink| {
            self.scan(line, sink);
            Ok::<(), std::convert::Infallible>(())
        });
        match never {
            Ok(()) => {}
        }
    }

    /// Captures up to the next literal each; where a literal is missing the capture takes
    /// the rest of the line and the scan ends.
    fn scan<'x>(&self, line: &'x str, sink: &mut dyn FnMut(Cow<'x, str>, Cow<'x, str>)) {
        let mut rest = line;
        let mut pieces = self.pieces.iter().peekable();
        if let Some(Piece::Literal(first)) = pieces.peek() {
            match rest.strip_prefix(first.as_str()) {
                Some(after) => rest = after,
                None => return,
            }
            pieces.next();
        }
        while let Some(piece) = pieces.next() {
            let Piece::Capture(name) = piece else { continue };
            let (value, after) = match pieces.peek() {
                Some(Piece::Literal(literal)) => match rest.split_once(literal.as_str()) {
                    Some((value, after)) => (value, Some(after)),
                    None => (rest, None),
                },
                _ => (rest, None),
            };
            if name != "_" {
                sink(Cow::Owned(name.clone()), Cow::Borrowed(value));
            }
            match after {
                Some(after) => rest = after,
                None => return,
            }
        }
    }
}

/// The pattern of a line filter: the whole line, with `<_>` for any text but none at all.
#[derive(Clone, Debug)]
pub(crate) struct Wildcards {
    pieces: Vec<Piece>,
}

impl Wildcards {
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let pieces = pieces(pattern)?;
        let named = pieces.iter().find_map(|piece| match piece {
            Piece::Capture(name) if name != "_" => Some(name),
            _ => None,
        });
        match named {
            Some(name) => {
                Err(format!("named captures are not allowed in a line filter: <{name}>; use <_>"))
            }
            None => Ok(Wildcards { pieces }),
        }
    }

    pub(crate) fn matches(&self, line: &str) -> bool {
        let mut rest = line.as_bytes();
        let mut gap = false;
        for (i, piece) in self.pieces.iter().enumerate() {
            let Piece::Literal(literal) = piece else {
                gap = true;
                continue;
            };
            let literal = literal.as_bytes();
            let last = i + 1 == self.pieces.len();
            let found = match (gap, last) {
                (false, _) => rest.starts_with(literal).then_some(0),
                (true, true) => {
                    rest.ends_with(literal).then(|| rest.len() - literal.len()).filter(|at| *at > 0)
                }
                (true, false) => find_after_one(rest, literal),
            };
            let Some(at) = found else { return false };
            rest = &rest[at + literal.len()..];
            gap = false;
        }
        gap != rest.is_empty()
    }
}

/// The first place of `needle` that leaves at least one byte before it.
fn find_after_one(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    (1..haystack.len()).find(|at| haystack[*at..].starts_with(needle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures(pattern: &str, line: &str) -> Vec<(String, String)> {
        let stage = PatternStage::new(pattern).expect(pattern);
        let mut found = Vec::new();
        stage.scan(line, &mut |k, v| found.push((k.into_owned(), v.into_owned())));
        found
    }

    #[test]
    fn captures_lie_between_literals() {
        let line =
            r#"0.191.12.2 - - [10/Jun/2021:09:14:29 +0000] "GET /api HTTP/1.1" 200 2 "-" "Go" x"#;
        let pattern = r#"<ip> - - <_> "<method> <uri> <_>" <status> <size> <_> "<agent>" <_>"#;
        let found = captures(pattern, line);
        let expected = [
            ("ip", "0.191.12.2"),
            ("method", "GET"),
            ("uri", "/api"),
            ("status", "200"),
            ("size", "2"),
            ("agent", "Go"),
        ];
        let found: Vec<_> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, expected);
        assert_eq!(captures("a=<x> b", "b a=1"), []);
        assert_eq!(captures("<x>;<y>", "no semicolon"), [("x".into(), "no semicolon".into())]);
    }

    #[test]
    fn bad_patterns() {
        for bad in ["abc", "<_>", "<a><b>", "<a> <a>", ""] {
            assert!(PatternStage::new(bad).is_err(), "{bad}");
        }
        assert!(Wildcards::new("<a>").is_err());
    }

    #[test]
    fn wildcards_cover_the_whole_line_and_are_not_empty() {
        let cases = [
            ("foo <_>", "foo bar", true),
            ("foo <_>", "foo ", false),
            ("<_> bar", "foo bar baz", false),
            ("<_> baz", "foo bar baz", true),
            ("<_>bar<_>", " bar ", true),
            ("<_> bar <_>", " bar ", false),
            ("a<_>b", "axbxb", true),
            ("a<_>b", "ab", false),
            ("foo", "foo", true),
            ("foo", "foo!", false),
            ("a <_> b <_> c", "a 1 b 2 c", true),
            ("", "", true),
            ("", "x", false),
        ];
        for (pattern, line, expected) in cases {
            let got = Wildcards::new(pattern).expect(pattern).matches(line);
            assert_eq!(got, expected, "{pattern} on {line}");
        }
    }
}
