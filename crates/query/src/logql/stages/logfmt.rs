//! `| logfmt` and `| logfmt --strict --keep-empty a="b"`.
//!
//! Source: Loki, "Log queries: logfmt".

use std::borrow::Cow;

use crate::logql::ast::Extraction;
use crate::logql::json::unescape;
use crate::logql::row::Row;
use crate::logql::stages::label_name;

/// What `__error__` says when a strict parser met a bad pair.
pub(crate) const LOGFMT_ERROR: &str = "LogfmtParserErr";

/// The stage.
#[derive(Debug)]
pub(crate) struct LogfmtStage {
    strict: bool,
    keep_empty: bool,
    fields: Vec<(String, String)>,
}

impl LogfmtStage {
    pub(crate) fn new(strict: bool, keep_empty: bool, fields: &[Extraction]) -> Self {
        let fields = fields.iter().map(|f| (f.label.clone(), f.path.value.clone())).collect();
        LogfmtStage { strict, keep_empty, fields }
    }

    pub(crate) fn process(&self, row: &mut Row<'_>) {
        let result = row.extract_from_line(|line, sink| self.scan(line, sink));
        if let Err(why) = result {
            row.fail(LOGFMT_ERROR, why);
        }
    }

    /// The pairs of a line that the stage takes.
    pub(crate) fn scan<'x>(
        &self,
        line: &'x str,
        sink: &mut dyn FnMut(Cow<'x, str>, Cow<'x, str>),
    ) -> Result<(), String> {
        if self.fields.is_empty() {
            return pairs(line, self.strict, &mut |key, value| {
                let value = match value {
                    Some(value) if !value.is_empty() => value,
                    _ if self.keep_empty => Cow::Borrowed(""),
                    _ => return,
                };
                sink(label_name(&Cow::Borrowed(key)), value);
            });
        }
        let mut found: Vec<Option<Cow<'x, str>>> = vec![None; self.fields.len()];
        let result = pairs(line, self.strict, &mut |key, value| {
            for (slot, (_, wanted)) in found.iter_mut().zip(&self.fields) {
                if slot.is_none() && key == wanted {
                    *slot = Some(value.clone().unwrap_or_default());
                }
            }
        });
        for (slot, (label, _)) in found.into_iter().zip(&self.fields) {
            sink(Cow::Owned(label.clone()), slot.unwrap_or_default());
        }
        result
    }
}

/// Calls `pair` for each key with its value, `None` where no `=` follows the key. A bad
/// pair ends a strict scan; otherwise it is skipped.
pub(crate) fn pairs<'x>(
    line: &'x str,
    strict: bool,
    pair: &mut dyn FnMut(&'x str, Option<Cow<'x, str>>),
) -> Result<(), String> {
    let mut rest = line.trim_start_matches(is_blank);
    while !rest.is_empty() {
        match one_pair(rest) {
            Ok((key, value, after)) => {
                pair(key, value);
                rest = after;
            }
            Err(why) if strict => {
                let at = line.len() - rest.len();
                return Err(format!("logfmt syntax error at pos {} : {why}", at + 1));
            }
            Err(_) => rest = &rest[end_of(rest, |b| b <= b' ')..],
        }
        rest = rest.trim_start_matches(is_blank);
    }
    Ok(())
}

fn is_blank(c: char) -> bool {
    c <= ' '
}

type Pair<'x> = (&'x str, Option<Cow<'x, str>>, &'x str);

fn one_pair(text: &str) -> Result<Pair<'_>, &'static str> {
    let end = end_of(text, |b| b <= b' ' || b == b'=' || b == b'"');
    let (key, rest) = text.split_at(end);
    if rest.starts_with('"') {
        return Err("unexpected '\"'");
    }
    if key.is_empty() {
        return Err("unexpected '='");
    }
    let Some(value) = rest.strip_prefix('=') else { return Ok((key, None, rest)) };
    if let Some(quoted) = value.strip_prefix('"') {
        let end = closing_quote(quoted).ok_or("unterminated quoted value")?;
        return Ok((key, Some(unescape(&quoted[..end])), &quoted[end + 1..]));
    }
    let end = end_of(value, |b| b <= b' ');
    let (value, rest) = value.split_at(end);
    match value.bytes().find(|b| matches!(b, b'=' | b'"')) {
        Some(b'=') => return Err("unexpected '='"),
        Some(_) => return Err("unexpected '\"'"),
        None => {}
    }
    Ok((key, Some(Cow::Borrowed(value)), rest))
}

/// Where the first such byte stands. Only ASCII is looked for, so the text can be cut there.
fn end_of(text: &str, ends: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(ends).unwrap_or(text.len())
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str, strict: bool) -> (Vec<(String, Option<String>)>, bool) {
        let mut found = Vec::new();
        let result = pairs(line, strict, &mut |k, v| {
            found.push((k.to_owned(), v.map(Cow::into_owned)));
        });
        (found, result.is_ok())
    }

    fn pair(key: &str, value: &str) -> (String, Option<String>) {
        (key.to_owned(), Some(value.to_owned()))
    }

    #[test]
    fn pairs_of_a_line() {
        let (found, ok) = read(r#"at=info fwd="1.2.3.4" msg="a \"b\"\n" flag x= é=ü"#, true);
        assert!(ok);
        let expected = [
            pair("at", "info"),
            pair("fwd", "1.2.3.4"),
            pair("msg", "a \"b\"\n"),
            ("flag".into(), None),
            pair("x", ""),
            pair("é", "ü"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn bad_pairs_are_skipped_or_end_a_strict_scan() {
        for bad in ["=value", "foo=bar=buzz", "fo\"o=bar", "a=\"open"] {
            let line = format!("{bad} z=1");
            assert!(!read(&line, true).1, "{bad}");
            let (found, ok) = read(&line, false);
            assert!(ok);
            assert_eq!(found, [pair("z", "1")], "{bad}");
        }
    }
}
