//! The machines themselves: images, networks, volumes and the hypervisor behind them, all
//! simulated; what it tells is as real as the others'.

mod business;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::task::JoinSet;
use tracing::{Instrument, Span, error, info, info_span};
use trefoil::metric::Registry;

use self::business::{Business, ImageStatus, Status, TapOperation};
use self::business::{From as Before, State as Now, To as After};
use crate::http::{Answer, Failure};
use crate::service::Service;
use crate::telemetry::told;

const BUILD_EVERY: Duration = Duration::from_secs(4);
/// Each machine's volume.
const VOLUME_BYTES: u64 = 10 << 30;
/// The cache of images forgets the oldest.
const IMAGES_MAX: u64 = 12;

#[derive(Clone)]
struct Hypeman {
    service: Service,
    metrics: Arc<Business>,
    machines: Arc<Mutex<Machines>>,
}

#[derive(Default)]
struct Machines {
    /// State by name. The load knows a few dozen names, so it stays small.
    states: BTreeMap<String, Now>,
    images: u64,
    builds_waiting: u64,
}

pub(crate) fn start(service: Service, tasks: &mut JoinSet<()>) -> Router {
    let machines: Arc<Mutex<Machines>> = Arc::default();
    let metrics = Arc::new(Business::new(Registry::global()));
    observe(&metrics, &machines);
    let state = Hypeman { service, metrics, machines };
    tasks.spawn(builds(state.clone()));
    Router::new()
        .route("/instances/{name}/{operation}", post(operate))
        .route("/health", get(health))
        .with_state(state)
}

/// What is looked up when metrics are collected. A state without machines reports 0, so
/// that its series does not vanish.
fn observe(metrics: &Business, machines: &Arc<Mutex<Machines>>) {
    let start = Instant::now();
    metrics.observe_uptime_seconds(move |uptime| uptime.set(start.elapsed().as_secs_f64(), ()));
    metrics.observe_info(|info| {
        let rust_version = env!("CARGO_PKG_RUST_VERSION");
        let version = env!("CARGO_PKG_VERSION");
        info.set(1.0, business::InfoLabels { rust_version, version });
    });
    let look = |read: fn(&Machines) -> u64| {
        let machines = Arc::clone(machines);
        move || read(&lock(&machines)) as f64
    };
    let waiting = look(|machines| machines.builds_waiting);
    metrics.observe_images_build_queue_length(move |gauge| gauge.set(waiting(), ()));
    let addresses = look(|machines| machines.states.len() as u64);
    metrics.observe_network_allocations(move |gauge| gauge.set(addresses(), ()));
    let volumes = look(|machines| machines.states.len() as u64);
    metrics.observe_volumes(move |gauge| gauge.set(volumes(), ()));
    let allocated = look(|machines| machines.states.len() as u64 * VOLUME_BYTES);
    metrics.observe_volumes_allocated_bytes(move |gauge| gauge.set(allocated(), ()));
    let used = look(|machines| machines.states.len() as u64 * VOLUME_BYTES / 7);
    metrics.observe_volumes_used_bytes(move |gauge| gauge.set(used(), ()));
    let images = look(|machines| machines.images);
    metrics.observe_images(move |gauge| {
        gauge.set(images(), business::ImagesLabels { status: ImageStatus::Ready });
    });
    let machines = Arc::clone(machines);
    metrics.observe_instances(move |gauge| {
        let machines = lock(&machines);
        for state in [Now::Created, Now::Running, Now::Standby, Now::Stopped] {
            let number = machines.states.values().filter(|now| **now == state).count();
            gauge.set(number as f64, business::InstancesLabels { state });
        }
    });
}

fn lock(machines: &Mutex<Machines>) -> MutexGuard<'_, Machines> {
    machines.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn health() -> Answer {
    Ok(Json(json!({ "status": "ok" })))
}

async fn operate(
    State(this): State<Hypeman>,
    Path((name, operation)): Path<(String, String)>,
) -> Answer {
    let start = Instant::now();
    let result = match operation.as_str() {
        "create" => this.create(&name).await,
        "start" => this.boot(&name).await,
        "restore" => this.restore(&name).await,
        "standby" => this.standby(&name).await,
        "stop" => this.vmm("PUT /api/v1/vm.shutdown", 40.0).await,
        "delete" => this.delete().await,
        "exec" => this.exec(&name).await,
        _ => Err(Failure::not_found("such operation")),
    };
    let status = outcome(&result);
    match operation.as_str() {
        "create" => this.metrics.record_instances_create_duration(start.elapsed(), status),
        "restore" => this.metrics.record_instances_restore_duration(start.elapsed(), status),
        "standby" => this.metrics.record_instances_standby_duration(start.elapsed(), status),
        _ => {}
    }
    match &result {
        Ok(()) => {
            this.transition(&name, &operation);
            info!(
                subsystem = "INSTANCES",
                instance_id = name,
                operation,
                "instance operation done"
            );
        }
        Err(failure) => {
            error!(
                error = %failure, subsystem = "INSTANCES", instance_id = name, operation,
                "instance operation failed"
            );
        }
    }
    result.map(|()| Json(json!({ "done": true })))
}

fn outcome<T>(result: &Result<T, Failure>) -> Status {
    if result.is_ok() { Status::Success } else { Status::Failure }
}

