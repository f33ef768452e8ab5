//! `trefoil serve`: starts the server, says where it is, and stops it when told to.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::{self, Exit, Parsed};
use crate::config::{self, Config, FLAGS, show_retention};
use crate::console::{out, say};
use crate::server::Running;

const USAGE: &str = "serve [FLAGS]";
const MORE: &str = "
--standard-ports opens the ports that answer queries: Prometheus 9090, Loki 3100, Tempo 3200,
Jaeger 16686. The ports on which those systems receive are not served yet.";

/// Runs the verb.
pub(crate) fn run(parser: lexopt::Parser) -> Exit {
    let values = match args::parse(parser, FLAGS, args::environment) {
        Ok(Parsed::Run(values)) => values,
        Ok(Parsed::Help) => {
            out!("{}", args::help(USAGE, FLAGS, MORE));
            return Exit::Success;
        }
        Err(error) => return usage(&error),
    };
    if let Some(word) = values.words.first() {
        return usage(&format!("serve takes no words, only flags: `{word}`"));
    }
    let config = match Config::from_values(&values) {
        Ok(config) => config,
        Err(error) => return usage(&error),
    };
    match values.switch("print-config") {
        Ok(true) => {
            out!("{}", values.print().trim_end());
            return Exit::Success;
        }
        Ok(false) => {}
        Err(error) => return usage(&error),
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say!("trefoil: cannot start threads: {error}");
            return Exit::Failed;
        }
    };
    let exit = runtime.block_on(serve(config));
    // A query that does not stop must not keep the process: everything is flushed by now.
    runtime.shutdown_background();
    exit
}

async fn serve(config: Config) -> Exit {
    // Before the start, so that a signal during a long replay is not lost.
    let started = match Signals::listen() {
        Ok(signals) => Running::start(config).await.map(|server| (server, signals)),
        Err(error) => Err(error),
    };
    let (server, mut signals) = match started {
        Ok(started) => started,
        Err(error) => {
            say!("trefoil: {error}");
            return Exit::Failed;
        }
    };
    banner(&server);
    signals.next().await;
    say!("stopping: finishing requests, flushing; a second signal stops at once");
    stop(server, &mut signals).await
}

/// The signals that mean "stop".
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// A line for the user if the system refuses.
    pub(crate) fn listen() -> Result<Signals, String> {
        let failed = |error| format!("cannot listen for signals: {error}");
        Ok(Signals {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Stops the server in order, or at once on another signal.
pub(crate) async fn stop(server: Running, signals: &mut Signals) -> Exit {
    tokio::select! {
        result = server.stop() => match result {
            Ok(()) => Exit::Success,
            Err(error) => {
                say!("trefoil: {error}");
                Exit::Failed
            }
        },
        () = signals.next() => at_once(),
    }
}

/// What is acknowledged is in the WAL; only the flush is skipped.
fn at_once() -> Exit {
    say!("stopped at once; what was acknowledged is in the write-ahead log");
    Exit::Failed
}

/// A few lines.
fn banner(server: &Running) {
    let state = server.state();
    let retention = state.config.retention;
    say!("trefoil {} is ready", env!("CARGO_PKG_VERSION"));
    say!("  web app    http://{}/ui/", server.http);
    match server.otlp_grpc {
        Some(address) => say!("  OTLP/gRPC  http://{address}"),
        None => say!("  OTLP/gRPC  off"),
    }
    let otlp_http = server.otlp_http.unwrap_or(server.http);
    say!("  OTLP/HTTP  http://{otlp_http}/v1/{{traces,metrics,logs}}");
    say!(
        "  data       {}, memory {}",
        state.config.data.display(),
        config::show_size(state.config.memory_bytes)
    );
    say!(
        "  retention  metrics {}, logs {}, traces {}",
        show_retention(retention.metrics),
        show_retention(retention.logs),
        show_retention(retention.traces)
    );
    let open: Vec<String> =
        server.addresses().filter(|a| !a.ip().is_loopback()).map(|a| a.to_string()).collect();
    if !open.is_empty() {
        say!(
            "  warning    {} can be reached from other machines, without authentication",
            open.join(", ")
        );
    }
    let cut = state.store.stats().wal_cut_bytes;
    if cut > 0 {
        say!(
            "  log        {cut} bytes cut off its end: a write that the last stop tore, never \
             acknowledged, unless that stop was clean or the disk is failing"
        );
    }
    if server.is_empty() {
        say!("  no data yet; try: trefoil demo");
    }
}

fn usage(error: &str) -> Exit {
    say!("trefoil serve: {error}\nSee `trefoil serve --help`.");
    Exit::Usage
}
