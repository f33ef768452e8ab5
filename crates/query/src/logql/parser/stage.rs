//! Pipelines.

use super::Parser;
use crate::error::{Error, Result};
use crate::logql::ast::{
    Conversion, Extraction, LabelFormat, LabelFormatValue, LabelPick, LineFilter, LineMatch,
    LineOp, Stage, Text, Unwrap,
};
use crate::logql::lexer::TokenKind;

/// How many stages a pipeline may have.
const STAGES_MAX: usize = 200;

impl Parser {
    /// All stages up to something that is none, or to `| unwrap`.
    pub(super) fn stages(&mut self, out: &mut Vec<Stage>) -> Result<()> {
        loop {
            if let Some(op) = self.line_op() {
                self.advance();
                out.push(Stage::Line(self.line_filter(op)?));
            } else if self.is_sign("|") {
                if matches!(self.kind_after(), TokenKind::Ident(word) if word == "unwrap") {
                    return Ok(());
                }
                self.advance();
                out.push(self.stage()?);
            } else {
                return Ok(());
            }
            if out.len() > STAGES_MAX {
                return Err(Error::bad(
                    self.span(),
                    format!("a pipeline has more than {STAGES_MAX} stages"),
                ));
            }
        }
    }

    fn line_op(&self) -> Option<LineOp> {
        Some(match self.kind() {
            TokenKind::Sign("|=") => LineOp::Contains,
            TokenKind::Sign("!=") => LineOp::NotContains,
            TokenKind::Sign("|~") => LineOp::Regex,
            TokenKind::Sign("!~") => LineOp::NotRegex,
            TokenKind::Sign("|>") => LineOp::Pattern,
            TokenKind::Sign("!>") => LineOp::NotPattern,
            _ => return None,
        })
    }

    fn line_filter(&mut self, op: LineOp) -> Result<LineFilter> {
        let mut any = vec![self.line_match(op)?];
        while self.take_word("or") {
            self.count_operator()?;
            any.push(self.line_match(op)?);
        }
        Ok(LineFilter { op, any })
    }

    fn line_match(&mut self, op: LineOp) -> Result<LineMatch> {
        if !self.is_word("ip") {
            return Ok(LineMatch::Text(self.expect_text("a quoted string or ip(\"…\")")?));
        }
        if !matches!(op, LineOp::Contains | LineOp::NotContains) {
            return Err(Error::bad(self.span(), "ip() goes with |= and != only"));
        }
        self.advance();
        self.expect_sign("(")?;
        let text = self.expect_text("a quoted address, range or network")?;
        self.expect_sign(")")?;
        Ok(LineMatch::Ip(text))
    }

    /// What follows a `|`.
    fn stage(&mut self) -> Result<Stage> {
        let TokenKind::Ident(word) = self.kind() else {
            return Ok(Stage::Label(self.label_filter()?));
        };
        match word.clone().as_str() {
            "json" => {
                self.advance();
                Ok(Stage::Json(self.extractions()?))
            }
            "logfmt" => {
                self.advance();
                self.logfmt()
            }
            "pattern" => {
                self.advance();
                Ok(Stage::Pattern(self.expect_text("a quoted pattern such as `<ip> - <_>`")?))
            }
            "regexp" => {
                self.advance();
                Ok(Stage::Regexp(self.expect_text("a quoted regular expression")?))
            }
            "unpack" => {
                self.advance();
                Ok(Stage::Unpack)
            }
            "decolorize" => {
                self.advance();
                Ok(Stage::Decolorize)
            }
            "line_format" => {
                self.advance();
                Ok(Stage::LineFormat(self.expect_text("a quoted template")?))
            }
            "label_format" => {
                self.advance();
                self.label_format()
            }
            "drop" => {
                self.advance();
                Ok(Stage::Drop(self.label_picks()?))
            }
            "keep" => {
                self.advance();
                Ok(Stage::Keep(self.label_picks()?))
            }
            "distinct" => Err(Error::bad(
                self.span(),
                "distinct is not part of LogQL any more; count by the label instead",
            )),
            _ => Ok(Stage::Label(self.label_filter()?)),
        }
    }

