//! Random traces on random threads against a model that fits on a page.
//!
//! A history is a list of steps, each done by one of a few threads, one after the other. The
//! model knows only what is promised: a local trace is decided by its first span that fails,
//! by being asked for, or by the end of its root; what ended before leaves if it is kept,
//! what ends later follows, and what fails late leaves alone.

use std::collections::BTreeMap;
use std::sync::mpsc;

use tracing::{Span, error, info_span};

use super::*;
use crate::id::Random;

#[test]
fn m4_random_traces_leave_as_promised() {
    let seeds = match std::env::var("TREFOIL_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..150).collect::<Vec<u64>>(),
    };
    for seed in seeds {
        let again = "TREFOIL_SEED=<seed> cargo test -p trefoil m4_random_traces";
        let result = std::panic::catch_unwind(|| check(seed));
        assert!(result.is_ok(), "seed {seed}; to run it again: {again}");
    }
}

const THREADS: usize = 3;

/// Shares, and the 56 bits from which on a trace is sampled: four digits of them count,
/// behind the leading `f`.
const SHARES: [(f64, u64); 5] = [
    (0.0, 1 << 56),
    (0.01, 0xfd_70a0_0000_0000),
    (0.3, 0xb3_3300_0000_0000),
    (0.5, 0x80_0000_0000_0000),
    (0.9, 0x19_9900_0000_0000),
];

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A new span: its number is the next one.
    Begin(Of),
    Fail(usize),
    Keep(usize),
    End(usize),
}

/// Whose child.
#[derive(Clone, Copy, Debug)]
enum Of {
    Nobody,
    Remote {
        sampled: bool,
    },
    /// A span, by its handle or by a context that was taken from it when it began.
    Span(usize),
    Context(usize),
}

fn check(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let share = SHARES[dice.below(SHARES.len())];
    let steps = history(&mut dice);
    let rig = Rig::new(&settings(SamplerSettings::Ratio(share.0)));
    let begun = carry_out(&rig, &steps, &mut dice);
    let expect = Model::new(share, &begun).run(&steps);

    let mut seen = BTreeMap::new();
    for span in rig.left() {
        let number: usize = span.attributes["n"].parse().unwrap();
        let parent = match begun.iter().position(|context| id(context) == span.parent) {
            Some(parent) => Some(parent),
            None if span.parent == "05".repeat(8) => Some(usize::MAX),
            None => None,
        };
        let mark = span.attributes.get("sampling.reason").cloned().unwrap_or_default();
        let weight = span.attributes["sampling.probability"].parse::<f64>().unwrap();
        let old = seen.insert(number, (mark, weight, parent));
        assert_eq!(old, None, "span {number} left twice");
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), expect.keys().collect::<Vec<_>>(), "{steps:?}");
    for (number, (mark, weight, parent)) in &expect {
        let (seen_mark, seen_weight, seen_parent) = &seen[number];
        assert_eq!((mark, parent), (seen_mark, seen_parent), "span {number} of {steps:?}");
        assert!((weight - seen_weight).abs() < 1e-3, "{weight} {seen_weight}");
    }
    let counts = rig.counts();
    assert_eq!(counts.produced, begun.len() as u64);
    assert_eq!(counts.produced, counts.sampled_out + seen.len() as u64);
    assert_eq!(rig.spans.0.alive(), (0, 0), "open spans and undecided traces are left over");
}

fn id(context: &SpanContext) -> String {
    context.span_id.to_string()
}