/// A span of a piece of work on an instance.
macro_rules! instance_span {
    ($span:literal, $name:expr) => {
        info_span!($span, instance_id = $name, hypervisor = "cloud-hypervisor")
    };
}

impl Hypeman {
    async fn create(&self, name: &str) -> Result<(), Failure> {
        let span = instance_span!("CreateInstance", name);
        let created = async {
            let start = Instant::now();
            self.service.toil(8.0).instrument(info_span!("CreateVolume")).await;
            self.metrics.record_volumes_create_duration(start.elapsed(), Status::Success);
            self.metrics.record_network_tap_operations(TapOperation::Create);
            self.vmm("PUT /api/v1/vm.create", 15.0).await
        };
        told(&span, created.instrument(span.clone()).await)
    }

    async fn boot(&self, name: &str) -> Result<(), Failure> {
        let span = instance_span!("StartInstance", name);
        let booted = self.vmm("PUT /api/v1/vm.boot", 90.0).instrument(span.clone()).await;
        told(&span, booted)
    }

    async fn restore(&self, name: &str) -> Result<(), Failure> {
        let span = instance_span!("RestoreInstance", name);
        let restored = async {
            self.metrics.record_network_tap_operations(TapOperation::Create);
            self.service.toil(4.0).instrument(info_span!("RestoreNetwork")).await;
            self.vmm("PUT /api/v1/vm.restore", 50.0).await
        };
        told(&span, restored.instrument(span.clone()).await)
    }

    async fn standby(&self, name: &str) -> Result<(), Failure> {
        let span = instance_span!("StandbyInstance", name);
        let saved = self.vmm("PUT /api/v1/vm.snapshot", 60.0).instrument(span.clone()).await;
        told(&span, saved)
    }

    async fn delete(&self) -> Result<(), Failure> {
        self.metrics.record_network_tap_operations(TapOperation::Delete);
        self.vmm("PUT /api/v1/vm.delete", 10.0).await
    }

    async fn exec(&self, name: &str) -> Result<(), Failure> {
        let start = Instant::now();
        self.service.toil(25.0).instrument(instance_span!("ExecSession", name)).await;
        let failed = self.service.dice.percent(3.0);
        let (status, code) = if failed { (Status::Failure, "1") } else { (Status::Success, "0") };
        self.metrics.record_exec_sessions(code, status);
        self.metrics.record_exec_duration(start.elapsed(), status);
        self.metrics.record_exec_bytes_sent(64 + self.service.dice.below(512));
        self.metrics.record_exec_bytes_received(256 + self.service.dice.below(8192));
        Ok(())
    }

    /// A call of the hypervisor's API, which takes about so long.
    async fn vmm(&self, operation: &'static str, ms: f64) -> Result<(), Failure> {
        let span = info_span!("cloud-hypervisor", otel.kind = "client", vmm.operation = operation);
        let start = Instant::now();
        let called = async {
            self.service.toil(ms).await;
            let boots = operation.ends_with("boot");
            let broken = boots && self.service.strike("vmm").await;
            // Even good hypervisors refuse now and then.
            if broken || self.service.dice.percent(0.4) {
                let message = "the guest's kernel did not come up: timeout";
                return Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "vmm", message));
            }
            Ok(())
        };
        let result = told(&span, called.instrument(span.clone()).await);
        self.metrics.record_vmm_api_duration(start.elapsed(), operation, outcome(&result));
        if result.is_err() {
            self.metrics.record_vmm_api_errors(operation);
        }
        result
    }

    fn transition(&self, name: &str, operation: &str) {
        let (to, now) = match operation {
            "create" => (After::Created, Some(Now::Created)),
            "start" | "restore" => (After::Running, Some(Now::Running)),
            "standby" => (After::Standby, Some(Now::Standby)),
            "stop" => (After::Stopped, Some(Now::Stopped)),
            "delete" => (After::Deleted, None),
            _ => return,
        };
        let mut machines = lock(&self.machines);
        let before = match now {
            Some(now) => machines.states.insert(name.to_owned(), now),
            None => machines.states.remove(name),
        };
        let before = match before {
            None => Before::None,
            Some(Now::Created) => Before::Created,
            Some(Now::Running) => Before::Running,
            Some(Now::Standby) => Before::Standby,
            Some(Now::Stopped) => Before::Stopped,
        };
        self.metrics.record_instances_state_transitions(before, to);
    }

    /// Pulls an image and builds it.
    async fn build(&self) {
        let waiting = 1 + self.service.dice.below(3);
        self.set_builds_waiting(waiting);
        let pull = info_span!("image.pull", otel.kind = "client", image = "debian:12");
        self.service.toil(80.0).instrument(pull).await;
        self.metrics.record_images_pulls(Status::Success);
        let start = Instant::now();
        self.service.toil(400.0).await;
        self.metrics.record_images_build_duration(start.elapsed(), Status::Success);
        self.set_builds_waiting(waiting - 1);
        info!(subsystem = "IMAGES", image = "debian:12", "image built");
    }

    fn set_builds_waiting(&self, waiting: u64) {
        let mut machines = lock(&self.machines);
        machines.builds_waiting = waiting;
        machines.images = (machines.images + 1).min(IMAGES_MAX);
    }
}

/// Background work: images are pulled and built.
async fn builds(mut this: Hypeman) {
    while this.service.stop.pause(BUILD_EVERY).await {
        let span: Span = info_span!("image.build");
        this.build().instrument(span).await;
    }
}
