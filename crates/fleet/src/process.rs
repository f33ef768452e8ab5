//! A service's process, as the fleet sees it: started, told its peers, stopped.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::Settings;
use crate::service::Peers;

/// Longer than a machine under load takes to start a program.
const START_WITHIN: Duration = Duration::from_secs(30);

/// A running service. It ends with its standard input, and so never outlives the fleet.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    address: SocketAddr,
    input: ChildStdin,
    child: Child,
}

impl Process {
    /// Starts a service and waits until it listens.
    pub(crate) async fn start(name: &'static str, settings: &Settings) -> Result<Process, String> {
        let failed = |why: &dyn std::fmt::Display| format!("cannot start {name}: {why}");
        let mut command = Command::new(&settings.program);
        command.args(&settings.arguments).arg(name).arg(settings.seed.to_string());
        command.args(settings.breaks.arguments()).envs(environment(name, settings));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // Ctrl-C in a terminal goes to a whole group. It is for the fleet, which then lets its
        // services finish and send the rest.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(&"it has no standard streams"));
        };
        let mut line = String::new();
        let mut output = BufReader::new(output);
        match tokio::time::timeout(START_WITHIN, output.read_line(&mut line)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(failed(&error)),
            Err(_) => return Err(failed(&"it does not say where it listens")),
        }
        let address = line.trim().parse().map_err(|_| failed(&"it ended too early"))?;
        Ok(Process { name, address, input, child })
    }

    /// Tells it where the others are, upon which it begins.
    pub(crate) async fn introduce(&mut self, peers: &Peers) -> Result<(), String> {
        let line = peers.line();
        let told = self.input.write_all(line.as_bytes()).await;
        told.map_err(|error| format!("{} is gone: {error}", self.name))
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets it finish and send the rest; ends it if that takes too long.
    pub(crate) async fn stop(mut self, within: Duration) {
        drop(self.input);
        if tokio::time::timeout(within, self.child.wait()).await.is_err() {
            // It may have ended in this moment, which is what is wanted.
            let _ = self.child.kill().await;
        }
    }
}

/// How each document configures its service.
fn environment(name: &str, settings: &Settings) -> Vec<(&'static str, String)> {
    let http = settings.otlp_http.clone();
    match name {
        // "Configuration" of the document on hypeman's telemetry: OTLP over gRPC.
        "hypeman" => match settings.otlp_grpc.clone() {
            Some(grpc) => vec![
                ("ENV", "demo".to_owned()),
                ("OTEL_ENABLED", "true".to_owned()),
                ("OTEL_ENDPOINT", grpc),
                ("OTEL_INSECURE", "true".to_owned()),
                ("OTEL_SERVICE_INSTANCE_ID", "hypeman-1".to_owned()),
            ],
            None => vec![
                ("ENV", "demo".to_owned()),
                ("OTEL_ENABLED", "true".to_owned()),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", http),
                ("OTEL_SERVICE_INSTANCE_ID", "hypeman-1".to_owned()),
            ],
        },
        // "Configuration" of the document on metald's telemetry.
        "metald" => vec![
            ("UNKEY_METALD_OTEL_ENABLED", "true".to_owned()),
            ("UNKEY_METALD_OTEL_SAMPLING_RATE", "1.0".to_owned()),
            ("UNKEY_METALD_OTEL_ENDPOINT", http),
            ("UNKEY_METALD_OTEL_HIGH_CARDINALITY_ENABLED", "true".to_owned()),
        ],
        // "Environment Variables" of the document on ghostworks's telemetry; hypersdk's is
        // configured in code, save for the endpoint.
        _ => vec![("OTEL_EXPORTER_OTLP_ENDPOINT", http), ("ENVIRONMENT", "demo".to_owned())],
    }
}
