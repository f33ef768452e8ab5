//! `tail`: follows the log over a WebSocket.
//!
//! The store has no "what came since", so the last few seconds are asked again at each
//! step and what was sent before is left out: a line that arrives late, but within that
//! time, is not missed.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use trefoil_query::logql::{self, Data, Direction, Entry, Expr};

use super::params::{HOUR_NS, Params};
use super::write::streams;
use super::{Answered, Refused};
use crate::api::{Api, AppState};

/// How often new lines are looked for.
const STEP: Duration = Duration::from_millis(500);

/// How late a line may arrive and still be shown.
const LATE_NS: i64 = 10_000_000_000;

/// The largest `delay_for`, as in Loki.
const DELAY_MAX_S: i64 = 5;

/// How many lines one step sends at most; the rest comes with the next one.
const STEP_LINES_MAX: usize = 5000;

/// Answers with a WebSocket that gets lines as they come.
pub(super) async fn tail(
    State(state): State<Arc<AppState>>,
    upgrade: WebSocketUpgrade,
    params: Params,
    tails: Arc<Semaphore>,
) -> Answered {
    let text = params.query()?.to_owned();
    let expr = logql::parse(&text).map_err(|e| Refused::query(&e, &text))?;
    if !matches!(expr, Expr::Log(_)) {
        return Err(Refused::bad("only log queries can be tailed"));
    }
    let delay_s = params.get("delay_for").map(str::parse::<i64>).transpose();
    let delay_s = delay_s.map_err(|e| Refused::bad(format!("cannot parse delay_for: {e}")))?;
    let delay_s = delay_s.unwrap_or(0);
    if !(0..=DELAY_MAX_S).contains(&delay_s) {
        return Err(Refused::bad(format!("delay_for can't be greater than {DELAY_MAX_S}")));
    }
    let now_ns = state.clock.now_ns();
    let permit = tails.try_acquire_owned().map_err(|_| {
        Refused::bad("max concurrent tail requests limit exceeded; close another one first")
    })?;
    let follower = Follower {
        state,
        expr: Arc::new(expr),
        categorize: params.categorize,
        limit: params.lines()?,
        from_ns: params.time("start")?.unwrap_or(now_ns - HOUR_NS),
        delay_ns: delay_s * 1_000_000_000,
        sent: HashSet::new(),
        by_time: BTreeSet::new(),
        first: true,
    };
    let response: Response = upgrade.on_upgrade(move |socket| follower.run(socket, permit));
    Ok(response)
}

struct Follower {
    state: Arc<AppState>,
    expr: Arc<Expr>,
    categorize: bool,
    limit: usize,
    from_ns: i64,
    delay_ns: i64,
    /// What was sent of the time that is asked again.
    sent: HashSet<u64>,
    by_time: BTreeSet<(i64, u64)>,
    first: bool,
}

impl Follower {
    async fn run(mut self, mut socket: WebSocket, permit: OwnedSemaphorePermit) {
        let mut clock = tokio::time::interval(STEP);
        loop {
            tokio::select! {
                _ = clock.tick() => {
                    let Ok(entries) = self.step().await else { break };
                    if entries.is_empty() {
                        continue;
                    }
                    let frame = self.frame(&entries);
                    if socket.send(Message::Text(frame.into())).await.is_err() {
                        break;
                    }
                }
                message = socket.recv() => match message {
                    // The client only ever closes; pings are answered by the library.
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                    Some(Ok(_)) => {}
                },
            }
        }
        drop(permit);
    }

    fn frame(&self, entries: &[Entry]) -> String {
        let mut out = br#"{"streams":"#.to_vec();
        streams(&mut out, entries, self.categorize);
        if self.categorize {
            out.extend_from_slice(br#","encodingFlags":["categorize-labels"]"#);
        }
        out.push(b'}');
        String::from_utf8(out).unwrap_or_default()
    }

    /// The lines that are new since the last step.
    async fn step(&mut self) -> Result<Vec<Entry>, trefoil_query::Error> {
        let now_ns = self.state.clock.now_ns();
        let end_ns = now_ns.saturating_sub(self.delay_ns).saturating_add(1).max(self.from_ns);
        let mut question = logql::Params::range(self.from_ns, end_ns, 0);
        question.now_ns = now_ns;
        // At first the newest lines of the past, then everything in the order of time.
        question.direction = if self.first { Direction::Backward } else { Direction::Forward };
        question.limit = if self.first { self.limit } else { STEP_LINES_MAX + self.sent.len() };
        let expr = Arc::clone(&self.expr);
        let asked = self.state.ask(Api::Loki, None, move |snapshot, limits| {
            Ok(logql::run(snapshot, &expr, &question, limits)?.data)
        });
        let Data::Streams(mut entries) = asked.await? else { return Ok(Vec::new()) };
        // With more lines than one step takes, the next one goes on where this one ends.
        let cut = !self.first && entries.len() >= question.limit;
        let reached = if cut { entries.last().map_or(end_ns, |e| e.time_ns) } else { end_ns };
        if self.first {
            entries.reverse();
            // What the limit left out is not new.
            let oldest = entries.first().map_or(end_ns - 1, |entry| entry.time_ns);
            self.from_ns = self.from_ns.max(oldest);
            self.first = false;
        }
        entries.retain(|entry| self.is_new(entry));
        self.forget_before(reached.min(end_ns - LATE_NS));
        Ok(entries)
    }

    fn is_new(&mut self, entry: &Entry) -> bool {
        let mut hasher = DefaultHasher::new();
        (entry.time_ns, &entry.line).hash(&mut hasher);
        entry.labels.iter().for_each(|(name, value, _)| (name, value).hash(&mut hasher));
        let hash = hasher.finish();
        let new = self.sent.insert(hash);
        if new {
            self.by_time.insert((entry.time_ns, hash));
        }
        new
    }

    fn forget_before(&mut self, time_ns: i64) {
        if time_ns <= self.from_ns {
            return;
        }
        self.from_ns = time_ns;
        let kept = self.by_time.split_off(&(time_ns, 0));
        for (_, hash) in std::mem::replace(&mut self.by_time, kept) {
            self.sent.remove(&hash);
        }
    }
}
