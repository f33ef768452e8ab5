//! What the APIs share: the state of the server and the one way to run a query.
//!
//! Each API is a module with `routes()`, mounted by [`router`]. A handler parses its
//! parameters, calls [`AppState::ask`], and writes the answer in its system's shape.

pub(crate) mod admin;
pub(crate) mod health;
pub(crate) mod jaeger;
pub(crate) mod loki;
mod otlp_trace;
pub(crate) mod prometheus;
pub(crate) mod refused;
pub(crate) mod rfc3339;
#[cfg(test)]
mod sample_trace;
pub(crate) mod tempo;
pub(crate) mod ui;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use tokio::sync::Semaphore;
use trefoil_query::{Error, ErrorKind, Limits};
use trefoil_store::{Snapshot, Store, Tally};

use crate::config::Config;
use crate::memory::RunningQueries;
use crate::pipeline::Pipeline;
use crate::receive::admission::Admission;
use crate::receive::{self, allow_origins};
use crate::selfmon::Counters;
use crate::web;

/// What every handler sees.
#[derive(Debug)]
pub(crate) struct AppState {
    /// The data.
    pub(crate) store: Arc<Store>,
    /// What time it is.
    pub(crate) clock: Clock,
    /// The settings the server was started with.
    pub(crate) config: Config,
    /// What the server counts about itself.
    pub(crate) counters: Arc<Counters>,
    /// Which colour each service has in the web app.
    pub(crate) colors: ui::ColorBook,
    /// The way into the store.
    pub(crate) pipeline: Pipeline,
    /// How much may be in flight on its way in.
    pub(crate) admission: Admission,
    /// When the process started, in Unix nanoseconds.
    pub(crate) started_ns: i64,
    /// The queries that run, for whoever must stop one.
    pub(crate) running: RunningQueries,
    /// One permit per running query.
    queries: Arc<Semaphore>,
    /// Queries that wait for a permit.
    waiting: AtomicUsize,
}

/// The time, or what a test says it is.
#[derive(Debug)]
pub(crate) enum Clock {
    /// The system's.
    System,
    /// A test's, in Unix nanoseconds.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests set the time"))]
    Manual(AtomicI64),
}

impl Clock {
    /// Unix nanoseconds.
    pub(crate) fn now_ns(&self) -> i64 {
        match self {
            Clock::System => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
            Clock::Manual(now) => now.load(Relaxed),
        }
    }

    /// Unix milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now_ns() / 1_000_000
    }
}

/// Which API a query came through; the label `api` of the server's own metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Prometheus,
    Loki,
    Tempo,
    Jaeger,
    Ui,
}

impl Api {
    pub(crate) const ALL: [Api; 5] = [Api::Prometheus, Api::Loki, Api::Tempo, Api::Jaeger, Api::Ui];

    /// The label's value.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Api::Prometheus => "prometheus",
            Api::Loki => "loki",
            Api::Tempo => "tempo",
            Api::Jaeger => "jaeger",
            Api::Ui => "ui",
        }
    }
}

/// Queries that may wait for a running one to end, per permit. More would wait past
/// any client's patience.
const WAITING_PER_PERMIT: usize = 16;

impl AppState {
    /// The state of a server over an open store.
    pub(crate) fn new(store: Arc<Store>, clock: Clock, config: Config) -> Self {
        let counters = Arc::new(Counters::default());
        let pipeline = Pipeline::new(Arc::clone(&store), &config, Arc::clone(&counters));
        // A test's state leaves no file behind.
        let file = matches!(clock, Clock::System).then(|| config.data.join("service-colors"));
        AppState {
            store,
            colors: ui::ColorBook::open(file),
            started_ns: clock.now_ns(),
            clock,
            counters,
            pipeline,
            admission: Admission::new(config.memory_bytes),
            running: RunningQueries::default(),
            queries: Arc::new(Semaphore::new(config.query_concurrency)),
            waiting: AtomicUsize::new(0),
            config,
        }
    }

    /// Runs a query on a thread of its own, over a snapshot of what is acknowledged now.
    ///
    /// `timeout` is what the request asked for; the server's own limit holds anyway. When
    /// the deadline passes, or the returned future is dropped because the client has gone,
    /// the query's tally is cancelled and its thread stops at the next step. The closure
    /// may read its account from `limits.tally` before it returns.
    ///
    /// # Errors
    /// The query's own error; [`ErrorKind::Cancelled`] past the deadline or with too many
    /// queries waiting; [`ErrorKind::Storage`] if it panicked.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        api: Api,
        timeout: Option<Duration>,
        query: impl FnOnce(&Snapshot, &Limits<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let started = Instant::now();
        let timeout =
            timeout.map_or(self.config.query_timeout, |t| t.min(self.config.query_timeout));
        let tally = Arc::new(Tally::new(self.config.query_bytes_max));
        self.running.add(&tally);
        let guard = CancelOnDrop(Arc::clone(&tally));
        let answer = tokio::time::timeout(timeout, self.run(tally, query)).await;
        drop(guard);
        let answer = answer.unwrap_or_else(|_| {
            let message = format!(
                "the query ran longer than {timeout:?}; ask for less time or raise --query-timeout"
            );
            Err(Error { kind: ErrorKind::Cancelled, message, span: 0..0 })
        });
        self.counters.query(api, started.elapsed(), answer.as_ref().err().map(|e| e.kind));
        answer
    }

