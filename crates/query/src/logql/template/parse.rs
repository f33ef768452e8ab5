//! Template text to nodes.

use super::functions::is_function;
use super::{Node, Operand, Pipeline};

/// How deep blocks and parentheses may nest.
const DEPTH_MAX: usize = 64;

pub(super) fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut parser = Parser { pieces: split(text)?, at: 0, scopes: vec![String::new()] };
    let (nodes, end) = parser.nodes(0)?;
    match end {
        None => Ok(nodes),
        Some(word) => Err(format!("unexpected {{{{{word}}}}}")),
    }
}

/// A template is text and actions by turns.
enum Piece {
    Text(String),
    Action(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Field(String),
    Variable(String),
    Text(String),
    Int(i64),
    Float(f64),
    Dot,
    Open,
    Close,
    Pipe,
    Comma,
    Assign,
    Declare,
    /// Whether a blank came before the next token matters: `.a .b` is two operands.
    Blank,
}

fn split(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim_start = false;
    loop {
        let (before, action) = match rest.split_once("{{") {
            Some((before, after)) => (before, Some(after)),
            None => (rest, None),
        };
        let mut before = if trim_start { before.trim_start() } else { before };
        let Some(mut action) = action else {
            pieces.push(Piece::Text(before.to_owned()));
            return Ok(pieces);
        };
        if let Some(after) = action.strip_prefix('-')
            && after.starts_with(char::is_whitespace)
        {
            before = before.trim_end();
            action = after;
        }
        pieces.push(Piece::Text(before.to_owned()));
        if let Some(comment) = action.trim_start().strip_prefix("/*") {
            let (_, after) = comment.split_once("*/").ok_or("a comment is not closed")?;
            (rest, trim_start) = close(after.trim_start()).ok_or("comment ends before \"}}\"")?;
            continue;
        }
        let (tokens, after, trim) = tokens(action)?;
        pieces.push(Piece::Action(tokens));
        (rest, trim_start) = (after, trim);
    }
}

/// Reads `}}` or ` -}}`; says whether the text after it is trimmed.
fn close(rest: &str) -> Option<(&str, bool)> {
    match rest.strip_prefix("}}") {
        Some(after) => Some((after, false)),
        None => rest.strip_prefix("-}}").map(|after| (after, true)),
    }
}

fn tokens(action: &str) -> Result<(Vec<Token>, &str, bool), String> {
    let mut out = Vec::new();
    let mut rest = action;
    loop {
        let trimmed = rest.trim_start();
        if trimmed.len() < rest.len() && !out.is_empty() {
            out.push(Token::Blank);
        }
        let spaced = trimmed.len() < rest.len();
        rest = trimmed;
        if let Some((after, trim)) = close(rest).filter(|(_, trim)| !trim || spaced) {
            while out.last() == Some(&Token::Blank) {
                out.pop();
            }
            return Ok((out, after, trim));
        }
        let first = rest.chars().next().ok_or("an action is not closed with \"}}\"")?;
        rest = match first {
            '"' => quoted(rest, &mut out)?,
            '`' => {
                let (text, after) = rest[1..].split_once('`').ok_or("a string is not closed")?;
                out.push(Token::Text(text.to_owned()));
                after
            }
            '\'' => character(rest, &mut out)?,
            '(' => push(rest, 1, Token::Open, &mut out),
            ')' => push(rest, 1, Token::Close, &mut out),
            '|' => push(rest, 1, Token::Pipe, &mut out),
            ',' => push(rest, 1, Token::Comma, &mut out),
            '=' => push(rest, 1, Token::Assign, &mut out),
            ':' if rest.starts_with(":=") => push(rest, 2, Token::Declare, &mut out),
            '.' | '$' => name(rest, first, &mut out)?,
            '0'..='9' | '-' | '+' => number(rest, &mut out)?,
            c if c.is_alphabetic() || c == '_' => {
                let end = word_end(rest);
                push(rest, end, Token::Word(rest[..end].to_owned()), &mut out)
            }
            c => return Err(format!("unexpected {c:?} in an action")),
        };
    }
}

fn push<'t>(rest: &'t str, len: usize, token: Token, out: &mut Vec<Token>) -> &'t str {
    out.push(token);
    &rest[len..]
}

fn word_end(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
}

fn name<'t>(rest: &'t str, first: char, out: &mut Vec<Token>) -> Result<&'t str, String> {
    let word = &rest[1..];
    if first == '.' && word.starts_with(|c: char| c.is_ascii_digit()) {
        return number(rest, out);
    }
    let end = word_end(word);
    let text = word[..end].to_owned();
    out.push(match (first, text.is_empty()) {
        ('$', _) => Token::Variable(text),
        (_, true) => Token::Dot,
        (_, false) => Token::Field(text),
    });
    Ok(&word[end..])
}

