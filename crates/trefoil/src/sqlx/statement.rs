//! What a statement does, without the values in it.

use std::fmt::Write as _;

/// How a database quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// PostgreSQL, and the standard: `"name"`, `'text'`, `$tag$text$tag$`.
    Standard,
    /// `"name"`, but a text if there is none of that name.
    Sqlite,
    /// `"text"`, backslashes escape, `#` begins a comment.
    MySql,
}

/// Bytes of a statement that are recorded.
const TEXT_BYTES_MAX: usize = 2048;
/// Bytes of a summary, as the conventions have it.
const SUMMARY_BYTES_MAX: usize = 255;

/// What is recorded of a statement. Source: OpenTelemetry's semantic conventions for
/// databases, "Sanitization of db.query.text" and "Generating a summary of the query".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Statement {
    /// The statement with `?` for each literal, comments left out.
    pub(super) text: String,
    /// Operations and what they concern: `SELECT users`.
    pub(super) summary: String,
    /// The operation, in capitals.
    pub(super) operation: Option<String>,
    /// The table, if there is only one.
    pub(super) collection: Option<String>,
}

impl Statement {
    pub(super) fn new(sql: &str, dialect: Dialect) -> Statement {
        let mut reader = Summary::default();
        let mut out = String::with_capacity(sql.len().min(TEXT_BYTES_MAX));
        let mut tokens = Tokens { sql, at: 0, dialect, before: Before::default() };
        while let Some(token) = tokens.next_token() {
            reader.take(&token);
            if out.len() < TEXT_BYTES_MAX {
                append(&mut out, &token);
            }
        }
        cut(&mut out, TEXT_BYTES_MAX);
        let text = out.trim_end().to_owned();
        reader.into_statement(text)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Space,
    Word(&'a str),
    /// A quoted name, quotes included.
    Name(&'a str),
    /// A value; it is not kept.
    Literal,
    Symbol(&'a str),
}

/// Appends a token; lists of literals become one.
fn append(out: &mut String, token: &Token<'_>) {
    match token {
        Token::Space => {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
        }
        Token::Word(text) | Token::Name(text) | Token::Symbol(text) => out.push_str(text),
        Token::Literal => {
            let before = out.trim_end();
            if let Some(list) = before.strip_suffix(',')
                && list.trim_end().ends_with('?')
            {
                let length = list.trim_end().len();
                out.truncate(length);
            } else {
                out.push('?');
            }
        }
    }
}

struct Tokens<'a> {
    sql: &'a str,
    at: usize,
    dialect: Dialect,
    before: Before,
}

/// What stands before a double-quoted text, which tells a name from a value where the
/// database takes both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Before {
    /// `FROM`, `.` and the like.
    Namer,
    #[default]
    Other,
}

/// Words that a name follows.
const NAMERS: [&str; 9] =
    ["FROM", "JOIN", "INTO", "UPDATE", "TABLE", "INDEX", "VIEW", "AS", "EXISTS"];

impl<'a> Tokens<'a> {
    fn next_token(&mut self) -> Option<Token<'a>> {
        let sql = self.sql;
        let rest = &sql[self.at..];
        let first = rest.chars().next()?;
        let (token, length) = self.token(rest, first);
        self.at += length;
        match token {
            Token::Space => {}
            Token::Word(word) => {
                let namer = NAMERS.iter().any(|namer| word.eq_ignore_ascii_case(namer));
                self.before = if namer { Before::Namer } else { Before::Other };
            }
            Token::Symbol(".") => self.before = Before::Namer,
            _ => self.before = Before::Other,
        }
        Some(token)
    }

    fn token(&self, rest: &'a str, first: char) -> (Token<'a>, usize) {
        let mysql = self.dialect == Dialect::MySql;
        if first.is_whitespace() {
            let length = span_of(rest, char::is_whitespace);
            return (Token::Space, length);
        }
        if rest.starts_with("--") || (mysql && first == '#') {
            return (Token::Space, rest.find('\n').map_or(rest.len(), |end| end + 1));
        }
        if rest.starts_with("/*") {
            return (Token::Space, comment(rest));
        }
        match first {
            '\'' => (Token::Literal, quoted(rest, '\'', mysql)),
            '"' => {
                let length = quoted(rest, '"', mysql);
                let name = match self.dialect {
                    Dialect::Standard => true,
                    _ => self.before == Before::Namer || rest[length..].starts_with('.'),
                };
                (if name { Token::Name(&rest[..length]) } else { Token::Literal }, length)
            }
            '`' => {
                let length = quoted(rest, '`', false);
                (Token::Name(&rest[..length]), length)
            }
            '$' => dollar(rest),
            _ if first.is_ascii_digit() => (Token::Literal, number(rest)),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit())
                && self.before != Before::Namer =>
            {
                (Token::Literal, number(rest))
            }
            _ if is_word(first) => self.word(rest),
            _ => (Token::Symbol(&rest[..first.len_utf8()]), first.len_utf8()),
        }
    }

