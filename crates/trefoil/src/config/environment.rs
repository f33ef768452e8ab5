//! Variables by name, and what was wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::source::{Layer, Source};

/// A variable, or its name after a prefix, and what its value sets.
pub(super) type Rule = (&'static str, fn(&mut Draft, &str, &Source) -> Result<(), String>);

/// The process's variables, or a test's.
#[derive(Debug)]
pub(super) struct Environment<'a> {
    variables: &'a BTreeMap<String, String>,
    warnings: &'a mut BTreeSet<String>,
}

impl<'a> Environment<'a> {
    pub(super) fn new(
        variables: &'a BTreeMap<String, String>,
        warnings: &'a mut BTreeSet<String>,
    ) -> Environment<'a> {
        Environment { variables, warnings }
    }

    /// A variable's value; an empty one counts as unset, as the specification has it.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Names and values of variables that begin so; the names without the beginning.
    pub(super) fn beginning_with(&self, prefix: &str) -> Vec<(&'a str, &'a str)> {
        let from_prefix = self.variables.range(prefix.to_owned()..);
        let with_prefix = from_prefix.map_while(|(name, _)| name.strip_prefix(prefix));
        let names = with_prefix.collect::<Vec<_>>();
        let value = |name: &'a str| Some((name, self.get(&format!("{prefix}{name}"))?));
        names.into_iter().filter_map(value).collect()
    }

    /// Applies a table of variables.
    pub(super) fn apply(&mut self, draft: &mut Draft, layer: Layer, prefix: &str, rules: &[Rule]) {
        for (name, set) in rules {
            let name = format!("{prefix}{name}");
            self.one(layer, &name, |value, source| set(draft, value, source));
        }
    }

    /// Applies one variable if it is set. What it cannot mean is told and changes nothing, so
    /// that the weaker layers' value stands.
    pub(super) fn one(
        &mut self,
        layer: Layer,
        name: &str,
        set: impl FnOnce(&str, &Source) -> Result<(), String>,
    ) {
        let Some(value) = self.get(name) else { return };
        if let Err(problem) = set(value, &Source::named(layer, name)) {
            self.warn(name, value, &problem);
        }
    }

    pub(super) fn warn(&mut self, name: &str, value: &str, problem: &str) {
        // Headers carry keys; whoever set them knows where to look.
        let secret = name.ends_with("HEADERS");
        self.note(if secret {
            format!("{name}: {problem}")
        } else {
            format!("{name}={}: {problem}", shortened(value))
        });
    }

    /// A warning about something else than the value of one variable.
    pub(super) fn note(&mut self, warning: String) {
        self.warnings.insert(warning);
    }
}

/// Long enough to recognise, short enough for a line.
fn shortened(value: &str) -> String {
    const CHARS_MAX: usize = 80;
    match value.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}
