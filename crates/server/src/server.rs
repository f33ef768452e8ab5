//! The wiring: opens the store, starts the ports in order, stops them in reverse.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use trefoil_store::{Settings, Store};

use crate::api::health::refusing;
use crate::api::{self, AppState, Clock};
use crate::config::Config;
use crate::console::say;
use crate::listen;
use crate::memory;
use crate::ticker::Ticker;

/// How often the store does its housekeeping.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked at how large the head is: it grows by some megabytes meanwhile.
const FLUSHER_INTERVAL: Duration = Duration::from_millis(50);
/// How long running queries may take to notice that they are cancelled.
const QUERY_STOP: Duration = Duration::from_secs(5);

/// A server that runs.
pub(crate) struct Running {
    /// Main port, as bound.
    pub(crate) http: SocketAddr,
    /// OTLP/gRPC port, as bound.
    pub(crate) otlp_grpc: Option<SocketAddr>,
    /// OTLP/HTTP port, as bound.
    pub(crate) otlp_http: Option<SocketAddr>,
    /// `--standard-ports`, as bound.
    standard: Vec<SocketAddr>,
    state: Arc<AppState>,
    stop: watch::Sender<bool>,
    ports: JoinSet<()>,
    housekeeper: Ticker,
    flusher: Ticker,
    memory_watch: Ticker,
}

impl Running {
    /// Opens the ports, then the store (which replays the WAL), then answers.
    ///
    /// # Errors
    /// A line for the user that says what to do.
    pub(crate) async fn start(config: Config) -> Result<Running, String> {
        // Ports first: a busy one is found before a long replay, and clients wait in the
        // kernel's queue instead of being refused.
        let http = listen::bind(config.http, "--http").await?;
        let otlp_grpc = bind_optional(config.otlp_grpc, "--otlp-grpc").await?;
        let otlp_http = bind_optional(config.otlp_http, "--otlp-http").await?;
        let store = Arc::new(open_store(&config).await?);
        let state = Arc::new(AppState::new(store, Clock::System, config));

        let (stop, stopped) = watch::channel(false);
        let mut running = Running {
            http: local_address(&http)?,
            otlp_grpc: otlp_grpc.as_ref().map(local_address).transpose()?,
            otlp_http: otlp_http.as_ref().map(local_address).transpose()?,
            standard: Vec::new(),
            housekeeper: keep_house(Arc::clone(&state))?,
            flusher: keep_head_small(Arc::clone(&state))?,
            memory_watch: memory::watch(Arc::clone(&state))?,
            state,
            stop,
            ports: JoinSet::new(),
        };
        if running.state.config.standard_ports {
            running.open_standard_ports(&stopped).await?;
        }
        if let Some(listener) = otlp_grpc {
            running.ports.spawn(listen::serve(
                listener,
                api::otlp_router(&running.state),
                stopped.clone(),
            ));
        }
        if let Some(listener) = otlp_http {
            running.ports.spawn(listen::serve(
                listener,
                api::otlp_router(&running.state),
                stopped.clone(),
            ));
        }
        let main = api::router(&running.state);
        running.ports.spawn(listen::serve(http, main, stopped));
        Ok(running)
    }

    async fn open_standard_ports(&mut self, stopped: &watch::Receiver<bool>) -> Result<(), String> {
        for (system, port, router) in api::standard_ports(&self.state) {
            let address = SocketAddr::new(self.http.ip(), port);
            let listener = listen::bind(address, "--http, or leave out --standard-ports")
                .await
                .map_err(|error| format!("{system}'s port: {error}"))?;
            self.standard.push(address);
            self.ports.spawn(listen::serve(listener, router, stopped.clone()));
        }
        Ok(())
    }

    /// What the handlers see.
    pub(crate) fn state(&self) -> &Arc<AppState> {
        &self.state
    }

