//! Which traces leave: decided once, where a trace enters the process.

mod limiter;
mod operation;
mod remote;
mod threshold;

pub(crate) use remote::Remote;
pub(crate) use threshold::{has_threshold, probability, with_threshold};

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::SamplerSettings;
use crate::context::{SpanContext, TraceState};
use crate::id::TraceId;
use limiter::Limiter;
use operation::Operation;

/// Decides about traces.
#[derive(Debug)]
pub(crate) struct Sampler {
    node: Node,
    remotes: Vec<Arc<Remote>>,
}

/// A local root as it begins.
pub(crate) struct Start<'a> {
    pub(crate) parent: Option<&'a SpanContext>,
    /// What the caller decided, if it is no parent.
    pub(crate) decided: Option<bool>,
    pub(crate) trace_id: TraceId,
    pub(crate) name: &'a str,
    pub(crate) now_ns: u64,
    /// Attributes that the span begins with, as text.
    pub(crate) attribute: &'a dyn Fn(&str) -> Option<Cow<'a, str>>,
}

/// What becomes of a trace if none of its spans is worth keeping for its own sake.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decision {
    pub(crate) sampled: bool,
    /// The rejection threshold of consistent sampling (of 2^56) when the probability is known
    /// and less than 1. Sampled without one means for certain: nothing has to wait for the
    /// end of the local root. (Or a caller sampled it and did not say how probably.)
    pub(crate) threshold: Option<u64>,
    /// `always_on`, `always_off`, `ratio`, `rate_limited`, `operation`, `remote` or `parent`.
    pub(crate) reason: &'static str,
    /// Replaces the parent's `tracestate`; `None` leaves it as it is.
    pub(crate) state: Option<TraceState>,
}

impl Sampler {
    pub(crate) fn new(settings: &SamplerSettings) -> Sampler {
        let mut remotes = Vec::new();
        Sampler { node: Node::new(settings, &mut remotes), remotes }
    }

    /// What becomes of the trace.
    pub(crate) fn decide(&self, start: &Start<'_>) -> Decision {
        self.node.decide(start)
    }

    /// Whether all traces that begin here are sampled.
    pub(crate) fn samples_all_new(&self) -> bool {
        match &self.node {
            Node::AlwaysOn => true,
            Node::ParentBased { root } => matches!(**root, Node::AlwaysOn),
            _ => false,
        }
    }

    /// Strategies that someone must ask for; see [`Remote`].
    pub(crate) fn remotes(&self) -> &[Arc<Remote>] {
        &self.remotes
    }
}

/// A sampler as it decides, possibly one of several in another.
#[derive(Debug)]
pub(in crate::sample) enum Node {
    AlwaysOn,
    AlwaysOff,
    Ratio {
        threshold: u64,
        /// The `tracestate` of a sampled trace without another, made once.
        state: TraceState,
    },
    RateLimited(Limiter),
    PerOperation {
        rules: Vec<(Operation, Node)>,
        otherwise: Box<Node>,
    },
    ParentBased {
        root: Box<Node>,
    },
    Remote(Arc<Remote>),
}

impl Node {
    fn new(settings: &SamplerSettings, remotes: &mut Vec<Arc<Remote>>) -> Node {
        match settings {
            SamplerSettings::AlwaysOn => Node::AlwaysOn,
            SamplerSettings::AlwaysOff => Node::AlwaysOff,
            SamplerSettings::Ratio(share) => Node::ratio(*share),
            SamplerSettings::RateLimited(per_second) => Node::rate_limited(*per_second),
            SamplerSettings::PerOperation { rules, otherwise } => Node::PerOperation {
                rules: rules
                    .iter()
                    .map(|rule| (Operation::new(rule), Node::new(&rule.sampler, remotes)))
                    .collect(),
                otherwise: Box::new(Node::new(otherwise, remotes)),
            },
            SamplerSettings::ParentBased { root } => {
                Node::ParentBased { root: Box::new(Node::new(root, remotes)) }
            }
            SamplerSettings::JaegerRemote { endpoint, interval, initial } => {
                let initial = Node::new(initial, remotes);
                let remote = Arc::new(Remote::new(endpoint, *interval, initial));
                remotes.push(Arc::clone(&remote));
                Node::Remote(remote)
            }
        }
    }

