use std::collections::HashMap;

use super::lines::{Cursor, Result, SampleLine, excerpt, unescape};
use super::rules::GroupCheck;
use super::{Error, Family, Format, Kind};

/// Parses a whole text.
///
/// OpenMetrics is held to every rule of its specification; Prometheus's format is taken
/// as forgivingly as Prometheus takes it: samples need no metadata and families may come
/// in pieces.
///
/// # Errors
/// The text is not of that format; the first line that is wrong.
pub fn parse(text: &str, format: Format) -> std::result::Result<Vec<Family<'_>>, Error> {
    let mut parser = Parser::new(format);
    let mut lines = 0;
    for line in text.split_terminator('\n') {
        lines += 1;
        parser.line(line).map_err(|message| Error { line: lines, message })?;
    }
    parser.end().map_err(|message| Error { line: lines.max(1), message })?;
    Ok(parser.families)
}

struct Parser<'a> {
    format: Format,
    families: Vec<Family<'a>>,
    /// Which family each name belongs to: the family's own and those of its samples.
    names: HashMap<String, usize>,
    /// The family that the last line belonged to.
    current: Option<usize>,
    seen: Metadata,
    check: GroupCheck<'a>,
    eof: bool,
}

/// Which metadata of the current family came already.
#[derive(Clone, Copy, Default)]
struct Metadata {
    kind: bool,
    help: bool,
    unit: bool,
}

impl<'a> Parser<'a> {
    fn new(format: Format) -> Self {
        Parser {
            format,
            families: Vec::new(),
            names: HashMap::new(),
            current: None,
            seen: Metadata::default(),
            check: GroupCheck::default(),
            eof: false,
        }
    }

    fn line(&mut self, line: &'a str) -> Result<()> {
        if self.format == Format::Prometheus {
            return self.forgiving_line(line);
        }
        if self.eof {
            return Err("something follows '# EOF'".to_owned());
        }
        if line == "# EOF" {
            self.eof = true;
            return Ok(());
        }
        match line.strip_prefix('#') {
            Some(comment) => self.metadata(comment.strip_prefix(' ').unwrap_or_default()),
            None => self.sample(line),
        }
    }

    fn forgiving_line(&mut self, line: &'a str) -> Result<()> {
        let line = line.trim_matches([' ', '\t', '\r']);
        let Some(comment) = line.strip_prefix('#') else {
            return if line.is_empty() { Ok(()) } else { self.sample(line) };
        };
        let comment = comment.trim_start_matches([' ', '\t']);
        match comment.split_once([' ', '\t']) {
            Some(("HELP" | "TYPE", _)) => self.metadata(comment),
            _ => Ok(()),
        }
    }

    /// `TYPE name kind`, `HELP name text`, `UNIT name unit`.
    fn metadata(&mut self, text: &'a str) -> Result<()> {
        let blanks: &[char] = match self.format {
            Format::Prometheus => &[' ', '\t'],
            Format::OpenMetrics => &[' '],
        };
        let wrong = || "expected '# TYPE', '# HELP', '# UNIT' or '# EOF'".to_owned();
        let (word, rest) = text.split_once(blanks).ok_or_else(wrong)?;
        let missing = || format!("'# {word}' needs the name of a metric and a text behind it");
        let (name, text) = match rest.trim_start_matches(self.padding()).split_once(blanks) {
            Some((name, text)) => (name, text.trim_start_matches(self.padding())),
            None if self.format == Format::Prometheus && word == "HELP" => (rest, ""),
            None => return Err(missing()),
        };
        let mut cursor = Cursor::new(name, self.format);
        if cursor.name(true)? != name {
            return Err(format!("{:?} is not the name of a metric", excerpt(name)));
        }
        self.open(name, word)?;
        let Some(family) = self.current.and_then(|at| self.families.get_mut(at)) else {
            return Ok(());
        };
        let again = match word {
            "HELP" => {
                family.help = unescape(text, self.format == Format::OpenMetrics);
                std::mem::replace(&mut self.seen.help, true)
            }
            "TYPE" => {
                family.kind = Kind::from_str(text, self.format)
                    .ok_or_else(|| format!("{:?} is not a type of metric", excerpt(text)))?;
                std::mem::replace(&mut self.seen.kind, true)
            }
            "UNIT" if self.format == Format::OpenMetrics => {
                family.unit = text;
                std::mem::replace(&mut self.seen.unit, true)
            }
            _ => return Err(wrong()),
        };
        if again {
            return Err(format!("'# {word} {name}' comes twice"));
        }
        self.claim_names()
    }

