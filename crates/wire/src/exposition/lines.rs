//! What stands in one line.

use std::borrow::Cow;

use super::{EXEMPLAR_LABEL_CHARACTERS_MAX, Exemplar, Format, LABELS_MAX, Label, Sample};

/// Characters of the sender's text in an error: enough to find the place.
const EXCERPT_CHARACTERS_MAX: usize = 40;

/// Result with what is wrong in the line.
pub(super) type Result<T> = std::result::Result<T, String>;

/// A sample with its time as it was written, which may be finer than milliseconds.
pub(super) struct SampleLine<'a> {
    pub(super) sample: Sample<'a>,
    pub(super) time: Option<f64>,
}

/// Walks the characters of one line.
pub(super) struct Cursor<'a> {
    rest: &'a str,
    format: Format,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a str, format: Format) -> Self {
        Cursor { rest: line, format }
    }

    pub(super) fn sample(mut self) -> Result<SampleLine<'a>> {
        let name = self.name(true)?;
        if self.format == Format::Prometheus {
            self.blanks();
        }
        let labels = if self.rest.starts_with('{') { self.labels()? } else { Vec::new() };
        self.space("a value")?;
        let value = number(self.word())?;
        let mut time = None;
        let mut exemplar = None;
        if self.more() && !self.rest.starts_with(" #") {
            self.space("a time")?;
            time = Some(self.time()?);
        }
        if self.format == Format::OpenMetrics && self.rest.starts_with(" # ") {
            self.rest = &self.rest[3..];
            exemplar = Some(self.exemplar()?);
        }
        if self.more() {
            return Err(format!("unexpected {:?} behind the sample", excerpt(self.rest)));
        }
        let time_ms = time.map(|time| self.milliseconds(time));
        Ok(SampleLine { sample: Sample { name, labels, value, time_ms, exemplar }, time })
    }

    fn exemplar(&mut self) -> Result<Exemplar<'a>> {
        if !self.rest.starts_with('{') {
            return Err("expected the labels of an exemplar behind '#'".to_owned());
        }
        let labels = self.labels()?;
        let characters: usize =
            labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        if characters > EXEMPLAR_LABEL_CHARACTERS_MAX {
            return Err(format!(
                "the labels of an exemplar have {characters} characters, \
                 more than the limit of {EXEMPLAR_LABEL_CHARACTERS_MAX}"
            ));
        }
        self.space("the value of the exemplar")?;
        let value = number(self.word())?;
        let mut time_ms = None;
        if self.more() {
            self.space("the time of the exemplar")?;
            let time = self.time()?;
            time_ms = Some(self.milliseconds(time));
        }
        Ok(Exemplar { labels, value, time_ms })
    }

    /// Reads a name; `colon` for metrics, whose names may have colons.
    pub(super) fn name(&mut self, colon: bool) -> Result<&'a str> {
        let is_name = |at: usize, byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => true,
            b'0'..=b'9' => at > 0,
            b':' => colon,
            _ => false,
        };
        let bytes = self.rest.bytes().enumerate();
        let length = bytes.take_while(|&(at, byte)| is_name(at, byte)).count();
        let (name, rest) = self.rest.split_at(length);
        if name.is_empty() {
            let what = if colon { "a metric" } else { "a label" };
            return Err(format!("expected the name of {what}, got {:?}", excerpt(self.rest)));
        }
        self.rest = rest;
        Ok(name)
    }

    fn labels(&mut self) -> Result<Vec<Label<'a>>> {
        let mut labels: Vec<Label<'a>> = Vec::new();
        self.rest = &self.rest[1..];
        self.optional_blanks();
        if self.take('}') {
            return Ok(labels);
        }
        loop {
            let name = self.name(false)?;
            self.optional_blanks();
            if !self.take('=') {
                return Err(format!("expected '=' behind label {:?}", excerpt(name)));
            }
            self.optional_blanks();
            let value = self.quoted(name)?;
            if labels.len() >= LABELS_MAX {
                return Err(format!("more labels than the limit of {LABELS_MAX}"));
            }
            if labels.iter().any(|(other, _)| *other == name) {
                return Err(format!("label {:?} comes twice", excerpt(name)));
            }
            labels.push((name, value));
            self.optional_blanks();
            let comma = self.take(',');
            self.optional_blanks();
            // Prometheus's format allows a comma behind the last label.
            if (!comma || self.format == Format::Prometheus) && self.take('}') {
                return Ok(labels);
            }
            if !comma {
                return Err(format!("expected ',' or '}}' behind label {:?}", excerpt(name)));
            }
        }
    }

    fn quoted(&mut self, name: &str) -> Result<Cow<'a, str>> {
        if !self.take('"') {
            return Err(format!(
                "expected the value of label {:?} in double quotes",
                excerpt(name)
            ));
        }
        let mut escaped = false;
        for (at, byte) in self.rest.bytes().enumerate() {
            match byte {
                b'"' if !escaped => {
                    let value = &self.rest[..at];
                    self.rest = &self.rest[at + 1..];
                    return Ok(unescape(value, true));
                }
                b'\\' => escaped = !escaped,
                _ => escaped = false,
            }
        }
        Err(format!("the value of label {:?} has no closing quote", excerpt(name)))
    }

    fn time(&mut self) -> Result<f64> {
        let word = self.word();
        match self.format {
            Format::Prometheus => {
                let time: i64 = word
                    .parse()
                    .map_err(|_| format!("{:?} is not a time in milliseconds", excerpt(word)))?;
                Ok(time as f64)
            }
            Format::OpenMetrics => match number(word) {
                Ok(time) if time.is_finite() => Ok(time),
                _ => Err(format!("{:?} is not a time in seconds", excerpt(word))),
            },
        }
    }

    fn milliseconds(&self, time: f64) -> i64 {
        match self.format {
            Format::Prometheus => time as i64,
            Format::OpenMetrics => (time * 1000.0).round() as i64,
        }
    }

    fn word(&mut self) -> &'a str {
        let is_blank = |character: char| match self.format {
            Format::Prometheus => character == ' ' || character == '\t',
            Format::OpenMetrics => character == ' ',
        };
        let length = self.rest.find(is_blank).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        word
    }

    /// Passes over what separates two words: one space, or any blanks.
    fn space(&mut self, what: &str) -> Result<()> {
        let before = self.rest.len();
        match self.format {
            Format::Prometheus => self.blanks(),
            Format::OpenMetrics => drop(self.take(' ')),
        }
        // Behind a closing brace Prometheus takes the value without a blank.
        if self.rest.is_empty() || before == self.rest.len() && self.format == Format::OpenMetrics {
            return Err(format!("expected a space and {what}, got {:?}", excerpt(self.rest)));
        }
        Ok(())
    }

    /// Whether anything but blanks at the end of the line is left.
    fn more(&mut self) -> bool {
        self.optional_blanks();
        !self.rest.is_empty()
    }

    /// Blanks that only Prometheus's format allows.
    fn optional_blanks(&mut self) {
        // Not within OpenMetrics, and not before the words that `space` will ask for.
        if self.format == Format::Prometheus && self.rest.trim_start_matches([' ', '\t']).is_empty()
        {
            self.rest = "";
        } else if self.format == Format::Prometheus {
            self.blanks();
        }
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn take(&mut self, character: char) -> bool {
        match self.rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

/// As much of a text as an error shows of it.
pub(super) fn excerpt(text: &str) -> String {
    let mut shown: String = text.chars().take(EXCERPT_CHARACTERS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// A value as both formats write it. What Rust would take beyond that is refused.
pub(super) fn number(word: &str) -> Result<f64> {
    word.parse().map_err(|_| format!("{:?} is not a number", excerpt(word)))
}

/// Replaces `\\`, `\n` and, where `quote` says so, `\"`. Other backslashes stay.
pub(super) fn unescape(text: &str, quote: bool) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let replaced = match (character, characters.peek()) {
            ('\\', Some('\\')) => Some('\\'),
            ('\\', Some('n')) => Some('\n'),
            ('\\', Some('"')) if quote => Some('"'),
            _ => None,
        };
        if replaced.is_some() {
            characters.next();
        }
        out.push(replaced.unwrap_or(character));
    }
    Cow::Owned(out)
}
