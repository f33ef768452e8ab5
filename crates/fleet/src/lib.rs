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
//! They are real HTTP servers on loopback ports with a real database (SQLite); only the
//! hypervisors and the cloud providers are simulated. The names of what they emit are
//! declared in `registry/`.

mod dice;
mod fault;
mod load;
mod service;
mod telemetry;

mod ghostworks;
mod hypeman;
mod hypersdk;
mod metald;

mod database;
mod http;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

pub use fault::{Breaks, catalogue};

use crate::dice::Dice;
use crate::service::{Peers, Service, Stop};
use crate::telemetry::Telemetry;

/// How long the services may take to finish what they are doing.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// What the user may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where telemetry goes: the base URL of an OTLP/HTTP receiver, without `/v1/…`.
    pub otlp: String,
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
    tasks: JoinSet<()>,
    telemetry: Vec<Arc<Telemetry>>,
    addresses: Vec<(&'static str, SocketAddr)>,
}

impl Fleet {
    /// Starts the services, then the load.
    ///
    /// # Errors
    /// A line for the user if a port, the database or an exporter cannot be had.
    pub async fn start(settings: &Settings) -> Result<Fleet, String> {
        let (stop, stopped) = watch::channel(false);
        let mut fleet =
            Fleet { stop, tasks: JoinSet::new(), telemetry: Vec::new(), addresses: Vec::new() };
        let (peers, listeners) = Peers::bind().await?;
        let faults = Arc::new(settings.breaks.clone());
        for (number, (name, listener)) in listeners.into_iter().enumerate() {
            let dice = Dice::new(settings.seed.wrapping_add(number as u64 + 1));
            let telemetry = Arc::new(Telemetry::start(name, &settings.otlp)?);
            let address = listener.local_addr().map_err(|error| error.to_string())?;
            fleet.telemetry.push(Arc::clone(&telemetry));
            fleet.addresses.push((name, address));
            let stop = Stop::new(stopped.clone());
            let service =
                Service::new(telemetry, peers.clone(), Arc::clone(&faults), dice, stop.clone());
            let router = match name {
                "ghostworks" => ghostworks::start(service, &mut fleet.tasks)?,
                "hypersdk" => hypersdk::start(service, &mut fleet.tasks)?,
                "metald" => metald::start(service, &mut fleet.tasks),
                _ => hypeman::start(service, &mut fleet.tasks),
            };
            fleet.tasks.spawn(http::serve(listener, router, stop));
        }
        let visitors = load::Visitors::new(peers, settings.seed, settings.rate);
        fleet.tasks.spawn(visitors.run(Stop::new(stopped)));
        Ok(fleet)
    }

    /// The services by name, and where they listen.
    #[must_use]
    pub fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// Stops the load and the services and sends what they still have to tell.
    pub async fn stop(mut self) {
        // A failure means that all of them are gone already.
        let _ = self.stop.send(true);
        let finished = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(STOP_WITHIN, finished).await;
        self.tasks.abort_all();
        let telemetry = std::mem::take(&mut self.telemetry);
        // The exporters' shutdown blocks its thread until all is sent.
        let flushed = tokio::task::spawn_blocking(move || {
            telemetry.iter().for_each(|telemetry| telemetry.stop());
        });
        let _ = flushed.await;
    }
}
