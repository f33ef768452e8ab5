//! Which spans are open, and for how long.

use std::collections::HashMap;
use std::time::Duration;

use super::Spans;

/// The open spans at one moment.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) open: u64,
    /// Those that are older than was asked for: how many by name.
    pub(crate) old: HashMap<&'static str, u64>,
    /// The age of the oldest of those.
    pub(crate) oldest: Option<Duration>,
}

impl Spans {
    /// Looks at each place once; spans that begin or end meanwhile may be seen or not.
    pub(crate) fn survey(&self, now_ns: u64, older_than: Duration) -> Survey {
        let mut survey = Survey::default();
        for index in 0..self.0.open.used() {
            let seen = self.0.open.at(index, |open| (open.name, open.start_ns));
            let Some((name, start_ns)) = seen else { continue };
            survey.open += 1;
            let age = Duration::from_nanos(now_ns.saturating_sub(start_ns));
            if age >= older_than {
                *survey.old.entry(name).or_default() += 1;
                survey.oldest = survey.oldest.max(Some(age));
            }
        }
        survey
    }
}
