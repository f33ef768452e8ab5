//! What every service has at hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::dice::Dice;
use crate::fault::Breaks;
use crate::http::{Client, Failure};
use crate::telemetry::{Telemetry, Work};

/// Where the services listen.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    pub(crate) ghostworks: SocketAddr,
    pub(crate) hypersdk: SocketAddr,
    pub(crate) metald: SocketAddr,
    pub(crate) hypeman: SocketAddr,
}

impl Peers {
    /// Takes a free loopback port for each, so that all know each other from the start.
    pub(crate) async fn bind() -> Result<(Peers, Vec<(&'static str, TcpListener)>), String> {
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for name in ["ghostworks", "hypersdk", "metald", "hypeman"] {
            let failed = |error: std::io::Error| format!("no free port for {name}: {error}");
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
            addresses.push(listener.local_addr().map_err(failed)?);
            listeners.push((name, listener));
        }
        let peers = Peers {
            ghostworks: addresses[0],
            hypersdk: addresses[1],
            metald: addresses[2],
            hypeman: addresses[3],
        };
        Ok((peers, listeners))
    }
}

/// What a service has at hand; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) peers: Peers,
    pub(crate) breaks: Arc<Breaks>,
    pub(crate) dice: Arc<Dice>,
    pub(crate) stop: Stop,
    client: Client,
}

impl Service {
    pub(crate) fn new(
        telemetry: Arc<Telemetry>,
        peers: Peers,
        breaks: Arc<Breaks>,
        dice: Dice,
        stop: Stop,
    ) -> Service {
        Service { telemetry, peers, breaks, dice: Arc::new(dice), stop, client: Client::new() }
    }

    pub(crate) async fn ghostworks(
        &self,
        work: &Work,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, Failure> {
        self.client.call(work, method, ("ghostworks", self.peers.ghostworks), path, body).await
    }

    pub(crate) async fn metald(
        &self,
        work: &Work,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, Failure> {
        self.client.call(work, method, ("metald", self.peers.metald), path, body).await
    }

    pub(crate) async fn hypeman(
        &self,
        work: &Work,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, Failure> {
        self.client.call(work, method, ("hypeman", self.peers.hypeman), path, body).await
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
