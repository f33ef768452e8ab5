//! Kills the real process at random moments under load: nothing acknowledged is lost,
//! nothing is there twice.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use trefoil_store::model::Value;
use trefoil_store::{
    LogScan, Order, Samples, Settings, SpanFilter, SpanScan, Store, Tally, TimeRange,
};

use crate::binary::{Server, try_request};
use crate::otlp::{self, SIGNALS, to_protobuf};

/// `TREFOIL_KILLS` asks for more.
const KILLS: u32 = 50;
/// After so many kills everything is read back; the last one is among them.
const CHECK_EVERY: u32 = 10;
/// The longest a server lives, from ready to dead.
const LIFE_MS_MAX: u64 = 250;
/// Threads that send each signal: several, so that they share an fsync.
const SENDERS: u64 = 2;

/// What was sent of one signal: for each item whether its request was acknowledged.
pub(crate) type Sent = Arc<Mutex<BTreeMap<u64, bool>>>;

/// Good enough to choose moments and sizes (xorshift64*).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

fn seed() -> u64 {
    let seed = match std::env::var("TREFOIL_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => otlp::now_ns(),
    };
    eprintln!("seed {seed}; run again with TREFOIL_SEED={seed}");
    seed | 1
}

/// Sends until the server is gone; every item has a number of its own.
pub(crate) fn send(
    server: &str,
    signal: usize,
    next: &AtomicU64,
    sent: &Sent,
    gone: &AtomicBool,
    mut random: Random,
) {
    let (name, message, _) = SIGNALS[signal];
    while !gone.load(Relaxed) {
        let count = 1 + random.below(30);
        let first = next.fetch_add(count, Relaxed);
        let body = to_protobuf(message, &otlp::request(name, "kill", first, count));
        sent.lock().unwrap().extend((first..first + count).map(|n| (n, false)));
        let headers = [("content-type", "application/x-protobuf")];
        match try_request(server, "POST", &format!("/v1/{name}"), &headers, &body) {
            Ok(answer) => {
                assert_eq!((answer.status, answer.body.len()), (200, 0), "{}", answer.text());
                sent.lock().unwrap().extend((first..first + count).map(|n| (n, true)));
            }
            Err(_) => return,
        }
    }
}

#[test]
fn fifty_kills_lose_nothing_acknowledged_and_double_nothing() {
    let mut random = Random(seed());
    let dir = tempfile::tempdir().unwrap();
    let sent: [Sent; 3] = Default::default();
    let next = Arc::new(AtomicU64::new(1));
    let kills = std::env::var("TREFOIL_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    for kill in 1..=kills {
        // Little memory, so that heads are flushed to parts under the load.
        let server = Server::start(dir.path(), &["--memory=64MiB", "--max-body=8MiB"]);
        let gone = Arc::new(AtomicBool::new(false));
        let mut senders = Vec::new();
        for i in 0..SENDERS * 3 {
            let signal = (i % 3) as usize;
            let (sent, next, gone) =
                (Arc::clone(&sent[signal]), Arc::clone(&next), Arc::clone(&gone));
            let address = server.otlp_http.clone();
            let random = Random(random.below(u64::from(u32::MAX)) << 8 | 1);
            senders.push(std::thread::spawn(move || {
                send(&address, signal, &next, &sent, &gone, random);
            }));
        }
        wait(Duration::from_millis(random.below(LIFE_MS_MAX)));
        // On a busy machine the first lives are too short for anything.
        await_acknowledged(&sent);
        server.kill();
        gone.store(true, Relaxed);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        if kill % CHECK_EVERY == 0 {
            check(dir.path(), kill, &sent);
        }
    }
}

/// Waits until something of each signal was acknowledged, in this life or an earlier one.
fn await_acknowledged(sent: &[Sent; 3]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    for (at, sent) in sent.iter().enumerate() {
        while !sent.lock().unwrap().values().any(|acked| *acked) {
            assert!(Instant::now() < deadline, "nothing of {} is acknowledged", SIGNALS[at].0);
            std::thread::yield_now();
        }
    }
}

/// Time itself is meant: how long a server lives.
#[expect(clippy::disallowed_methods, reason = "time itself is meant")]
pub(crate) fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// Reads everything back and compares it with what was sent.
pub(crate) fn check(dir: &Path, kill: u32, sent: &[Sent; 3]) {
    let started = Instant::now();
    let store = Store::open(dir, Settings::default()).unwrap();
    for (at, stored) in [spans(&store), samples(&store), logs(&store)].iter().enumerate() {
        let name = SIGNALS[at].0;
        let sent = sent[at].lock().unwrap();
        for (item, times) in stored {
            assert_eq!(
                *times, 1,
                "after kill {kill}: item {item} of {name} is there {times} times"
            );
            assert!(
                sent.contains_key(item),
                "after kill {kill}: nobody sent item {item} of {name}"
            );
        }
        let lost: Vec<_> =
            sent.iter().filter(|(item, acked)| **acked && !stored.contains_key(item)).collect();
        let acknowledged = sent.values().filter(|acked| **acked).count();
        assert!(
            lost.is_empty(),
            "after kill {kill}: {} of {acknowledged} acknowledged items of {name} are lost, from {:?} on",
            lost.len(),
            lost[0]
        );
        assert!(acknowledged > 0, "nothing of {name} was ever acknowledged");
        eprintln!(
            "after kill {kill}: {acknowledged} of {name} acknowledged, {} stored",
            stored.len()
        );
    }
    let stats = store.stats();
    assert_eq!(stats.damaged_blocks, 0);
    let parts = [stats.traces.parts, stats.metrics.parts, stats.logs.parts];
    eprintln!("parts {parts:?}, replayed {}", stats.replayed);
    eprintln!("read back in {:?}", started.elapsed());
    drop(store);
}

type Stored = BTreeMap<u64, u32>;

fn spans(store: &Store) -> Stored {
    let mut stored = Stored::new();
    let filter = SpanFilter::All;
    let scan = SpanScan { range: TimeRange::ALL, filter: &filter, order: Order::Any };
    store
        .snapshot()
        .spans(&scan, &Tally::unlimited(), &mut |span| {
            let Value::Int(n) = span.span.attributes[0].value else { panic!("{span:?}") };
            *stored.entry(n as u64).or_default() += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    stored
}

fn logs(store: &Store) -> Stored {
    let mut stored = Stored::new();
    let scan = LogScan { streams: &[], range: TimeRange::ALL, lines: &[], order: Order::Any };
    store
        .snapshot()
        .logs(&scan, &Tally::unlimited(), &mut |log| {
            let Value::Str(line) = &log.record.body else { panic!("{log:?}") };
            *stored.entry(line.strip_prefix("line ").unwrap().parse().unwrap()).or_default() += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    stored
}

fn samples(store: &Store) -> Stored {
    let mut stored = Stored::new();
    let (snapshot, tally) = (store.snapshot(), Tally::unlimited());
    let mut samples = Samples::default();
    for series in snapshot.series(&[], TimeRange::ALL, &tally).unwrap() {
        let Some(n) = series.labels.get("n") else { continue };
        let n: u64 = n.parse().unwrap();
        snapshot.samples(&series, TimeRange::ALL, &mut samples, &tally).unwrap();
        for value in &samples.floats {
            assert_eq!(*value, n as f64);
            *stored.entry(n).or_default() += 1;
        }
    }
    stored
}
