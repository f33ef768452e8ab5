//! Command line, environment and settings file, merged by one table of flags.
//!
//! Every flag `--otlp-grpc` is also the variable `TREFOIL_OTLP_GRPC` and the key
//! `otlp-grpc` of the file named by `--config`. The command line wins over the
//! environment, the environment over the file, the file over the default.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::{ExitCode, Termination};

/// How the process ends; the numbers are promised to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Success = 0,
    /// A negative answer: the check failed, the server did not start.
    Failed = 1,
    /// Wrong command line, missing input file, or a query with a syntax error.
    Usage = 2,
    /// The server to ask cannot be reached or did not answer in time.
    Unreachable = 4,
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

/// One flag of a verb.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    /// Long name without dashes.
    pub(crate) name: &'static str,
    /// What stands for the value in the help; empty for a switch.
    pub(crate) value: &'static str,
    /// The default as a user would type it; empty for "not set".
    pub(crate) default: &'static str,
    /// One line for the help.
    pub(crate) about: &'static str,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody said anything.
    Default,
    /// The settings file.
    File(String),
    /// An environment variable.
    Variable(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => f.write_str(path),
            Origin::Variable(name) => write!(f, "${name}"),
            Origin::Flag => f.write_str("command line"),
        }
    }
}

/// A flag's value as text, and its origin.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// What the command line, the environment and the file say together.
#[derive(Debug)]
pub(crate) struct Values {
    settings: BTreeMap<&'static str, Setting>,
    /// Words that are no flags, in order.
    pub(crate) words: Vec<String>,
}

/// What a verb is to do with its command line.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Run with these values.
    Run(Values),
    /// Print the help.
    Help,
}

/// A settings file may be this large; ours has some twenty lines.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the command line of a verb with this table of flags.
///
/// # Errors
/// A line for the user: unknown flag (with the nearest name), missing value, unreadable file.
pub(crate) fn parse(
    mut parser: lexopt::Parser,
    flags: &[Flag],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Parsed, String> {
    let mut values = Values { settings: BTreeMap::new(), words: Vec::new() };
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(Parsed::Help),
            lexopt::Arg::Short('o') if flags.iter().any(|flag| flag.name == "output") => {
                let text = text(parser.value().map_err(|e| e.to_string())?)?;
                values.settings.insert("output", Setting { text, origin: Origin::Flag });
            }
            lexopt::Arg::Short(letter) => return Err(unknown(&format!("-{letter}"), None)),
            lexopt::Arg::Value(word) => values.words.push(text(word)?),
            lexopt::Arg::Long(name) => {
                let Some(flag) = flags.iter().find(|flag| flag.name == name) else {
                    let hint = nearest(name, flags.iter().map(|flag| flag.name));
                    return Err(unknown(&format!("--{name}"), hint.map(|h| format!("--{h}"))));
                };
                let value = if !flag.value.is_empty() {
                    text(parser.value().map_err(|e| e.to_string())?)?
                } else if let Some(value) = parser.optional_value() {
                    text(value)?
                } else {
                    "true".to_owned()
                };
                values.add(flag, value);
            }
        }
    }
    values.merge_variables(flags, &variable);
    if let Some(file) = values.get("config").map(str::to_owned).filter(|file| !file.is_empty()) {
        values.merge_file(flags, Path::new(&file))?;
    }
    for flag in flags {
        let setting = Setting { text: flag.default.to_owned(), origin: Origin::Default };
        values.settings.entry(flag.name).or_insert(setting);
    }
    Ok(Parsed::Run(values))
}

impl Values {
    /// A flag given twice on the command line is a list.
    fn add(&mut self, flag: &Flag, text: String) {
        match self.settings.get_mut(flag.name) {
            Some(setting) if !flag.value.is_empty() && flag.value.ends_with('…') => {
                setting.text.push(',');
                setting.text.push_str(&text);
            }
            _ => drop(self.settings.insert(flag.name, Setting { text, origin: Origin::Flag })),
        }
    }

    fn merge_variables(&mut self, flags: &[Flag], variable: &impl Fn(&str) -> Option<String>) {
        for flag in flags {
            let name = variable_name(flag.name);
            if let Some(text) = variable(&name) {
                let origin = Origin::Variable(name);
                self.settings.entry(flag.name).or_insert(Setting { text, origin });
            }
        }
    }

    fn merge_file(&mut self, flags: &[Flag], path: &Path) -> Result<(), String> {
        let shown = path.display();
        let size = std::fs::metadata(path).map_err(|e| format!("cannot read {shown}: {e}"))?.len();
        if size > FILE_BYTES_MAX {
            return Err(format!(
                "{shown} has {size} bytes; a settings file may have {FILE_BYTES_MAX}"
            ));
        }
        let text =
            std::fs::read_to_string(path).map_err(|e| format!("cannot read {shown}: {e}"))?;
        for (key, text) in read_file(&text, flags).map_err(|e| format!("{shown}: {e}"))? {
            let origin = Origin::File(shown.to_string());
            self.settings.entry(key).or_insert(Setting { text, origin });
        }
        Ok(())
    }