    fn padding(&self) -> &'static [char] {
        match self.format {
            Format::Prometheus => &[' ', '\t'],
            Format::OpenMetrics => &[],
        }
    }

    /// Makes a family of this name the current one.
    fn open(&mut self, name: &'a str, word: &str) -> Result<()> {
        let current = self.current.and_then(|at| self.families.get(at));
        match current {
            Some(family) if family.name == name => {
                if !family.samples.is_empty() {
                    return Err(format!("'# {word} {name}' must come before its samples"));
                }
                return Ok(());
            }
            _ => self.close()?,
        }
        let known = self.names.get(name).copied();
        match known
            .filter(|&at| self.format == Format::Prometheus && self.families[at].name == name)
        {
            // Prometheus's own parser keeps no order; the later metadata counts.
            Some(at) => self.current = Some(at),
            None if known.is_some() && self.format == Format::OpenMetrics => {
                return Err(format!("the name {name:?} is taken by an earlier family"));
            }
            None => {
                self.families.push(Family { name, ..Family::default() });
                self.current = Some(self.families.len() - 1);
            }
        }
        self.seen = Metadata::default();
        self.check = GroupCheck::default();
        Ok(())
    }

    /// Notes which names the current family takes; no two families may share one.
    fn claim_names(&mut self) -> Result<()> {
        let Some(at) = self.current else { return Ok(()) };
        let family = &self.families[at];
        let own = std::iter::once(&"");
        for suffix in family.kind.suffixes().iter().chain(own) {
            let name = format!("{}{suffix}", family.name);
            let holder = *self.names.entry(name).or_insert(at);
            if holder != at && self.format == Format::OpenMetrics {
                return Err(format!(
                    "the name \"{}{suffix}\" is taken by family {:?}",
                    family.name, self.families[holder].name
                ));
            }
        }
        Ok(())
    }

    fn sample(&mut self, line: &'a str) -> Result<()> {
        let line = Cursor::new(line, self.format).sample()?;
        let name = line.sample.name;
        if !self.belongs_to_current(name) {
            match self.names.get(name).copied() {
                Some(at) if self.format == Format::Prometheus => {
                    self.current = Some(at);
                }
                Some(_) => {
                    return Err(format!("{name:?} is not a sample of the family above it"));
                }
                None => {
                    self.close()?;
                    self.families.push(Family { name, ..Family::default() });
                    self.current = Some(self.families.len() - 1);
                    self.seen = Metadata::default();
                    self.check = GroupCheck::default();
                    self.claim_names()?;
                }
            }
        }
        self.add(line)
    }

    fn belongs_to_current(&self, name: &str) -> bool {
        let Some(family) = self.current.and_then(|at| self.families.get(at)) else { return false };
        match name.strip_prefix(family.name) {
            Some(suffix) => family.kind.suffixes().contains(&suffix),
            None => false,
        }
    }

    fn add(&mut self, line: SampleLine<'a>) -> Result<()> {
        let Some(family) = self.current.and_then(|at| self.families.get_mut(at)) else {
            return Ok(());
        };
        if self.format == Format::OpenMetrics {
            self.check.sample(family.name, family.kind, &line)?;
        }
        family.samples.push(line.sample);
        Ok(())
    }

    /// Checks what can only be said when a family is complete.
    fn close(&mut self) -> Result<()> {
        let Some(family) = self.current.take().and_then(|at| self.families.get(at)) else {
            return Ok(());
        };
        if self.format == Format::Prometheus {
            return Ok(());
        }
        self.check.end(family.kind)?;
        if family.unit.is_empty() {
            return Ok(());
        }
        if !family.name.strip_suffix(family.unit).is_some_and(|rest| rest.ends_with('_')) {
            return Err(format!(
                "the name {:?} must end in its unit \"_{}\"",
                family.name, family.unit
            ));
        }
        if matches!(family.kind, Kind::Info | Kind::StateSet) {
            return Err(format!("a family of type {} has no unit", family.kind.as_str()));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.close()?;
        if self.format == Format::OpenMetrics && !self.eof {
            return Err("the text must end in '# EOF'".to_owned());
        }
        Ok(())
    }
}
