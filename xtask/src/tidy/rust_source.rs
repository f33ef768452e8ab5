//! Just enough of Rust's lexical grammar to look at code without comments and literals.

/// The source with comments, strings and character literals turned into spaces, line by
/// line as it was, so that positions and line numbers stay true.
pub(super) fn code_only(source: &str) -> String {
    let mut blanker = Blanker { rest: source, out: String::with_capacity(source.len()) };
    while !blanker.rest.is_empty() {
        blanker.step();
    }
    blanker.out
}

struct Blanker<'a> {
    rest: &'a str,
    out: String,
}

impl Blanker<'_> {
    fn step(&mut self) {
        let rest = self.rest;
        if rest.starts_with("//") {
            self.blank(rest.find('\n').unwrap_or(rest.len()));
        } else if rest.starts_with("/*") {
            self.blank(block_comment_len(rest));
        } else if let Some(len) = raw_string_len(rest).filter(|_| !self.in_word()) {
            self.blank(len);
        } else if rest.starts_with('"') {
            self.blank(string_len(rest));
        } else if let Some(len) = char_literal_len(rest) {
            self.blank(len);
        } else {
            let len = rest.chars().next().map_or(0, char::len_utf8);
            self.out.push_str(&rest[..len]);
            self.rest = &rest[len..];
        }
    }

    fn blank(&mut self, len: usize) {
        let (gone, rest) = self.rest.split_at(len);
        self.out.extend(gone.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        self.rest = rest;
    }

    /// Whether the `r` at hand only ends a longer word.
    fn in_word(&self) -> bool {
        self.out.chars().next_back().is_some_and(is_word)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment_len(text: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

fn raw_string_len(text: &str) -> Option<usize> {
    let body = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    body[hashes..].strip_prefix('"')?;
    let open = text.len() - body.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(text[open..].find(&close).map_or(text.len(), |at| open + at + close.len()))
}

fn string_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// Tells `'a'` from the lifetime `'a`.
fn char_literal_len(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    let first = body.chars().next()?;
    if first == '\\' {
        // Past the escaped character, which may itself be a quote.
        let skipped = 2 + body[1..].chars().next()?.len_utf8();
        return text[skipped..].find('\'').map(|at| skipped + at + 1);
    }
    body[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}

/// Code of the file that is not inside a `#[cfg(test)]` item, line by line as it was.
pub(super) fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(at) = out.find("#[cfg(test)]") {
        let end = item_end(&out, at);
        let blank: String =
            out[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(at..end, &blank);
    }
    out
}

/// Where the item that starts at `at` ends: at its `;` or its closing brace.
pub(super) fn item_end(code: &str, at: usize) -> usize {
    let mut depth = 0i32;
    let mut brackets = 0i32;
    for (offset, c) in code[at..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth <= 0 {
                    return at + offset + 1;
                }
            }
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if depth == 0 && brackets == 0 => return at + offset + 1,
            _ => {}
        }
    }
    code.len()
}

/// The function names in the code, each with where it starts and ends.
pub(super) fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = code[at..].find("fn ") {
        let start = at + offset;
        at = start + 3;
        let alone = !code[..start].chars().next_back().is_some_and(is_word);
        let name: String = code[at..].chars().take_while(|&c| is_word(c)).collect();
        if alone && !name.is_empty() {
            found.push((name, start, item_end(code, start)));
        }
    }
    found
}

/// The number of the line that holds a position, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_become_spaces() {
        let check = |source: &str, expect: &str| {
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(words(&code_only(source)), expect, "{source}");
            assert_eq!(code_only(source).lines().count(), source.lines().count(), "{source}");
        };
        check("a // b\nc", "a c");
        check("a /* b /* c */ d */ e", "a e");
        check(r#"f("a \" { b", c)"#, "f( , c)");
        check(r##"f(r#"a " b"#, c)"##, "f( , c)");
        check("f('{', '\\'', '\\u{1f}', b'x')", "f( , , , b )");
        check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
        check("for r in \"x\" {}", "for r in {}");
        check("let four\"x\";", "let four ;");
    }

    #[test]
    fn functions_are_measured_to_their_closing_brace() {
        let code =
            "fn a() {\n  if x { y }\n}\ntrait T { fn b(&self) -> [u8; 4]; }\nasync fn c() {}";
        let found: Vec<_> = functions(code)
            .into_iter()
            .map(|(name, from, to)| (name, code[from..to].to_owned()))
            .collect();
        assert_eq!(found[0], ("a".into(), "fn a() {\n  if x { y }\n}".into()));
        assert_eq!(found[1], ("b".into(), "fn b(&self) -> [u8; 4];".into()));
        assert_eq!(found[2].0, "c");
    }

    #[test]
    fn test_modules_are_left_out() {
        let code = "use a;\n#[cfg(test)]\nmod tests {\n use b;\n}\nuse c;";
        let kept = without_tests(code);
        assert!(kept.contains("use a") && kept.contains("use c") && !kept.contains("use b"));
    }
}