/// A random history in which every span ends.
fn history(dice: &mut Dice) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut open = Vec::new();
    let mut begun = 0;
    let length = 10 + dice.below(80);
    while steps.len() < length || !open.is_empty() {
        let any = |dice: &mut Dice, open: &[usize]| open[dice.below(open.len())];
        let choice = if steps.len() >= length { 9 } else { dice.below(10) };
        match choice {
            0 if !open.is_empty() && dice.below(3) == 0 => steps.push(Step::Fail(any(dice, &open))),
            1 if !open.is_empty() && dice.below(4) == 0 => steps.push(Step::Keep(any(dice, &open))),
            2..=5 if !open.is_empty() => {
                let of = match dice.below(5) {
                    0 => Of::Context(dice.below(begun)),
                    _ => Of::Span(any(dice, &open)),
                };
                steps.push(Step::Begin(of));
                open.push(begun);
                begun += 1;
            }
            8.. if !open.is_empty() => {
                let ended = open.swap_remove(dice.below(open.len()));
                steps.push(Step::End(ended));
            }
            _ if steps.len() < length => {
                let of = match dice.below(4) {
                    0 => Of::Remote { sampled: dice.below(2) == 0 },
                    _ => Of::Nobody,
                };
                steps.push(Step::Begin(of));
                open.push(begun);
                begun += 1;
            }
            _ => {}
        }
    }
    steps
}

/// Does the steps on several threads, and says which spans there were.
fn carry_out(rig: &Rig, steps: &[Step], dice: &mut Dice) -> Vec<SpanContext> {
    type Work<'a> = Box<dyn FnOnce() + Send + 'a>;
    let spans: Mutex<Vec<Option<Span>>> = Mutex::default();
    let contexts: Mutex<Vec<Context>> = Mutex::default();
    std::thread::scope(|scope| {
        let (done, is_done) = mpsc::channel();
        let threads: Vec<mpsc::Sender<Work<'_>>> = (0..THREADS)
            .map(|_| {
                let (sender, receiver) = mpsc::channel::<Work<'_>>();
                let done = done.clone();
                scope.spawn(move || {
                    rig.run(|| {
                        for work in receiver {
                            work();
                            done.send(()).unwrap();
                        }
                    });
                });
                sender
            })
            .collect();
        for step in steps {
            let (spans, contexts) = (&spans, &contexts);
            let work = move || one(*step, spans, contexts);
            threads[dice.below(THREADS)].send(Box::new(work)).unwrap();
            is_done.recv().unwrap();
        }
    });
    contexts.into_inner().unwrap().into_iter().map(|context| context.span.unwrap()).collect()
}

fn one(step: Step, spans: &Mutex<Vec<Option<Span>>>, contexts: &Mutex<Vec<Context>>) {
    let handle = |number: usize| spans.lock().unwrap()[number].clone().unwrap();
    match step {
        Step::Begin(of) => {
            let n = spans.lock().unwrap().len();
            let attach = |context: Context| {
                let _attached = context.attach();
                info_span!("span", n)
            };
            let span = match of {
                Of::Nobody => info_span!(parent: None, "span", n),
                Of::Remote { sampled } => attach(remote(sampled)),
                Of::Context(other) => {
                    let context = contexts.lock().unwrap()[other].clone();
                    attach(context)
                }
                Of::Span(parent) => handle(parent).in_scope(|| info_span!("span", n)),
            };
            contexts.lock().unwrap().push(span.context());
            spans.lock().unwrap().push(Some(span));
        }
        Step::Fail(number) => handle(number).in_scope(|| error!("failed")),
        Step::Keep(number) => handle(number).keep("asked"),
        Step::End(number) => {
            let span = spans.lock().unwrap()[number].take();
            drop(span);
        }
    }
}

fn remote(sampled: bool) -> Context {
    let random: [u8; 16] = Random::new().trace_id(0).0;
    let span = SpanContext {
        trace_id: TraceId(random),
        span_id: SpanId([5; 8]),
        flags: TraceFlags(sampled.into()),
        state: crate::context::TraceState::default(),
        remote: true,
    };
    Context::new(Some(span), crate::context::Baggage::default())
}

