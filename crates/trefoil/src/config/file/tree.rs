//! YAML as a tree of texts with their lines, its variables replaced.
//!
//! Types are left to those who ask: `"8080"` and `8080` are the same port. Substitution is
//! by the rules of the data model: in scalars alone, after the structure is known, so that
//! no value of a variable can add a key.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

/// Levels of nesting; the schema has a dozen.
const DEPTH_MAX: usize = 64;

/// A place in the file.
#[derive(Clone, Debug)]
pub(super) struct Node {
    line: usize,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Null,
    Scalar(String),
    Sequence(Vec<Rc<Node>>),
    Mapping(Vec<(String, Rc<Node>)>),
}

impl Node {
    pub(super) fn null(line: usize) -> Node {
        Node { line, kind: Kind::Null }
    }

    pub(super) fn line(&self) -> usize {
        self.line
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.kind, Kind::Mapping(_))
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// What a mapping has under a key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Mapping(pairs) => {
                pairs.iter().find(|(known, _)| known == key).map(|(_, node)| &**node)
            }
            _ => None,
        }
    }

    /// The text that a mapping has under a key.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    /// The nodes of a sequence that a mapping has under a key.
    pub(super) fn items(&self, key: &str) -> impl Iterator<Item = &Node> {
        self.get(key).into_iter().flat_map(Node::all)
    }

    /// The nodes of a sequence.
    pub(super) fn all(&self) -> impl Iterator<Item = &Node> {
        let items = match &self.kind {
            Kind::Sequence(items) => items.as_slice(),
            _ => &[],
        };
        items.iter().map(|item| &**item)
    }

    /// The keys of a mapping.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let pairs = match &self.kind {
            Kind::Mapping(pairs) => pairs.as_slice(),
            _ => &[],
        };
        pairs.iter().map(|(key, _)| key.as_str())
    }
}

/// Reads the first document.
pub(super) fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Node, String> {
    let mut parser = Parser::new_from_str(text);
    let mut building = Building { variable, anchors: HashMap::new() };
    loop {
        match next(&mut parser)? {
            Some((Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _)) => {}
            Some((Event::StreamEnd | Event::DocumentEnd, _)) | None => return Ok(Node::null(1)),
            Some(event) => return Ok(Rc::unwrap_or_clone(building.node(&mut parser, event, 0)?)),
        }
    }
}

type Parsing<'a> = Parser<'a, saphyr_parser::StrInput<'a>>;

/// The next event and its line.
fn next<'a>(parser: &mut Parsing<'a>) -> Result<Option<(Event<'a>, usize)>, String> {
    let event = parser.next().transpose().map_err(|error: ScanError| error.to_string())?;
    Ok(event.map(|(event, span)| (event, span.start.line())))
}

struct Building<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    anchors: HashMap<usize, Rc<Node>>,
}

impl Building<'_> {
    fn node<'a>(
        &mut self,
        parser: &mut Parsing<'a>,
        (event, line): (Event<'a>, usize),
        depth: usize,
    ) -> Result<Rc<Node>, String> {
        if depth > DEPTH_MAX {
            return Err(format!("line {line}: nested deeper than {DEPTH_MAX} levels"));
        }
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => (self.scalar(&text, style, line)?, anchor),
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                while let Some(event) = next(parser)? {
                    if matches!(event.0, Event::SequenceEnd) {
                        break;
                    }
                    items.push(self.node(parser, event, depth + 1)?);
                }
                (Kind::Sequence(items), anchor)
            }
            Event::MappingStart(anchor, _) => (self.mapping(parser, depth)?, anchor),
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                return known
                    .ok_or_else(|| format!("line {line}: an alias of what is not yet read"));
            }
            _ => (Kind::Null, 0),
        };
        let node = Rc::new(Node { line, kind });
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(node)
    }

    fn mapping<'a>(&mut self, parser: &mut Parsing<'a>, depth: usize) -> Result<Kind, String> {
        let mut pairs: Vec<(String, Rc<Node>)> = Vec::new();
        while let Some((event, line)) = next(parser)? {
            let key = match event {
                Event::MappingEnd => break,
                // No substitution in keys.
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(format!("line {line}: expected a name before a colon")),
            };
            if pairs.iter().any(|(known, _)| *known == key) {
                return Err(format!("line {line}: {key} is there twice"));
            }
            let value = next(parser)?.ok_or_else(|| format!("line {line}: ends too early"))?;
            pairs.push((key, self.node(parser, value, depth + 1)?));
        }
        Ok(Kind::Mapping(pairs))
    }

    fn scalar(&self, text: &str, style: ScalarStyle, line: usize) -> Result<Kind, String> {
        let text = substitute(text, self.variable).map_err(|e| format!("line {line}: {e}"))?;
        let plain = matches!(style, ScalarStyle::Plain);
        let is_null = plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
        Ok(if is_null { Kind::Null } else { Kind::Scalar(text) })
    }
}