fn number<'t>(rest: &'t str, out: &mut Vec<Token>) -> Result<&'t str, String> {
    let end = rest[1..]
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_')))
        .map_or(rest.len(), |n| n + 1);
    let text = &rest[..end];
    if let Some(value) = super::value::parse_int(text) {
        out.push(Token::Int(value));
    } else if let Ok(value) = text.parse::<f64>() {
        out.push(Token::Float(value));
    } else {
        return Err(format!("bad number {text:?}"));
    }
    Ok(&rest[end..])
}

fn quoted<'t>(rest: &'t str, out: &mut Vec<Token>) -> Result<&'t str, String> {
    let body = &rest[1..];
    let mut escaped = false;
    let end = body
        .bytes()
        .position(|b| {
            let closes = b == b'"' && !escaped;
            escaped = b == b'\\' && !escaped;
            closes
        })
        .ok_or("a string is not closed")?;
    out.push(Token::Text(crate::logql::json::unescape(&body[..end]).into_owned()));
    Ok(&body[end + 1..])
}

/// A character constant is a number in Go.
fn character<'t>(rest: &'t str, out: &mut Vec<Token>) -> Result<&'t str, String> {
    let (text, after) = rest[1..].split_once('\'').ok_or("a character is not closed")?;
    let text = crate::logql::json::unescape(text);
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => out.push(Token::Int(i64::from(u32::from(c)))),
        _ => return Err(format!("malformed character constant '{text}'")),
    }
    Ok(after)
}

struct Parser {
    pieces: Vec<Piece>,
    at: usize,
    /// Variables that are known here; the first is `$` itself.
    scopes: Vec<String>,
}

/// The word that ended a block (`end` or `else …`) with what followed it.
type BlockEnd = Option<String>;

