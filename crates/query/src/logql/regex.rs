//! Go's regular expressions (RE2 syntax), written as the `regex` crate reads them.
//!
//! The two agree on nearly everything. Where they differ, silence would give a wrong
//! answer: Go's `\d \w \s \b` are ASCII, a lone `{` is a brace, `[` inside a class is a
//! bracket, and `\Q…\E` quotes. Source: Go `regexp/syntax`, "Syntax".

use regex::{Regex, RegexBuilder};

/// How large a compiled pattern may get, in bytes: a query may hold dozens of them.
const COMPILED_MAX: usize = 4 << 20;

/// Compiles a pattern that may match anywhere. `.` matches a newline, as in Loki's line
/// filters.
///
/// # Errors
/// The reason as text.
pub(crate) fn anywhere(pattern: &str) -> Result<Regex, String> {
    compile(&format!("(?s:{})", translate(pattern)), pattern)
}

/// Compiles a pattern that must match the whole text.
///
/// # Errors
/// The reason as text.
pub(crate) fn anchored(pattern: &str) -> Result<Regex, String> {
    compile(&format!("^(?s:{})$", translate(pattern)), pattern)
}

/// Compiles a pattern as Go's `regexp.Compile` does: `.` stops at a newline.
///
/// # Errors
/// The reason as text.
pub(crate) fn plain(pattern: &str) -> Result<Regex, String> {
    compile(&translate(pattern), pattern)
}

fn compile(translated: &str, pattern: &str) -> Result<Regex, String> {
    // A pattern that breaks out of the group it is wrapped in would change its meaning.
    if translated.starts_with(['(', '^']) {
        RegexBuilder::new(&translate(pattern))
            .size_limit(COMPILED_MAX)
            .build()
            .map_err(|e| reason(pattern, &e))?;
    }
    RegexBuilder::new(translated).size_limit(COMPILED_MAX).build().map_err(|e| reason(pattern, &e))
}

fn reason(pattern: &str, error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    let why = last.strip_prefix("error: ").unwrap_or(last);
    format!("invalid regular expression {pattern:?}: {why}")
}

/// Rewrites the parts of a Go pattern that the `regex` crate reads differently.
pub(crate) fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        let tail = &rest[c.len_utf8()..];
        if c == '\\' {
            rest = escape(tail, in_class, &mut out);
            continue;
        }
        if in_class {
            rest = class_char(c, tail, &mut out, &mut in_class);
            continue;
        }
        match c {
            '[' => {
                in_class = true;
                out.push('[');
                rest = tail;
                if let Some(after) = rest.strip_prefix('^') {
                    out.push('^');
                    rest = after;
                }
                // A bracket that comes first is a member, not the end.
                if let Some(after) = rest.strip_prefix(']') {
                    out.push_str("\\]");
                    rest = after;
                }
            }
            '{' if !is_repetition(tail) => {
                out.push_str("\\{");
                rest = tail;
            }
            _ => {
                out.push(c);
                rest = tail;
            }
        }
    }
    out
}

fn class_char<'t>(c: char, tail: &'t str, out: &mut String, in_class: &mut bool) -> &'t str {
    match c {
        ']' => {
            *in_class = false;
            out.push(']');
        }
        '[' => {
            if tail.starts_with(':')
                && let Some(end) = tail.find(":]")
            {
                out.push('[');
                out.push_str(&tail[..end + 2]);
                return &tail[end + 2..];
            }
            out.push_str("\\[");
        }
        '&' | '~' => {
            out.push('\\');
            out.push(c);
        }
        // `--` is a set difference there, a range or two hyphens here.
        '-' if tail.starts_with('-') => out.push_str("\\-"),
        _ => out.push(c),
    }
    tail
}

/// Handles what follows a backslash; returns what is left.
fn escape<'t>(tail: &'t str, in_class: bool, out: &mut String) -> &'t str {
    let Some(c) = tail.chars().next() else {
        out.push('\\');
        return tail;
    };
    let after = &tail[c.len_utf8()..];
    match (c, in_class) {
        ('Q', _) => {
            let (quoted, left) = after.split_once("\\E").unwrap_or((after, ""));
            out.push_str(&regex::escape(quoted));
            return left;
        }
        ('E', _) => {}
        ('d', false) => out.push_str("[0-9]"),
        ('d', true) => out.push_str("0-9"),
        ('D', _) => out.push_str("[^0-9]"),
        ('w', false) => out.push_str("[0-9A-Za-z_]"),
        ('w', true) => out.push_str("0-9A-Za-z_"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('s', false) => out.push_str("[\\t\\n\\f\\r ]"),
        ('s', true) => out.push_str("\\t\\n\\f\\r "),
        ('S', _) => out.push_str("[^\\t\\n\\f\\r ]"),
        ('b', false) => out.push_str("(?-u:\\b)"),
        ('B', false) => out.push_str("(?-u:\\B)"),
        _ => {
            out.push('\\');
            out.push(c);
        }
    }
    after
}

/// Whether what follows a `{` makes it a repetition: `n}`, `n,}` or `n,m}`.
fn is_repetition(tail: &str) -> bool {
    let Some((inside, _)) = tail.split_once('}') else { return false };
    let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_patterns_keep_their_meaning() {
        let cases = [
            (r"\d+", "a1", true),
            (r"^\d+$", "٣", false),
            (r"^\w+$", "é", false),
            (r"a{b", "a{b", true),
            (r"^a{2}$", "aa", true),
            (r"\Qa.b\E", "a.b", true),
            (r"\Qa.b\E", "axb", false),
            (r"[[]x", "[x", true),
            (r"[]]x", "]x", true),
            (r"[[:alpha:]]+", "abc", true),
            (r"[&&x]", "&", true),
            (r"[\w-]+@", "a-b@", true),
            (r"\berror\b", "an error here", true),
            (r"(?i)ERROR", "error", true),
            (r"a.b", "a\nb", true),
            (r"\{x\}", "{x}", true),
        ];
        for (pattern, text, expected) in cases {
            let regex = anywhere(pattern).expect(pattern);
            assert_eq!(regex.is_match(text), expected, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn bad_patterns_are_refused_with_a_reason() {
        for pattern in ["(", "a)", "a)(b", "*", "[a", "(?P<x"] {
            let error = anywhere(pattern).expect_err(pattern);
            assert!(error.starts_with("invalid regular expression"), "{error}");
        }
    }
}