/// Replaces `${NAME}`, `${env:NAME}` and `${NAME:-default}`; `$$` is a dollar.
fn substitute(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            result.push('$');
            rest = tail;
            continue;
        }
        let Some(tail) = rest.strip_prefix('{') else {
            result.push('$');
            continue;
        };
        let Some((reference, tail)) = tail.split_once('}') else {
            // What is never closed is no reference.
            result.push_str("${");
            rest = tail;
            continue;
        };
        result.push_str(&resolve(reference, variable)?);
        rest = tail;
    }
    result.push_str(rest);
    Ok(result)
}

fn resolve(reference: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, default),
        None => (reference, ""),
    };
    let name = name.strip_prefix("env:").unwrap_or(name);
    let mut chars = name.chars();
    let is_name = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(format!("${{{reference}}} is no reference to a variable"));
    }
    Ok(variable(name).unwrap_or_else(|| default.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_as_the_data_model_has_it() {
        let variable = |name: &str| match name {
            "STRING" => Some("value".to_owned()),
            "DOLLARS" => Some("$${STRING}".to_owned()),
            "LINES" => Some("a: 1\nb: 2".to_owned()),
            _ => None,
        };
        for (text, expected) in [
            ("plain", "plain"),
            ("${STRING}", "value"),
            ("${env:STRING}", "value"),
            ("a ${STRING} b ${STRING}", "a value b value"),
            ("${UNSET}", ""),
            ("${UNSET:-fallback}", "fallback"),
            ("${env:UNSET:-a:-b}", "a:-b"),
            ("${STRING:-fallback}", "value"),
            ("$${STRING}", "${STRING}"),
            ("$$$${STRING}", "$${STRING}"),
            ("$$${STRING}", "$value"),
            ("$STRING", "$STRING"),
            ("a $ b", "a $ b"),
            ("${STRING", "${STRING"),
            // What a variable holds is not looked at again.
            ("${DOLLARS}", "$${STRING}"),
        ] {
            assert_eq!(substitute(text, &variable).as_deref(), Ok(expected), "{text}");
        }
        for text in ["${}", "${1A}", "${A-B}", "${STRING:?error}", "${a b}"] {
            assert!(substitute(text, &variable).is_err(), "{text}");
        }
        let root = parse("key: ${LINES}\n", &variable).expect("it is YAML");
        assert_eq!(root.text("key"), Some("a: 1\nb: 2"));
        assert_eq!(root.get("b").map(Node::line), None);
    }

    #[test]
    fn json_aliases_and_nulls() {
        let none = |_: &str| None;
        let root = parse(r#"{"a": [1, "2", null], "b": {"c": true}}"#, &none).expect("JSON");
        let texts: Vec<_> = root.items("a").map(Node::as_text).collect();
        assert_eq!(texts, [Some("1"), Some("2"), None]);
        let root = parse("x: &x {y: 1}\nz: *x\nn:\nm: ~\nq: ''\n", &none).expect("YAML");
        assert_eq!(root.get("z").and_then(|z| z.text("y")), Some("1"));
        assert!(
            root.get("n").is_some_and(Node::is_null) && root.get("m").is_some_and(Node::is_null)
        );
        assert_eq!(root.text("q"), Some(""));
        for text in ["a: 1\na: 2\n", "a: [1\n", "{[1]: 2}"] {
            assert!(parse(text, &none).is_err(), "{text}");
        }
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        assert!(parse(&deep, &none).is_err());
    }
}