    /// Every address the server listens on.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        [Some(self.http), self.otlp_grpc, self.otlp_http]
            .into_iter()
            .flatten()
            .chain(self.standard.iter().copied())
    }

    /// Whether the store has nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        let stats = self.state.store.stats();
        [stats.metrics, stats.logs, stats.traces].iter().all(|s| s.head_items + s.part_items == 0)
    }

    /// Stops accepting, lets open requests finish, then flushes and closes the store.
    ///
    /// # Errors
    /// A line for the user if the flush failed.
    pub(crate) async fn stop(mut self) -> Result<(), String> {
        // Nobody listening any more is what we are after.
        let _ = self.stop.send(true);
        while self.ports.join_next().await.is_some() {}
        let _ = tokio::time::timeout(QUERY_STOP, self.state.stop_queries()).await;
        let closed = tokio::task::spawn_blocking(move || {
            self.memory_watch.stop();
            self.flusher.stop();
            self.housekeeper.stop();
            close_store(self.state)
        });
        match closed.await {
            Ok(result) => result,
            Err(_) => Err("the store failed while closing".to_owned()),
        }
    }
}

fn close_store(state: Arc<AppState>) -> Result<(), String> {
    let store = Arc::clone(&state.store);
    drop(state);
    match Arc::try_unwrap(store) {
        Ok(store) => store.close(),
        // A query that did not stop still reads; everything is on disk all the same.
        Err(store) => store.flush(),
    }
    .map_err(|error| format!("the last flush failed, the write-ahead log has everything: {error}"))
}

async fn bind_optional(
    address: Option<SocketAddr>,
    flag: &str,
) -> Result<Option<tokio::net::TcpListener>, String> {
    match address {
        Some(address) => listen::bind(address, flag).await.map(Some),
        None => Ok(None),
    }
}

fn local_address(listener: &tokio::net::TcpListener) -> Result<SocketAddr, String> {
    listener.local_addr().map_err(|error| format!("a port has no address: {error}"))
}

async fn open_store(config: &Config) -> Result<Store, String> {
    let settings = Settings {
        // The rest is for requests in flight, queries and the code itself.
        memory_bytes: config.memory_bytes / 2,
        retention: config.retention,
        retention_bytes: config.retention_bytes,
        kept_traces: config.kept_traces,
        disk_reserve_bytes: config.disk_reserve_bytes,
        fsync: config.fsync,
    };
    let data = config.data.clone();
    let opened = tokio::task::spawn_blocking(move || {
        Store::open(&data, settings).map_err(|error| match error.cause() {
            trefoil_store::Error::Locked(_) => {
                format!("{error}; stop it or choose another directory with --data")
            }
            trefoil_store::Error::Io { .. } => {
                format!("{error}; make it writable or choose another directory with --data")
            }
            _ => error.to_string(),
        })
    });
    opened.await.map_err(|_| "the store failed to open".to_owned())?
}

/// Keeps the head small, whatever the housekeeper is busy with, who says what went wrong and
/// gives memory back.
fn keep_head_small(state: Arc<AppState>) -> Result<Ticker, String> {
    Ticker::start("flusher", FLUSHER_INTERVAL, move || {
        if let Ok(true) = state.store.flush_if_large() {
            memory::allocator::give_back();
        }
    })
}

/// Calls [`Store::maintain`] once a second, and says what comes of it.
fn keep_house(state: Arc<AppState>) -> Result<Ticker, String> {
    let mut last_error = String::new();
    let mut last_refusal = None;
    let mut last_parts = 0;
    Ticker::start("housekeeper", MAINTENANCE_INTERVAL, move || {
        let error = match state.store.maintain(state.clock.now_ns()) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        // Said once, not every second.
        if !error.is_empty() && error != last_error {
            say!("trefoil: housekeeping: {error}");
        }
        last_error = error;
        let stats = state.store.stats();
        let parts = stats.metrics.part_bytes + stats.logs.part_bytes + stats.traces.part_bytes;
        if parts != last_parts {
            // A flush or a merge has freed what it worked with.
            memory::allocator::give_back();
            last_parts = parts;
        }
        let refusal = refusing(&stats).map(str::to_owned);
        // The numbers in the reason change every second; that it is refused does not.
        match (&last_refusal, &refusal) {
            (None, Some(why)) => say!("trefoil: writes are refused: {why}"),
            (Some(_), None) => say!("trefoil: writes are accepted again"),
            _ => {}
        }
        last_refusal = refusal;
    })
}