    /// The text of a flag of the table.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|setting| setting.text.as_str())
    }

    /// Whether a switch is on.
    ///
    /// # Errors
    /// A line for the user if the value is neither yes nor no.
    pub(crate) fn switch(&self, name: &str) -> Result<bool, String> {
        self.read(name, |text| match text {
            "true" | "1" | "yes" | "on" => Ok(true),
            "" | "false" | "0" | "no" | "off" => Ok(false),
            _ => Err("true or false is expected".to_owned()),
        })
    }

    /// Reads a value; an error names the flag, its value and its origin.
    ///
    /// # Errors
    /// A line for the user.
    pub(crate) fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, String> {
        let Some(setting) = self.settings.get(name) else {
            return Err(format!("--{name} is no flag of this verb"));
        };
        read(&setting.text).map_err(|why| {
            let from = match &setting.origin {
                Origin::Default | Origin::Flag => String::new(),
                origin => format!(" (from {origin})"),
            };
            format!("--{name} {}{from}: {why}", setting.text)
        })
    }

    /// Every value with its origin, as a settings file would have it.
    pub(crate) fn print(&self) -> String {
        let width = self.settings.keys().map(|name| name.len()).max().unwrap_or(0);
        let mut lines = String::new();
        for (name, setting) in &self.settings {
            if *name != "config" && *name != "print-config" {
                let value = toml::Value::String(setting.text.clone());
                lines.push_str(&format!("{name:<width$} = {value}  # {}\n", setting.origin));
            }
        }
        lines
    }
}

/// The keys of a settings file, checked against the table.
pub(crate) fn read_file(text: &str, flags: &[Flag]) -> Result<Vec<(&'static str, String)>, String> {
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| e.to_string())?;
    let mut found = Vec::new();
    for (key, value) in &table {
        let name = key.replace('_', "-");
        let Some(flag) = flags.iter().find(|flag| flag.name == name && flag.name != "config")
        else {
            let hint = nearest(&name, flags.iter().map(|flag| flag.name));
            return Err(format!("unknown key `{key}`{}", did_you_mean(hint)));
        };
        found.push((
            flag.name,
            toml_text(value).ok_or_else(|| {
                format!("key `{key}`: a string, number, true/false or a list of these is expected")
            })?,
        ));
    }
    Ok(found)
}

fn toml_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<String>> = items
                .iter()
                .map(|item| if item.is_array() { None } else { toml_text(item) })
                .collect();
            items.map(|items| items.join(","))
        }
        toml::Value::Table(_) | toml::Value::Datetime(_) => None,
    }
}

/// The help of a verb, generated from its table.
pub(crate) fn help(usage: &str, flags: &[Flag], more: &str) -> String {
    let mut text = format!("usage: trefoil {usage}\n\n");
    let left = |flag: &Flag| match flag.value {
        "" => format!("--{}", flag.name),
        value => format!("--{} {value}", flag.name),
    };
    let width = flags.iter().map(|flag| left(flag).chars().count()).max().unwrap_or(0);
    for flag in flags {
        text.push_str(&format!("  {:<width$}  {}", left(flag), flag.about));
        if !flag.default.is_empty() {
            text.push_str(&format!(" [{}]", flag.default));
        }
        text.push('\n');
    }
    text.push_str("\nEvery flag is also a variable (--otlp-grpc is TREFOIL_OTLP_GRPC)");
    if flags.iter().any(|flag| flag.name == "config") {
        text.push_str(" and a key of the\nTOML file named by --config (otlp-grpc = \"…\")");
    }
    text.push_str(".\n");
    text.push_str(more);
    text.trim_end().to_owned()
}

/// `otlp-grpc` → `TREFOIL_OTLP_GRPC`.
pub(crate) fn variable_name(flag: &str) -> String {
    format!("TREFOIL_{}", flag.replace('-', "_").to_ascii_uppercase())
}

/// The variables of this process.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The known name nearest to what was typed, if one is near enough to be meant.
pub(crate) fn nearest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (distance(typed, name), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .map(|(_, name)| name)
}

/// `; did you mean …?`, or nothing.
pub(crate) fn did_you_mean(hint: Option<&str>) -> String {
    hint.map(|hint| format!("; did you mean `{hint}`?")).unwrap_or_default()
}

fn unknown(flag: &str, hint: Option<String>) -> String {
    format!("unknown flag {flag}{}", did_you_mean(hint.as_deref()))
}

fn text(word: std::ffi::OsString) -> Result<String, String> {
    word.into_string().map_err(|word| format!("{} is not UTF-8", word.to_string_lossy()))
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
