//! `| decolorize`: removes ANSI escape sequences (colours) from the line.
//!
//! Source: ECMA-48, "Control sequences".

use std::borrow::Cow;

use crate::logql::row::Row;

const ESCAPE: char = '\u{1b}';
/// The one-character form of `ESC [`.
const CSI: char = '\u{9b}';

/// Removes the sequences from the line of a row.
pub(crate) fn process(row: &mut Row<'_>) {
    if row.line.contains([ESCAPE, CSI]) {
        row.line = Cow::Owned(strip(&row.line));
    }
}

fn strip(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find([ESCAPE, CSI]) {
        out.push_str(&rest[..at]);
        let sequence = &rest[at..];
        let body = if let Some(body) = sequence.strip_prefix(CSI) {
            Some(body)
        } else {
            sequence.strip_prefix("\u{1b}[")
        };
        rest = match body {
            Some(body) => after_control(body),
            None => after_other(&sequence[ESCAPE.len_utf8()..]),
        };
    }
    out.push_str(rest);
    out
}

/// Parameters, intermediates, one final character.
fn after_control(body: &str) -> &str {
    match body.find(|c: char| !matches!(c, '\u{20}'..='\u{3f}')) {
        Some(end) if matches!(body.as_bytes()[end], 0x40..=0x7e) => &body[end + 1..],
        Some(end) => &body[end..],
        None => "",
    }
}

/// `ESC ] … BEL` (a title or link) or a two-character sequence.
fn after_other(body: &str) -> &str {
    if let Some(text) = body.strip_prefix(']') {
        let end = text.find(['\u{7}', ESCAPE]).unwrap_or(text.len());
        let tail = &text[end..];
        return tail
            .strip_prefix('\u{7}')
            .or_else(|| tail.strip_prefix("\u{1b}\\"))
            .unwrap_or(tail);
    }
    let mut chars = body.chars();
    match chars.next() {
        Some('\u{20}'..='\u{2f}') => {
            chars.next();
            chars.as_str()
        }
        Some('\u{30}'..='\u{7e}') => chars.as_str(),
        _ => body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_text_stays() {
        let cases = [
            ("\u{1b}[31mred\u{1b}[0m text", "red text"),
            ("\u{1b}[1;38;5;196mé\u{1b}[m", "é"),
            ("\u{9b}32mok\u{9b}0m", "ok"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}(Bplain", "plain"),
            ("cut \u{1b}[31", "cut "),
            ("none", "none"),
        ];
        for (line, expected) in cases {
            assert_eq!(strip(line), expected, "{line:?}");
        }
    }
}