    fn logfmt(&mut self) -> Result<Stage> {
        let (mut strict, mut keep_empty) = (false, false);
        while let TokenKind::Flag(flag) = self.kind() {
            match flag.as_str() {
                "--strict" => strict = true,
                "--keep-empty" => keep_empty = true,
                other => {
                    let why = format!("logfmt knows --strict and --keep-empty, not {other}");
                    return Err(Error::bad(self.span(), why));
                }
            }
            self.advance();
        }
        Ok(Stage::Logfmt { strict, keep_empty, fields: self.extractions()? })
    }

    /// `a, b="c.d"`, possibly nothing.
    fn extractions(&mut self) -> Result<Vec<Extraction>> {
        let mut out = Vec::new();
        while matches!(self.kind(), TokenKind::Ident(_)) {
            let span = self.span();
            let label = self.expect_ident("a label name")?;
            let path = if self.take_sign("=") {
                self.expect_text("a quoted expression")?
            } else {
                Text { value: label.clone(), span }
            };
            out.push(Extraction { label, path });
            if !self.take_sign(",") {
                return Ok(out);
            }
        }
        if out.is_empty() { Ok(out) } else { Err(self.unexpected("a label name")) }
    }

    fn label_format(&mut self) -> Result<Stage> {
        let mut formats: Vec<LabelFormat> = Vec::new();
        loop {
            let span = self.span();
            let label = self.expect_ident("a label name")?;
            if label == "__error__" {
                return Err(Error::bad(span, "__error__ cannot be formatted"));
            }
            if formats.iter().any(|f| f.label == label) {
                return Err(Error::bad(
                    span,
                    format!("{label} can only be set once per label_format; use a second one"),
                ));
            }
            self.expect_sign("=")?;
            let value = match self.kind() {
                TokenKind::Ident(_) => LabelFormatValue::Rename(self.expect_ident("a label name")?),
                _ => LabelFormatValue::Template(
                    self.expect_text("a label name or a quoted template")?,
                ),
            };
            formats.push(LabelFormat { label, value });
            if !self.take_sign(",") {
                return Ok(Stage::LabelFormat(formats));
            }
        }
    }

    fn label_picks(&mut self) -> Result<Vec<LabelPick>> {
        let mut picks = Vec::new();
        loop {
            let name = self.expect_ident("a label name")?;
            let has_matcher = matches!(self.kind(), TokenKind::Sign("=" | "!=" | "=~" | "!~"))
                && matches!(self.kind_after(), TokenKind::Text(_));
            picks.push(if has_matcher {
                LabelPick::Matcher(self.label_matcher(name)?)
            } else {
                LabelPick::Name(name)
            });
            if !self.take_sign(",") {
                return Ok(picks);
            }
        }
    }

    /// `| unwrap a | filter …`, if it stands here.
    pub(super) fn unwrap(&mut self) -> Result<Option<Unwrap>> {
        if !self.is_sign("|")
            || !matches!(self.kind_after(), TokenKind::Ident(word) if word == "unwrap")
        {
            return Ok(None);
        }
        self.advance();
        self.advance();
        let span = self.span();
        let word =
            self.expect_ident("a label name, or duration(), duration_seconds() or bytes()")?;
        let (label, conversion) = if self.take_sign("(") {
            let conversion = match word.as_str() {
                "duration" | "duration_seconds" => Conversion::Duration,
                "bytes" => Conversion::Bytes,
                _ => {
                    let why = format!(
                        "unwrap knows duration(), duration_seconds() and bytes(), not {word}()"
                    );
                    return Err(Error::bad(span, why));
                }
            };
            let label = self.expect_ident("a label name")?;
            self.expect_sign(")")?;
            (label, conversion)
        } else {
            (word, Conversion::Float)
        };
        let mut filters = Vec::new();
        while self.take_sign("|") {
            filters.push(self.label_filter()?);
        }
        Ok(Some(Unwrap { label, conversion, filters }))
    }
}
