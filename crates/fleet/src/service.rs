//! A service's process from within: its telemetry, its port, what it has at hand.

use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Method;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use trefoil::Telemetry;

use crate::dice::Dice;
use crate::fault::Breaks;
use crate::http::{Client, Failure};
use crate::{ghostworks, http, hypeman, hypersdk, metald, telemetry};

/// How long the service may take to finish what it is doing.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// Is one of the services until standard input ends. The arguments are its name, a seed, and
/// what is broken.
///
/// The address where it listens is the first line that it prints; the peers' addresses are
/// the first line that it reads.
pub fn run(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let result = match runtime.worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime.block_on(live(arguments.into_iter().collect())),
        Err(error) => Err(format!("cannot start threads: {error}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // A failure means that nobody reads it.
            let _ = writeln!(std::io::stderr(), "trefoil-fleet: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn live(arguments: Vec<String>) -> Result<(), String> {
    let (name, seed, breaks) = read(&arguments)?;
    let telemetry = telemetry::start(name)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.map_err(|error| format!("no free port for {name}: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    writeln!(std::io::stdout(), "{address}").map_err(|error| error.to_string())?;
    let peers = tokio::task::spawn_blocking(Peers::read).await.map_err(|e| e.to_string())??;

    let (stop, stopped) = watch::channel(false);
    let number = Peers::NAMES.iter().position(|peer| *peer == name).unwrap_or_default();
    let dice = Dice::new(seed.wrapping_add(number as u64 + 1));
    let service = Service {
        name,
        client: Client::new(&telemetry),
        peers,
        breaks: Arc::new(breaks),
        dice: Arc::new(dice),
        stop: Stop::new(stopped),
    };
    let mut tasks = JoinSet::new();
    let router = router(&service, &telemetry, &mut tasks).await?;
    tasks.spawn(http::serve(listener, router, service.stop.clone()));
    input_ends().await;
    // A failure means that all of them are gone already.
    let _ = stop.send(true);
    let finished = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(STOP_WITHIN, finished).await;
    tasks.abort_all();
    telemetry.shutdown(telemetry::SEND_WITHIN);
    Ok(())
}

async fn router(
    service: &Service,
    telemetry: &Telemetry,
    tasks: &mut JoinSet<()>,
) -> Result<Router, String> {
    let layer = telemetry.http_layer().access_log(false);
    let service = service.clone();
    Ok(match service.name {
        "ghostworks" => ghostworks::start(service, tasks).await?.layer(layer),
        "hypersdk" => hypersdk::start(service, tasks).await?.layer(layer),
        "metald" => metald::start(service, tasks).layer(layer),
        _ => hypeman::start(service, tasks).layer(layer.service_metrics("hypeman")),
    })
}

fn read(arguments: &[String]) -> Result<(&'static str, u64, Breaks), String> {
    let [name, seed, broken @ ..] = arguments else {
        return Err("usage: NAME SEED [BREAK…]".to_owned());
    };
    let known = Peers::NAMES.iter().find(|known| *known == name);
    let name = known.ok_or_else(|| format!("there is no service `{name}`"))?;
    let seed = seed.parse().map_err(|_| format!("`{seed}` is no seed"))?;
    let mut breaks = Breaks::default();
    for one in broken {
        breaks.add(one)?;
    }
    Ok((name, seed, breaks))
}

/// Waits until the fleet lets go of the service's standard input, or is gone.
async fn input_ends() {
    let ended = tokio::task::spawn_blocking(|| {
        // What still comes is not for us; an error is an end, too.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    });
    let _ = ended.await;
}

/// Where the services listen.
#[derive(Clone, Debug)]
pub(crate) struct Peers([SocketAddr; 4]);

impl Peers {
    pub(crate) const NAMES: [&'static str; 4] = ["ghostworks", "hypersdk", "metald", "hypeman"];

    /// In the order of the names.
    pub(crate) fn new(addresses: impl Iterator<Item = SocketAddr>) -> Peers {
        let mut peers = Peers([SocketAddr::from(([127, 0, 0, 1], 0)); 4]);
        for (peer, address) in peers.0.iter_mut().zip(addresses) {
            *peer = address;
        }
        peers
    }

    pub(crate) fn of(&self, name: &str) -> SocketAddr {
        let number = Self::NAMES.iter().position(|peer| *peer == name).unwrap_or_default();
        self.0[number]
    }

    /// All of them in a line.
    pub(crate) fn line(&self) -> String {
        let addresses: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        format!("{}\n", addresses.join(" "))
    }

    fn read() -> Result<Peers, String> {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
        let addresses: Vec<SocketAddr> =
            line.split_whitespace().filter_map(|address| address.parse().ok()).collect();
        let addresses = addresses.try_into();
        addresses.map(Peers).map_err(|_| "standard input does not name the peers".to_owned())
    }
}

/// What a service has at hand; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) dice: Arc<Dice>,
    pub(crate) stop: Stop,
    pub(crate) breaks: Arc<Breaks>,
    peers: Peers,
    client: Client,
}

impl Service {
    /// Calls another service.
    pub(crate) async fn call(
        &self,
        peer: &'static str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, Failure> {
        self.client.call((peer, self.peers.of(peer)), method, path, body).await
    }

    /// Work that is simulated: takes about so long.
    pub(crate) async fn toil(&self, median_ms: f64) {
        tokio::time::sleep(self.dice.latency(median_ms)).await;
    }

    /// Whether the thing is broken and fails this time; if it is slow, waits first.
    pub(crate) async fn strike(&self, name: &str) -> bool {
        self.breaks.strike(name, &self.dice).await
    }
}

/// Tells tasks to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(crate) fn new(receiver: watch::Receiver<bool>) -> Stop {
        Stop(receiver)
    }

    /// Waits until the fleet stops.
    pub(crate) async fn requested(&mut self) {
        // An error means that the sender is gone, which is a stop too.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Waits; answers whether to go on.
    pub(crate) async fn pause(&mut self, duration: Duration) -> bool {
        tokio::select! {
            () = self.requested() => false,
            () = tokio::time::sleep(duration) => true,
        }
    }
}
