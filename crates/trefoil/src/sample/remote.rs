//! Strategies that Jaeger hands out for a service.
//!
//! Source: Jaeger's `sampling.proto` in its JSON form, as `GET /sampling?service=…` of an agent
//! or collector answers. A strategy is a share, a limit, or a share for each operation with a
//! lower bound so that rare operations are seen, too.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use trefoil_wire::json::{self, Kind, Reader};

use super::limiter::Limiter;
use super::{Decision, Node, Start};

/// Operations of a strategy; the rest is sampled by its default.
const OPERATIONS_MAX: usize = 2000;

/// A strategy that is asked for now and then. The exporter's thread does it: it gets
/// [`Remote::url`] every [`Remote::interval`] and gives the answer to [`Remote::apply`].
#[derive(Debug)]
pub(crate) struct Remote {
    endpoint: String,
    interval: Duration,
    strategy: RwLock<Strategy>,
}

impl Remote {
    pub(super) fn new(endpoint: &str, interval: Duration, initial: Node) -> Remote {
        let strategy = RwLock::new(Strategy::All(initial));
        Remote { endpoint: endpoint.to_owned(), interval, strategy }
    }

    /// As it was configured, for people.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Where the strategy for a service is.
    pub(crate) fn url(&self, service: &str) -> String {
        let endpoint = self.endpoint.trim_end_matches('/');
        let place = endpoint.split_once("://").map_or(endpoint, |(_, place)| place);
        // Agents and collectors hand them out here, whatever is not said.
        let path = if place.contains(['/', '?']) { "" } else { "/sampling" };
        let separator = if place.contains('?') { '&' } else { '?' };
        let service = crate::propagate::percent_encoded(service);
        format!("{endpoint}{path}{separator}service={service}")
    }

    /// How often to ask.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// Takes an answer over. On an error the last strategy stays.
    pub(crate) fn apply(&self, answer: &[u8]) -> Result<(), json::Error> {
        let strategy = Answer::read(answer)?.into_strategy();
        *self.strategy.write().unwrap_or_else(PoisonError::into_inner) = strategy;
        Ok(())
    }

    pub(super) fn decide(&self, start: &Start<'_>) -> Decision {
        self.strategy.read().unwrap_or_else(PoisonError::into_inner).decide(start)
    }
}

#[derive(Debug)]
enum Strategy {
    All(Node),
    Operations {
        shares: HashMap<String, Node>,
        otherwise: Node,
        /// Traces per second of an operation that are sampled whatever its share.
        lower_bound_per_second: f64,
        lower_bounds: Mutex<HashMap<String, Limiter>>,
    },
}

impl Strategy {
    fn decide(&self, start: &Start<'_>) -> Decision {
        let (shares, otherwise) = match self {
            Strategy::All(node) => return node.decide(start),
            Strategy::Operations { shares, otherwise, .. } => (shares, otherwise),
        };
        let decision = shares.get(start.name).unwrap_or(otherwise).decide(start);
        let Some(bound) = self.lower_bound(start) else { return decision };
        // Either of two thresholds lets the trace pass, so the lower one is its probability.
        match decision.threshold {
            None if decision.sampled => decision,
            Some(threshold) if threshold <= bound => decision,
            _ if start.randomness() < bound => decision,
            _ if bound == 0 => start.certain("remote"),
            _ => start.share(bound, "remote"),
        }
    }

    fn lower_bound(&self, start: &Start<'_>) -> Option<u64> {
        let Strategy::Operations { lower_bound_per_second, lower_bounds, .. } = self else {
            return None;
        };
        if *lower_bound_per_second <= 0.0 {
            return None;
        }
        let mut limiters = lower_bounds.lock().unwrap_or_else(PoisonError::into_inner);
        if !limiters.contains_key(start.name) {
            if limiters.len() == OPERATIONS_MAX {
                return None;
            }
            limiters.insert(start.name.to_owned(), Limiter::new(*lower_bound_per_second));
        }
        limiters.get(start.name).map(|limiter| limiter.threshold(start.now_ns))
    }
}

