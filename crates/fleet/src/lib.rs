//! The demo: four services of the kind that run virtual machines, under load, with faults
//! that can be switched on, telling everything over OTLP.
//!
//! ```text
//! load ──▶ hypersdk (export jobs) ──▶ ghostworks (who are you? keep the artifact)
//!   │          └─worker─▶ metald ──▶ hypeman (the virtual machines themselves)
//!   ├────▶ ghostworks (accounts, artifacts)
//!   └────▶ metald (lifecycle, billing) ──▶ hypeman, ghostworks
//! ```
//!
//! They are real HTTP servers, each in a process of its own, with a real database (SQLite);
//! only the hypervisors and the cloud providers are simulated. Each is instrumented by the
//! crate `trefoil` and configured the way its document says. The names of what they emit
//! are declared in `registry/`.

mod load;
mod process;

mod service;
mod telemetry;

mod ghostworks;
mod hypeman;
mod hypersdk;
mod metald;

mod database;
mod dice;
mod fault;
mod http;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use fault::{Breaks, catalogue};
pub use service::run as service;

use crate::process::Process;
use crate::service::{Peers, Stop};

/// How long the services may take to finish what they are doing and to send the rest.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// What the user may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program that is a service when its arguments are `arguments`, a service's name
    /// and what [`service`] takes besides.
    pub program: PathBuf,
    /// What comes before the service's name.
    pub arguments: Vec<String>,
    /// Where telemetry goes: the base URL of an OTLP/HTTP receiver, without `/v1/…`.
    pub otlp_http: String,
    /// The same over gRPC, `HOST:PORT`. Without it all services use HTTP.
    pub otlp_grpc: Option<String>,
    /// The same seed makes the same requests in the same order.
    pub seed: u64,
    /// Visits a second.
    pub rate: f64,
    /// What is broken.
    pub breaks: Breaks,
}

/// A running fleet.
#[derive(Debug)]
pub struct Fleet {
    stop: watch::Sender<bool>,
    load: JoinHandle<()>,
    services: Vec<Process>,
}

impl Fleet {
    /// Starts the services, then the load.
    ///
    /// # Errors
    /// A line for the user if a service does not start.
    pub async fn start(settings: &Settings) -> Result<Fleet, String> {
        let mut services = Vec::new();
        for name in Peers::NAMES {
            services.push(Process::start(name, settings).await?);
        }
        let peers = Peers::new(services.iter().map(Process::address));
        for service in &mut services {
            service.introduce(&peers).await?;
        }
        let (stop, stopped) = watch::channel(false);
        let visitors = load::Visitors::new(peers, settings.seed, settings.rate);
        let load = tokio::spawn(visitors.run(Stop::new(stopped)));
        Ok(Fleet { stop, load, services })
    }

    /// The services by name, and where they listen.
    #[must_use]
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        self.services.iter().map(|service| (service.name(), service.address())).collect()
    }

    /// Stops the load and the services, which send what they still have to tell.
    pub async fn stop(self) {
        // A failure means that the load is gone already.
        let _ = self.stop.send(true);
        let _ = self.load.await;
        let services = self.services.into_iter().map(|service| service.stop(STOP_WITHIN));
        let mut stopping: tokio::task::JoinSet<()> = services.collect();
        while stopping.join_next().await.is_some() {}
    }
}
