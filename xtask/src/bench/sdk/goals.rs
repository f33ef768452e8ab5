//! What the crate is to reach. Times move with the machine, so a goal that is missed is told
//! and fails nothing.

use super::super::{Figure, rounded};

/// A figure by name, and the most it may be; the least where `least` says so.
struct Goal {
    case: &'static str,
    bound: f64,
    least: bool,
    /// Where the time goes, as a profile showed it when the goal was last missed.
    spent: &'static str,
}

const fn at_most(case: &'static str, bound: f64) -> Goal {
    Goal { case, bound, least: false, spent: "" }
}

const fn at_least(case: &'static str, bound: f64) -> Goal {
    Goal { case, bound, least: true, spent: "" }
}

impl Goal {
    const fn spent(self, spent: &'static str) -> Goal {
        Goal { spent, ..self }
    }
}

/// The time that an exit may take, and what a busy machine adds to it.
const EXIT_MS: f64 = 1_050.0;

const GOALS: &[Goal] = &[
    at_most("span pair · trefoil · time", 250.0).spent(
        "some 3,770 instructions, 330 of them tracing's own (24 ns, see `tracing, ids only`): \
         five readings of the clock are 47 ns, seven locked instructions 20, beginning the two \
         spans takes 1,410 instructions with a third of that for their fields, ending them 1,070, \
         the event 650, entering and leaving 320",
    ),
    at_most("span pair · trefoil · allocations", 0.0),
    at_most("sampled out · trefoil, errors kept · time", 150.0).spent(
        "as for a span that leaves: until its root ends it may have to, so all is recorded, \
         and the child is encoded and held; the way to the queue and encoding the root are \
         spared, but a trace is begun, joined and left. Clock and tracing alone are 71 ns",
    ),
    at_most("counter · trefoil · time", 8.0),
    at_most("counter, 2 threads · trefoil · time", 16.0),
    at_most("histogram · trefoil · time", 16.0),
    at_most("histogram, 2 threads · trefoil · time", 32.0),
    at_most("http request · added by trefoil", 800.0).spent(
        "some 7,850 instructions: axum's own layering, which a layer that does nothing pays for, \
         is 150 ns; the rest is spread over the span, entered three times, its attributes, the \
         line of the access log, three instruments, and copies of requests and futures",
    ),
    at_least("server · trefoil / bare", 0.88).spent(
        "as for a request within the process; on two cores the exporter's thread shares them \
         with the server and its load",
    ),
    at_most("clean build · added by trefoil", 30.0).spent(
        "TLS: ring (much of it C and assembly), rustls and what is compiled against them are \
         nearly half; services whose receivers are on the same host can do without \
         (`default-features = false`), which keeps the goal",
    ),
];

/// Of each kind of outage.
const OUTAGE_GOALS: &[Goal] = &[
    at_most("trefoil · peak RSS", 16_000.0),
    at_most("trefoil · p99.9 / well", 1.1),
    at_most("trefoil · exit", EXIT_MS),
];

/// Prints which goals are missed, and by how much.
pub(super) fn tell(figures: &[Figure]) {
    let (mut measured, mut missed) = (0, Vec::new());
    for figure in figures {
        let Some(goal) = goal_of(&figure.case) else { continue };
        measured += 1;
        missed.extend(goal.missed_by(figure));
    }
    println!("\n{} of {measured} goals reached", measured - missed.len());
    missed.iter().for_each(|line| println!("missed: {line}"));
}

fn goal_of(case: &str) -> Option<&'static Goal> {
    let outage = case.strip_prefix("outage · ").and_then(|rest| rest.split_once(" · "));
    match outage {
        Some((_, what)) => OUTAGE_GOALS.iter().find(|goal| goal.case == what),
        None => GOALS.iter().find(|goal| goal.case == case),
    }
}

impl Goal {
    fn missed_by(&self, figure: &Figure) -> Option<String> {
        let (value, bound) = (figure.value, self.bound);
        let reached = if self.least { value >= bound } else { value <= bound };
        if reached {
            return None;
        }
        let side = if self.least { "at least" } else { "at most" };
        let Figure { case, unit, .. } = figure;
        let (value, bound) = (rounded(value), rounded(bound));
        let mut line = format!("{case} is {value} {unit}, goal {side} {bound}");
        if self.bound > 0.0 {
            line.push_str(&format!(" ({:.2} of it)", figure.value / self.bound));
        }
        if !self.spent.is_empty() {
            line.push_str(&format!("; where it goes: {}", self.spent));
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_goal_says_by_how_much() {
        let figure = |value| Figure::new("x", value, "ns");
        assert_eq!(at_most("x", 250.0).missed_by(&figure(250.0)), None);
        let missed = at_most("x", 250.0).missed_by(&figure(500.0));
        assert_eq!(missed.as_deref(), Some("x is 500 ns, goal at most 250 (2.00 of it)"));
        assert_eq!(at_least("x", 0.88).missed_by(&figure(0.9)), None);
        let missed = at_least("x", 0.8).missed_by(&figure(0.4));
        assert_eq!(missed.as_deref(), Some("x is 0.40 ns, goal at least 0.80 (0.50 of it)"));
        let missed = at_most("x", 1.0).spent("in waiting").missed_by(&figure(2.0));
        let expect = "x is 2.00 ns, goal at most 1.00 (2.00 of it); where it goes: in waiting";
        assert_eq!(missed.as_deref(), Some(expect));
        let missed = at_most("x", 0.0).missed_by(&figure(2.0));
        assert_eq!(missed.as_deref(), Some("x is 2.00 ns, goal at most 0.00"));
    }

    #[test]
    fn every_outage_has_the_same_goals() {
        let goal = |case| goal_of(case).map(|goal| goal.bound);
        assert_eq!(goal("outage · tls · trefoil · p99.9 / well"), Some(1.1));
        assert_eq!(goal("outage · refused · trefoil · exit"), Some(EXIT_MS));
        assert_eq!(goal("outage · refused · stock · exit"), None);
    }

    /// A case that is renamed must not take its goal away unseen.
    #[test]
    fn goals_name_cases_that_there_are() {
        let bench = concat!(env!("CARGO_MANIFEST_DIR"), "/../bench/sdk/src");
        let sources: String = ["spans", "metrics", "http"]
            .map(|name| std::fs::read_to_string(format!("{bench}/{name}.rs")).unwrap())
            .concat();
        for Goal { case, .. } in GOALS {
            let derived = ["server", "clean build", "http request · added"];
            if derived.iter().any(|group| case.starts_with(group)) {
                continue;
            }
            let (name, _) = case.rsplit_once(" · ").unwrap();
            assert!(sources.contains(&format!("\"{name}\"")), "no case is called `{name}`");
        }
    }
}