/// What Jaeger says, as it says it.
#[derive(Debug, Default)]
struct Answer {
    probability: Option<f64>,
    per_second: Option<f64>,
    operations: Option<Operations>,
}

#[derive(Debug, Default)]
struct Operations {
    default_probability: f64,
    lower_bound_per_second: f64,
    strategies: Vec<(String, f64)>,
}

impl Answer {
    fn read(answer: &[u8]) -> Result<Answer, json::Error> {
        let mut reader = Reader::from_bytes(answer)?;
        let mut found = Answer::default();
        reader.object(|reader, key| match key {
            "probabilisticSampling" => {
                found.probability = field(reader, "samplingRate")?;
                Ok(())
            }
            "rateLimitingSampling" => {
                found.per_second = field(reader, "maxTracesPerSecond")?;
                Ok(())
            }
            "operationSampling" => {
                found.operations = operations(reader)?;
                Ok(())
            }
            _ => reader.skip(),
        })?;
        reader.end()?;
        if found.probability.is_none() && found.per_second.is_none() && found.operations.is_none() {
            return Err(reader.error(
                "no strategy: none of probabilisticSampling, rateLimitingSampling and \
                 operationSampling is there",
            ));
        }
        Ok(found)
    }

    fn into_strategy(self) -> Strategy {
        let otherwise = match (self.per_second, self.probability) {
            (Some(per_second), _) => Node::rate_limited(per_second),
            (None, share) => Node::ratio(share.unwrap_or(0.0)),
        };
        let Some(operations) = self.operations else { return Strategy::All(otherwise) };
        let shares = operations.strategies.into_iter();
        Strategy::Operations {
            shares: shares.map(|(name, share)| (name, Node::ratio(share))).collect(),
            otherwise: Node::ratio(operations.default_probability),
            lower_bound_per_second: operations.lower_bound_per_second,
            lower_bounds: Mutex::default(),
        }
    }
}

fn operations(reader: &mut Reader<'_>) -> Result<Option<Operations>, json::Error> {
    if reader.peek()? == Kind::Null {
        reader.null()?;
        return Ok(None);
    }
    let mut found = Operations::default();
    reader.object(|reader, key| match key {
        "defaultSamplingProbability" => {
            found.default_probability = number(reader)?;
            Ok(())
        }
        "defaultLowerBoundTracesPerSecond" => {
            found.lower_bound_per_second = number(reader)?;
            Ok(())
        }
        "perOperationStrategies" => reader.array(|reader| {
            let (mut name, mut share) = (None, None);
            reader.object(|reader, key| match key {
                "operation" => {
                    name = Some(reader.string()?.into_owned());
                    Ok(())
                }
                "probabilisticSampling" => {
                    share = field(reader, "samplingRate")?;
                    Ok(())
                }
                _ => reader.skip(),
            })?;
            if let (Some(name), Some(share)) = (name, share)
                && found.strategies.len() < OPERATIONS_MAX
            {
                found.strategies.push((name, share));
            }
            Ok(())
        }),
        _ => reader.skip(),
    })?;
    Ok(Some(found))
}

/// A number in an object, or nothing in `null`. What is left out is 0, as protobuf has it.
fn field(reader: &mut Reader<'_>, wanted: &str) -> Result<Option<f64>, json::Error> {
    if reader.peek()? == Kind::Null {
        reader.null()?;
        return Ok(None);
    }
    let mut found = 0.0;
    reader.object(|reader, key| {
        if key == wanted {
            found = number(reader)?;
            Ok(())
        } else {
            reader.skip()
        }
    })?;
    Ok(Some(found))
}

fn number(reader: &mut Reader<'_>) -> Result<f64, json::Error> {
    let text = reader.number()?;
    text.parse().map_err(|_| reader.error(format!("{text} is no number that can be used")))
}