    fn ratio(share: f64) -> Node {
        match threshold::from_probability(share) {
            0 => Node::AlwaysOn,
            threshold::NEVER => Node::AlwaysOff,
            threshold => Node::Ratio {
                threshold,
                state: with_threshold(&TraceState::default(), Some(threshold)),
            },
        }
    }

    fn rate_limited(per_second: f64) -> Node {
        if per_second > 0.0 { Node::RateLimited(Limiter::new(per_second)) } else { Node::AlwaysOff }
    }

    fn decide(&self, start: &Start<'_>) -> Decision {
        match self {
            Node::AlwaysOn => start.certain("always_on"),
            Node::AlwaysOff => start.left_out("always_off"),
            Node::Ratio { threshold, state } => {
                if start.randomness() < *threshold {
                    return start.left_out("ratio");
                }
                let state = match start.state() {
                    None => state.clone(),
                    Some(parent) => with_threshold(parent, Some(*threshold)),
                };
                Decision {
                    sampled: true,
                    threshold: Some(*threshold),
                    reason: "ratio",
                    state: Some(state),
                }
            }
            Node::RateLimited(limiter) => match limiter.admit(start.now_ns, start.randomness()) {
                None => start.left_out("rate_limited"),
                Some(0) => start.certain("rate_limited"),
                Some(threshold) => start.share(threshold, "rate_limited"),
            },
            Node::PerOperation { rules, otherwise } => {
                match rules.iter().find(|(operation, _)| operation.matches(start)) {
                    Some((_, node)) => Decision { reason: "operation", ..node.decide(start) },
                    None => otherwise.decide(start),
                }
            }
            Node::ParentBased { root } => match (start.parent, start.decided) {
                (Some(parent), _) if !parent.flags.is_deferred() => start.follow(parent),
                (None, Some(sampled)) => {
                    Decision { sampled, threshold: None, reason: "parent", state: None }
                }
                _ => root.decide(start),
            },
            Node::Remote(remote) => Decision { reason: "remote", ..remote.decide(start) },
        }
    }
}

impl<'a> Start<'a> {
    /// The parent's `tracestate`, unless it is empty.
    fn state(&self) -> Option<&'a TraceState> {
        self.parent.map(|parent| &parent.state).filter(|state| !state.is_empty())
    }

    /// The 56 bits by which all samplers of the trace decide alike: `rv` of the `tracestate`,
    /// else the last ones of the trace id. As OpenTelemetry's specification of probability
    /// sampling says, they are presumed random even when the flag does not say so.
    fn randomness(&self) -> u64 {
        self.state()
            .and_then(|state| threshold::Ot::of(state).randomness)
            .unwrap_or_else(|| self.trace_id.randomness())
    }

    fn certain(&self, reason: &'static str) -> Decision {
        Decision { sampled: true, threshold: None, reason, state: self.without_threshold() }
    }

    fn share(&self, threshold: u64, reason: &'static str) -> Decision {
        let empty = TraceState::default();
        let state = with_threshold(self.state().unwrap_or(&empty), Some(threshold));
        Decision { sampled: true, threshold: Some(threshold), reason, state: Some(state) }
    }

    fn left_out(&self, reason: &'static str) -> Decision {
        Decision { sampled: false, threshold: None, reason, state: self.without_threshold() }
    }

    /// A threshold that an earlier sampler wrote says nothing about this decision.
    fn without_threshold(&self) -> Option<TraceState> {
        let state = self.state()?;
        threshold::Ot::of(state).threshold.map(|_| with_threshold(state, None))
    }

    /// What the caller decided, with the probability it says it did it with.
    fn follow(&self, parent: &SpanContext) -> Decision {
        let kept =
            |sampled, threshold, state| Decision { sampled, threshold, reason: "parent", state };
        if !parent.flags.is_sampled() {
            return kept(false, None, None);
        }
        let Some(state) = self.state() else { return kept(true, None, None) };
        match threshold::Ot::of(state).threshold {
            Some(threshold) if threshold <= self.randomness() => {
                kept(true, Some(threshold).filter(|t| *t > 0), None)
            }
            // It cannot have been sampled with that threshold, so the probability is unknown.
            Some(_) => kept(true, None, Some(with_threshold(state, None))),
            None => kept(true, None, None),
        }
    }
}

#[cfg(test)]
mod tests;
