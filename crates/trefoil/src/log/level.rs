//! Which events are wanted: a level for all, and levels by subsystem or target, which may
//! change while the program runs.

use std::sync::{Arc, PoisonError, RwLock};

use tracing_core::subscriber::Interest;
use tracing_core::{LevelFilter, Metadata};

use super::subsystem;

/// Levels that may be changed.
#[derive(Debug)]
pub(crate) struct Levels(RwLock<Arc<Directives>>);

impl Levels {
    /// Levels from directives such as `info,images=debug,hyper=warn`. What cannot be read
    /// is left out; [`Directives::parse`] says what that was.
    pub(crate) fn new(text: &str) -> Levels {
        Levels(RwLock::new(Arc::new(Directives::parse(text).0)))
    }

    /// Never or always; "sometimes" where the subsystem that a span or the event names may
    /// change the answer.
    pub(crate) fn interest(&self, metadata: &Metadata<'_>, subsystem: &str) -> Interest {
        let directives = self.read();
        let level = *metadata.level();
        let wanted = level <= directives.level(metadata.target(), subsystem);
        let is_other =
            |directive: &Directive| !directive.is_path() && (level <= directive.level) != wanted;
        match wanted {
            _ if directives.named.iter().any(is_other) => Interest::sometimes(),
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    pub(crate) fn enabled(
        &self,
        target: &str,
        subsystem: &str,
        level: tracing_core::Level,
    ) -> bool {
        level <= self.read().level(target, subsystem)
    }

    /// The most that any directive lets through.
    pub(crate) fn max(&self) -> LevelFilter {
        let directives = self.read();
        let named = directives.named.iter().map(|directive| directive.level);
        named.fold(directives.otherwise, LevelFilter::max)
    }

    /// Sets the level of a subsystem or target, or of all others if the name is empty.
    pub(crate) fn set(&self, name: &str, level: LevelFilter) {
        {
            let mut directives = self.0.write().unwrap_or_else(PoisonError::into_inner);
            Arc::make_mut(&mut directives).set(name, level);
        }
        // Callsites remember whether they are wanted.
        tracing_core::callsite::rebuild_interest_cache();
    }

    fn read(&self) -> Arc<Directives> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A level for all, and those of some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directives {
    otherwise: LevelFilter,
    named: Vec<Directive>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Directive {
    /// `hypeman::images`, `hyper` or `IMAGES`.
    name: String,
    level: LevelFilter,
}

impl Directive {
    fn is_path(&self) -> bool {
        self.name.contains("::")
    }

    /// Whether it is the target's path or one above it.
    fn holds(&self, target: &str) -> bool {
        let rest = target.strip_prefix(self.name.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

impl Directives {
    /// Reads `level` and `name=level`, parted by commas; the later of two for one name
    /// counts. Also says what could not be read.
    pub(crate) fn parse(text: &str) -> (Directives, Vec<String>) {
        let mut directives = Directives { otherwise: LevelFilter::INFO, named: Vec::new() };
        let mut problems = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, level) = part.split_once('=').unwrap_or(("", part));
            match parse_level(level) {
                Some(level) => directives.set(name.trim(), level),
                None => problems.push(format!(
                    "`{part}`: `{}` is no level; trace, debug, info, warn, error, fatal and off are",
                    level.trim()
                )),
            }
        }
        (directives, problems)
    }

    fn set(&mut self, name: &str, level: LevelFilter) {
        if name.is_empty() {
            self.otherwise = level;
            return;
        }
        self.named.retain(|directive| directive.name != name);
        self.named.push(Directive { name: name.to_owned(), level });
    }

    /// A module's path counts more than the subsystem, the longer path more than the
    /// shorter, the subsystem more than the crate.
    fn level(&self, target: &str, subsystem: &str) -> LevelFilter {
        let specific = |directive: &&Directive| match directive.holds(target) {
            true if directive.is_path() => Some((2, directive.name.len())),
            _ if subsystem::is_same(&directive.name, subsystem) => Some((1, 0)),
            true => Some((0, 0)),
            false => None,
        };
        let found = self.named.iter().filter(|directive| specific(directive).is_some());
        found.max_by_key(specific).map_or(self.otherwise, |directive| directive.level)
    }
}

/// A level by its name in any case. There is nothing above FATAL to let it through alone,
/// so it lets ERROR through, too.
pub(crate) fn parse_level(text: &str) -> Option<LevelFilter> {
    let levels = [
        (LevelFilter::TRACE, &["trace"][..]),
        (LevelFilter::DEBUG, &["debug"]),
        (LevelFilter::INFO, &["info", "information"]),
        (LevelFilter::WARN, &["warn", "warning"]),
        (LevelFilter::ERROR, &["error", "err", "fatal", "critical"]),
        (LevelFilter::OFF, &["off", "none"]),
    ];
    let text = text.trim();
    let named = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(text));
    levels.into_iter().find(|(_, names)| named(names)).map(|(level, _)| level)
}