    async fn run<T: Send + 'static>(
        &self,
        tally: Arc<Tally>,
        query: impl FnOnce(&Snapshot, &Limits<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = {
            let _place = Place::take(&self.waiting, self.config.query_concurrency)?;
            Arc::clone(&self.queries).acquire_owned().await
        };
        let permit = permit.map_err(|_| unavailable("the server is stopping"))?;
        let store = Arc::clone(&self.store);
        let work = tokio::task::spawn_blocking(move || {
            // Held until the thread is really done, even if nobody waits for it any more.
            let _permit = permit;
            query(&store.snapshot(), &Limits::new(&tally))
        });
        work.await.unwrap_or_else(|_| {
            let message = "the query failed inside the server; its log says where".to_owned();
            Err(Error { kind: ErrorKind::Storage, message, span: 0..0 })
        })
    }

    /// Queries that run, and that wait to.
    pub(crate) fn queries_now(&self) -> (usize, usize) {
        let free = self.queries.available_permits();
        (self.config.query_concurrency.saturating_sub(free), self.waiting.load(Relaxed))
    }

    /// Refuses further queries and waits until the running ones are gone.
    pub(crate) async fn stop_queries(&self) {
        let all = u32::try_from(self.config.query_concurrency).unwrap_or(u32::MAX);
        let idle = self.queries.acquire_many(all).await;
        self.queries.close();
        drop(idle);
    }

    /// A server's state for tests of one API: `store` at the time `now_ns`.
    #[cfg(test)]
    pub(crate) fn for_tests(store: Store, now_ns: i64) -> Arc<AppState> {
        let clock = Clock::Manual(AtomicI64::new(now_ns));
        Arc::new(AppState::new(Arc::new(store), clock, Config::for_tests()))
    }
}

fn unavailable(message: &str) -> Error {
    Error { kind: ErrorKind::Cancelled, message: message.to_owned(), span: 0..0 }
}

/// The HTTP status of a query's error: Prometheus's choice, which the others share.
pub(crate) fn status(error: &Error) -> StatusCode {
    match error.kind {
        ErrorKind::Bad => StatusCode::BAD_REQUEST,
        ErrorKind::Execution | ErrorKind::Limit => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Storage => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A place in the queue before the permits.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, permits: usize) -> Result<Self, Error> {
        let place = Place(waiting);
        if waiting.fetch_add(1, Relaxed) >= permits.saturating_mul(WAITING_PER_PERMIT) {
            return Err(unavailable("too many queries are waiting; try again later"));
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Cancels a query when nobody waits for its answer any more.
struct CancelOnDrop(Arc<Tally>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Everything the main port answers.
pub(crate) fn router(state: &Arc<AppState>) -> Router {
    let router = Router::new()
        .nest("/api/v1", prometheus::routes())
        .nest("/prometheus/api/v1", prometheus::routes())
        .nest("/loki/api/v1", loki::routes())
        .nest("/tempo/api", tempo::routes())
        .nest("/jaeger/api", jaeger::routes())
        .nest("/ui/api", ui::routes())
        .merge(receive::routes())
        .merge(health::routes())
        .merge(admin::routes())
        .merge(web::routes(state.config.ui_dir.clone()))
        .route("/", get(|| async { Redirect::temporary("/ui/") }))
        // Clients of Prometheus look at its root to see whether it is there.
        .route("/prometheus/", get(|| async { Redirect::temporary("/ui/") }))
        .fallback(receive::not_found)
        .with_state(Arc::clone(state));
    allow_origins(router, &state.config.cors_origins)
}

/// What the OTLP ports answer, both alike.
pub(crate) fn otlp_router(state: &Arc<AppState>) -> Router {
    let router = Router::new()
        .merge(receive::routes())
        .merge(health::routes())
        .fallback(receive::not_found)
        .with_state(Arc::clone(state));
    allow_origins(router, &state.config.cors_origins)
}

/// The systems whose own ports `--standard-ports` opens: name, port, what answers there.
pub(crate) fn standard_ports(state: &Arc<AppState>) -> [(&'static str, u16, Router); 4] {
    let at_root = |prefix: &str, routes: Router<Arc<AppState>>| {
        let router = Router::new().nest(prefix, routes).merge(health::routes());
        allow_origins(router.with_state(Arc::clone(state)), &state.config.cors_origins)
    };
    [
        ("Prometheus", 9090, at_root("/api/v1", prometheus::routes())),
        ("Loki", 3100, at_root("/loki/api/v1", loki::routes())),
        ("Tempo", 3200, at_root("/api", tempo::routes())),
        ("Jaeger", 16686, at_root("/api", jaeger::routes())),
    ]
}

#[cfg(test)]
mod tests;