/// What is promised.
struct Model<'a> {
    /// One of [`SHARES`].
    share: (f64, u64),
    begun: &'a [SpanContext],
    /// By span: its local trace, its parent, whether it failed.
    spans: Vec<(usize, Option<usize>, bool)>,
    traces: Vec<Local>,
    left: BTreeMap<usize, Expected>,
}

/// Reason, weight, parent: another span, or `usize::MAX` for the one in another process.
type Expected = (String, f64, Option<usize>);

struct Local {
    root: usize,
    sampled: bool,
    open: usize,
    ended: Vec<usize>,
    verdict: Option<Option<(&'static str, f64)>>,
}

impl Model<'_> {
    fn new(share: (f64, u64), begun: &[SpanContext]) -> Model<'_> {
        Model { share, begun, spans: Vec::new(), traces: Vec::new(), left: BTreeMap::new() }
    }

    fn run(mut self, steps: &[Step]) -> BTreeMap<usize, Expected> {
        for step in steps {
            match *step {
                Step::Begin(of) => self.begin(of),
                Step::Fail(number) => self.spans[number].2 = true,
                Step::Keep(number) => {
                    let trace = self.spans[number].0;
                    self.decide(trace, Some(("asked", 1.0)));
                }
                Step::End(number) => self.end(number),
            }
        }
        self.left
    }

    fn begin(&mut self, of: Of) {
        let number = self.spans.len();
        let parent = match of {
            Of::Nobody => None,
            Of::Remote { .. } => Some(usize::MAX),
            Of::Span(parent) | Of::Context(parent) => Some(parent),
        };
        let joined = parent.filter(|parent| *parent != usize::MAX);
        let joined = joined.map(|parent| self.spans[parent].0);
        let trace = match joined.filter(|trace| self.traces[*trace].open > 0) {
            Some(trace) => trace,
            None => {
                let random = self.begun[number].trace_id.0;
                let random = u64::from_be_bytes(random[8..].try_into().unwrap()) & ((1 << 56) - 1);
                let sampled = random >= self.share.1;
                let ended = Vec::new();
                self.traces.push(Local { root: number, sampled, open: 0, ended, verdict: None });
                self.traces.len() - 1
            }
        };
        self.traces[trace].open += 1;
        self.spans.push((trace, parent, false));
    }

    fn end(&mut self, number: usize) {
        let (at, _, failed) = self.spans[number];
        self.traces[at].ended.push(number);
        if failed {
            self.decide(at, Some(("error", 1.0)));
        }
        let trace = &self.traces[at];
        if trace.root == number {
            let by_sampler = trace.sampled.then_some(("ratio", self.share.0));
            self.decide(at, by_sampler);
        }
        let trace = &mut self.traces[at];
        trace.open -= 1;
        match trace.verdict {
            None => {}
            Some(kept) => {
                let late = failed.then_some(("late_error", 1.0));
                trace.ended.retain(|ended| *ended != number);
                self.leave(number, kept.or(late));
            }
        }
    }

    fn decide(&mut self, at: usize, verdict: Option<(&'static str, f64)>) {
        let trace = &mut self.traces[at];
        if trace.verdict.is_none() {
            trace.verdict = Some(verdict);
            for ended in std::mem::take(&mut trace.ended) {
                self.leave(ended, verdict);
            }
        }
    }

    fn leave(&mut self, number: usize, kept: Option<(&'static str, f64)>) {
        if let Some((reason, weight)) = kept {
            let expected = (reason.to_owned(), weight, self.spans[number].1);
            self.left.insert(number, expected);
        }
    }
}

/// Numbers that a seed repeats: xorshift64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

impl Store {
    /// Open spans and undecided traces.
    pub(super) fn alive(&self) -> (usize, usize) {
        let open = (0..self.open.used()).filter(|at| self.open.at(*at, |_| ()).is_some()).count();
        let traces =
            (0..self.undecided.used()).filter(|at| self.undecided.at(*at, |_| ()).is_some());
        (open, traces.count())
    }
}