    /// A word, or a text with a prefix: `E'…'`, `X'…'`, `N'…'`.
    fn word(&self, rest: &'a str) -> (Token<'a>, usize) {
        let length = span_of(rest, is_word_rest);
        let word = &rest[..length];
        if rest[length..].starts_with('\'') {
            let escapes = self.dialect == Dialect::MySql || word.eq_ignore_ascii_case("e");
            return (Token::Literal, length + quoted(&rest[length..], '\'', escapes));
        }
        (Token::Word(word), length)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_word_rest(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// Bytes at the beginning whose characters are all such.
fn span_of(text: &str, such: impl Fn(char) -> bool) -> usize {
    text.find(|c| !such(c)).unwrap_or(text.len())
}

/// Bytes of a text in quotes; one that does not end goes to the end. A quote is doubled.
fn quoted(text: &str, quote: char, backslashes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if backslashes && c == '\\' {
            characters.next();
        } else if c == quote {
            match characters.peek() {
                Some((_, next)) if *next == quote => drop(characters.next()),
                _ => return at + 1,
            }
        }
    }
    text.len()
}

/// Bytes of a comment, within which others may stand.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// `$1` is a parameter, `$tag$…$tag$` a text.
fn dollar(text: &str) -> (Token<'_>, usize) {
    let digits = span_of(&text[1..], |c| c.is_ascii_digit());
    if digits > 0 {
        return (Token::Symbol(&text[..=digits]), 1 + digits);
    }
    let tag = 1 + span_of(&text[1..], |c| c.is_alphanumeric() || c == '_');
    if !text[tag..].starts_with('$') {
        return (Token::Symbol(&text[..1]), 1);
    }
    let tag = &text[..=tag];
    let end = text[tag.len()..].find(tag).map(|end| end + 2 * tag.len());
    (Token::Literal, end.unwrap_or(text.len()))
}

/// Bytes of a number: `1`, `1.5e-3`, `0xff`, `1_000`.
fn number(text: &str) -> usize {
    let mut before = '0';
    text.find(|c: char| {
        let part = c.is_ascii_alphanumeric()
            || c == '.'
            || c == '_'
            || (matches!(c, '+' | '-') && matches!(before, 'e' | 'E'));
        before = c;
        !part
    })
    .unwrap_or(text.len())
}

/// Operations and their targets, gathered word by word.
#[derive(Default)]
struct Summary {
    summary: String,
    operation: Option<String>,
    targets: Vec<String>,
    depth: i32,
    expects: Expects,
    /// The name so far: `schema.` of `schema.table`.
    name: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expects {
    #[default]
    Nothing,
    /// The name of a table, or `IF EXISTS` before it.
    Target,
    /// More of the name, or of the list.
    More,
    /// A comma begins the next of the list; an alias may come before it.
    Comma,
}

const VERBS: [&str; 21] = [
    "ALTER",
    "ANALYZE",
    "BEGIN",
    "CALL",
    "COMMIT",
    "CREATE",
    "DELETE",
    "DROP",
    "EXPLAIN",
    "INSERT",
    "LOCK",
    "MERGE",
    "PRAGMA",
    "RELEASE",
    "REPLACE",
    "ROLLBACK",
    "SAVEPOINT",
    "SELECT",
    "TRUNCATE",
    "UPDATE",
    "VACUUM",
];
/// Words behind which the name of a table stands.
const BEFORE_TARGET: [&str; 6] = ["FROM", "INTO", "JOIN", "TABLE", "UPDATE", "USING"];
/// Words between one of those and the name.
const SKIPPED: [&str; 6] = ["EXISTS", "IF", "LATERAL", "NOT", "ONLY", "TABLE"];

impl Summary {
    fn take(&mut self, token: &Token<'_>) {
        match *token {
            Token::Space | Token::Literal => {}
            Token::Word(word) => self.word(word),
            Token::Name(name) => self.name(name.trim_matches(['"', '`'])),
            Token::Symbol(symbol) => self.symbol(symbol),
        }
    }

    fn word(&mut self, word: &str) {
        let is = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
        if self.expects == Expects::Target && is(&SKIPPED) {
            return;
        }
        let update_of_conflict = is(&["UPDATE"]) && self.operation.is_some() && self.depth == 0;
        if is(&VERBS) && !update_of_conflict {
            let verb = word.to_ascii_uppercase();
            self.end_name();
            self.append(&verb);
            if self.depth == 0 && self.operation.is_none() {
                self.operation = Some(verb);
            }
        }
        if is(&BEFORE_TARGET) && !update_of_conflict {
            self.end_name();
            self.expects = Expects::Target;
        } else if !is(&VERBS) {
            self.name(word);
        }
    }

    fn name(&mut self, name: &str) {
        match self.expects {
            Expects::Target => {
                self.name.push_str(name);
                self.expects = Expects::More;
            }
            Expects::More => {
                self.end_name();
                // An alias, or the next clause.
                self.expects = Expects::Comma;
            }
            Expects::Comma if !name.eq_ignore_ascii_case("as") => {}
            _ => {}
        }
    }

    fn symbol(&mut self, symbol: &str) {
        match (symbol, self.expects) {
            (".", Expects::More) => {
                self.name.push('.');
                self.expects = Expects::Target;
                return;
            }
            (",", Expects::More | Expects::Comma) => {
                self.end_name();
                self.expects = Expects::Target;
                return;
            }
            ("(", _) => self.depth += 1,
            (")", _) => self.depth -= 1,
            _ => {}
        }
        self.end_name();
        self.expects = Expects::Nothing;
    }

    fn end_name(&mut self) {
        let name = std::mem::take(&mut self.name);
        if !name.is_empty() {
            self.append(&name);
            if !self.targets.contains(&name) {
                self.targets.push(name);
            }
        }
    }

    fn append(&mut self, word: &str) {
        if self.summary.len() + word.len() < SUMMARY_BYTES_MAX {
            let space = if self.summary.is_empty() { "" } else { " " };
            let _ = write!(self.summary, "{space}{word}");
        }
    }

    fn into_statement(mut self, text: String) -> Statement {
        self.end_name();
        let mut targets = self.targets.into_iter();
        let collection = targets.next().filter(|_| targets.next().is_none());
        Statement { text, summary: self.summary, operation: self.operation, collection }
    }
}

fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let mut end = bytes;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests;