impl Parser {
    /// Nodes up to `end`, `else` or the end of the text.
    fn nodes(&mut self, depth: usize) -> Result<(Vec<Node>, BlockEnd), String> {
        if depth > DEPTH_MAX {
            return Err("blocks nest too deeply".to_owned());
        }
        let mut nodes = Vec::new();
        while self.at < self.pieces.len() {
            let piece = std::mem::replace(&mut self.pieces[self.at], Piece::Text(String::new()));
            self.at += 1;
            let tokens = match piece {
                Piece::Text(text) => {
                    if !text.is_empty() {
                        nodes.push(Node::Text(text));
                    }
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            let keyword = match tokens.first() {
                Some(Token::Word(word)) => word.clone(),
                _ => String::new(),
            };
            match keyword.as_str() {
                "end" => return Ok((nodes, Some("end".to_owned()))),
                "else" => {
                    // Left for the block that this belongs to.
                    self.at -= 1;
                    self.pieces[self.at] = Piece::Action(tokens);
                    return Ok((nodes, Some("else".to_owned())));
                }
                "if" | "with" | "range" => {
                    nodes.push(self.block(&keyword, &tokens[1..], depth)?);
                }
                "define" | "template" | "block" | "break" | "continue" => {
                    return Err(format!("{{{{{keyword}}}}} is not supported"));
                }
                _ => nodes.push(Node::Action(self.pipeline(&tokens)?)),
            }
        }
        Ok((nodes, None))
    }

    fn block(&mut self, keyword: &str, head: &[Token], depth: usize) -> Result<Node, String> {
        let known = self.scopes.len();
        let pipeline = self.pipeline(head)?;
        let (body, end) = self.nodes(depth + 1)?;
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        match end.as_deref() {
            Some("end") => {}
            Some(_) => {
                let (more, last) = self.otherwise(keyword, depth)?;
                branches = more;
                otherwise = last;
            }
            None => return Err(format!("{{{{{keyword}}}}} has no {{{{end}}}}")),
        }
        self.scopes.truncate(known);
        Ok(match keyword {
            "if" => {
                branches.insert(0, (pipeline, body));
                Node::If(branches, otherwise)
            }
            "with" => Node::With(pipeline, body, otherwise),
            _ => Node::Range(pipeline, body, otherwise),
        })
    }

    /// What follows an `else`: more branches of an `if`, and the last body.
    #[allow(clippy::type_complexity, reason = "the two parts of an else, used once")]
    fn otherwise(
        &mut self,
        keyword: &str,
        depth: usize,
    ) -> Result<(Vec<(Pipeline, Vec<Node>)>, Vec<Node>), String> {
        let mut branches = Vec::new();
        loop {
            let piece = std::mem::replace(&mut self.pieces[self.at], Piece::Text(String::new()));
            self.at += 1;
            let Piece::Action(tokens) = piece else { return Err("expected {{else}}".to_owned()) };
            let head: Vec<Token> =
                tokens.into_iter().skip(1).skip_while(|t| *t == Token::Blank).collect();
            match head.first() {
                None => {
                    let (body, end) = self.nodes(depth + 1)?;
                    if end.as_deref() != Some("end") {
                        return Err("{{else}} has no {{end}}".to_owned());
                    }
                    return Ok((branches, body));
                }
                Some(Token::Word(word)) if word == "if" && keyword == "if" => {
                    let test = self.pipeline(&head[1..])?;
                    let (body, end) = self.nodes(depth + 1)?;
                    branches.push((test, body));
                    match end.as_deref() {
                        Some("end") => return Ok((branches, Vec::new())),
                        Some(_) => {}
                        None => return Err("{{else if}} has no {{end}}".to_owned()),
                    }
                }
                Some(_) => return Err("unexpected text after {{else".to_owned()),
            }
        }
    }

    fn pipeline(&mut self, tokens: &[Token]) -> Result<Pipeline, String> {
        let tokens = match tokens.iter().position(|t| *t != Token::Blank) {
            Some(start) => &tokens[start..],
            None => return Err("missing value for command".to_owned()),
        };
        let (variables, declares, start) = variables(tokens)?;
        if !declares && let Some(unknown) = variables.iter().find(|v| !self.scopes.contains(v)) {
            return Err(format!("undefined variable ${unknown}"));
        }
        let mut at = start;
        let commands = self.commands(tokens, &mut at, 0)?;
        if at < tokens.len() {
            return Err("unexpected \")\"".to_owned());
        }
        if declares {
            self.scopes.extend(variables.iter().cloned());
        }
        Ok(Pipeline { variables, declares, commands })
    }

    fn commands(
        &self,
        tokens: &[Token],
        at: &mut usize,
        depth: usize,
    ) -> Result<Vec<Vec<Operand>>, String> {
        if depth > DEPTH_MAX {
            return Err("parentheses nest too deeply".to_owned());
        }
        let mut commands = vec![Vec::new()];
        while let Some(token) = tokens.get(*at) {
            match token {
                Token::Close => break,
                Token::Blank => {}
                Token::Pipe => commands.push(Vec::new()),
                _ => {
                    let operand = self.operand(tokens, at, depth)?;
                    if let Some(command) = commands.last_mut() {
                        command.push(operand);
                    }
                    continue;
                }
            }
            *at += 1;
        }
        for (i, command) in commands.iter().enumerate() {
            match command.first() {
                None => return Err("missing value for command".to_owned()),
                Some(Operand::Function(_)) => {}
                Some(_) if command.len() > 1 || i > 0 => {
                    return Err("only a function takes arguments".to_owned());
                }
                Some(_) => {}
            }
        }
        Ok(commands)
    }

    fn operand(&self, tokens: &[Token], at: &mut usize, depth: usize) -> Result<Operand, String> {
        let token = tokens[*at].clone();
        *at += 1;
        let base = match token {
            Token::Dot => Operand::Dot,
            Token::Field(field) => Operand::Fields(Box::new(Operand::Dot), vec![field]),
            Token::Text(text) => return Ok(Operand::Text(text)),
            Token::Int(value) => return Ok(Operand::Int(value)),
            Token::Float(value) => return Ok(Operand::Float(value)),
            Token::Word(word) => return word_operand(word),
            Token::Variable(name) => {
                if !self.scopes.contains(&name) {
                    return Err(format!("undefined variable ${name}"));
                }
                Operand::Variable(name)
            }
            Token::Open => {
                let commands = self.commands(tokens, at, depth + 1)?;
                if tokens.get(*at) != Some(&Token::Close) {
                    return Err("a parenthesis is not closed".to_owned());
                }
                *at += 1;
                Operand::Group(Box::new(Pipeline {
                    variables: Vec::new(),
                    declares: false,
                    commands,
                }))
            }
            other => return Err(format!("unexpected {other:?} in an action")),
        };
        let mut fields = Vec::new();
        while let Some(Token::Field(field)) = tokens.get(*at) {
            fields.push(field.clone());
            *at += 1;
        }
        Ok(match base {
            Operand::Fields(inner, mut first) => {
                first.extend(fields);
                Operand::Fields(inner, first)
            }
            base if fields.is_empty() => base,
            base => Operand::Fields(Box::new(base), fields),
        })
    }
}

fn word_operand(word: String) -> Result<Operand, String> {
    match word.as_str() {
        "true" => Ok(Operand::Bool(true)),
        "false" => Ok(Operand::Bool(false)),
        "nil" => Ok(Operand::Nil),
        _ if is_function(&word) => Ok(Operand::Function(word)),
        _ => Err(format!("function {word:?} not defined")),
    }
}

/// Reads `$a :=`, `$a, $b :=` or `$a =`; says where the commands start.
fn variables(tokens: &[Token]) -> Result<(Vec<String>, bool, usize), String> {
    let mut names = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Variable(name) => names.push(name.clone()),
            Token::Blank | Token::Comma => {}
            Token::Declare | Token::Assign => {
                if names.is_empty() || names.len() > 2 {
                    return Err("one or two variables are expected before an assignment".into());
                }
                return Ok((names, *token == Token::Declare, at));
            }
            _ => break,
        }
    }
    Ok((Vec::new(), false, 0))
}
