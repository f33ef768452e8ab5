//! What can be broken on purpose: `--break NAME[=KIND[:PERCENT]]`.

use std::time::Duration;

use crate::dice::Dice;

/// Out of a hundred, if the user does not say.
const DEFAULT_PERCENT: f64 = 30.0;

/// How something is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It fails at once.
    Errors,
    /// It takes seconds.
    Slow,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Errors => "errors",
            Kind::Slow => "slow",
        }
    }
}

/// Something that can be broken.
pub(crate) struct Weakness {
    /// What the user calls it.
    pub(crate) name: &'static str,
    /// How it breaks if the user does not say.
    usual: Kind,
    about: &'static str,
}

/// The order is the order of the list that users see.
const WEAKNESSES: &[Weakness] = &[
    Weakness {
        name: "database",
        usual: Kind::Slow,
        about: "hypersdk's database waits for locks, or reports that it is locked",
    },
    Weakness {
        name: "provider",
        usual: Kind::Errors,
        about: "vSphere refuses exports (`export failed`), or hands disks out slowly",
    },
    Weakness {
        name: "auth",
        usual: Kind::Errors,
        about: "ghostworks cannot check tokens: whoever asks it fails with it",
    },
    Weakness {
        name: "vmm",
        usual: Kind::Errors,
        about: "hypeman's hypervisor refuses to boot machines, or boots them slowly",
    },
    Weakness {
        name: "billing",
        usual: Kind::Errors,
        about: "metald's billing batches do not arrive; only background work suffers",
    },
];

/// What is broken, and how often.
#[derive(Clone, Debug, Default)]
pub struct Breaks(Vec<Broken>);

#[derive(Clone, Debug)]
struct Broken {
    name: &'static str,
    kind: Kind,
    percent: f64,
}

impl Breaks {
    /// Adds what `NAME[=KIND[:PERCENT]]` says, such as `database`, `provider=errors:20%`.
    ///
    /// # Errors
    /// A line for the user that names what there is to choose from.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let (name, how) = text.split_once('=').unwrap_or((text, ""));
        let weakness = WEAKNESSES.iter().find(|weakness| weakness.name == name.trim());
        let weakness = weakness.ok_or_else(|| {
            let names: Vec<_> = WEAKNESSES.iter().map(|weakness| weakness.name).collect();
            format!("nothing called `{name}` can be broken; there is: {}", names.join(", "))
        })?;
        let (kind, percent) = how.split_once(':').unwrap_or((how, ""));
        let kind = match kind.trim() {
            "" => weakness.usual,
            "errors" => Kind::Errors,
            "slow" => Kind::Slow,
            other => return Err(format!("`{other}` is no way to break: errors or slow is")),
        };
        let percent = match percent.trim().trim_end_matches('%') {
            "" => DEFAULT_PERCENT,
            number => number
                .parse()
                .ok()
                .filter(|percent| (0.0..=100.0).contains(percent))
                .ok_or_else(|| format!("`{percent}` is no share: 0% to 100% is"))?,
        };
        self.0.push(Broken { name: weakness.name, kind, percent });
        Ok(())
    }

    /// What happens to the thing this time.
    pub(crate) fn blow(&self, name: &str, dice: &Dice) -> Blow {
        debug_assert!(WEAKNESSES.iter().any(|weakness| weakness.name == name), "{name}");
        let mut blow = Blow::default();
        for broken in self.0.iter().filter(|broken| broken.name == name) {
            if !dice.percent(broken.percent) {
                continue;
            }
            match broken.kind {
                Kind::Errors => blow.fails = true,
                Kind::Slow => blow.wait = Duration::from_millis(1500) + dice.latency(1000.0),
            }
        }
        blow
    }

    /// Whether the thing fails this time. If it is slow this time, waits first.
    pub(crate) async fn strike(&self, name: &str, dice: &Dice) -> bool {
        let blow = self.blow(name, dice);
        if !blow.wait.is_zero() {
            tokio::time::sleep(blow.wait).await;
        }
        blow.fails
    }

    /// As texts that [`Breaks::add`] takes.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = String> {
        self.0
            .iter()
            .map(|Broken { name, kind, percent }| format!("{name}={}:{percent}", kind.as_str()))
    }
}

/// What happens to a thing that is broken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Blow {
    pub(crate) fails: bool,
    /// It takes so much longer.
    pub(crate) wait: Duration,
}

/// What can be broken: name, what it is called with no more said, and what happens.
pub fn catalogue() -> impl Iterator<Item = (String, &'static str)> {
    WEAKNESSES.iter().map(|Weakness { name, usual, about }| {
        (format!("{name}={}:{DEFAULT_PERCENT}%", usual.as_str()), *about)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_are_read_as_they_are_listed() {
        let mut breaks = Breaks::default();
        for (example, _) in catalogue() {
            assert_eq!(breaks.add(&example), Ok(()), "{example}");
        }
        let check = |text: &str, kind: Kind, percent: f64| {
            let mut breaks = Breaks::default();
            assert_eq!(breaks.add(text), Ok(()), "{text}");
            assert_eq!((breaks.0[0].kind, breaks.0[0].percent), (kind, percent), "{text}");
            let mut again = Breaks::default();
            for argument in breaks.arguments() {
                assert_eq!(again.add(&argument), Ok(()), "{argument}");
            }
            assert_eq!((again.0[0].kind, again.0[0].percent), (kind, percent), "{text}");
        };
        check("database", Kind::Slow, DEFAULT_PERCENT);
        check("database=errors", Kind::Errors, DEFAULT_PERCENT);
        check("provider=slow:5", Kind::Slow, 5.0);
        check("provider=:12.5%", Kind::Errors, 12.5);
    }

    #[test]
    fn a_wrong_break_is_told_what_there_is() {
        let check = |text: &str, expect: &str| {
            let error = Breaks::default().add(text).expect_err(text);
            assert!(error.contains(expect), "{text}: {error}");
        };
        check("disk", "there is: database, provider");
        check("database=gone", "errors or slow");
        check("database=slow:101%", "0% to 100%");
        check("database=slow:NaN", "0% to 100%");
        check("database=slow:x", "0% to 100%");
    }
}
