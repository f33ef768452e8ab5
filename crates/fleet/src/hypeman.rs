//! The machines themselves: images, networks, volumes and the hypervisor behind them, all
//! simulated; what it tells is as real as the others'.

mod business;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use serde_json::json;
use tokio::task::JoinSet;

use crate::http::{Answer, Exchange, Failure, SECONDS, observed};
use crate::service::Service;
use crate::telemetry::Work;

const BUILD_EVERY: Duration = Duration::from_secs(4);
/// Each machine's volume.
const VOLUME_BYTES: u64 = 10 << 30;

#[derive(Clone)]
struct Hypeman {
    service: Service,
    metrics: Arc<Metrics>,
    machines: Arc<Mutex<Machines>>,
}

#[derive(Default)]
struct Machines {
    /// State by name. The load knows a few dozen names, so it stays small.
    states: BTreeMap<String, &'static str>,
    images: u64,
    builds_waiting: u64,
}

struct Metrics {
    http_requests: Counter<u64>,
    http_duration: Histogram<f64>,
    image_build: Histogram<f64>,
    image_pulls: Counter<u64>,
    create: Histogram<f64>,
    restore: Histogram<f64>,
    standby: Histogram<f64>,
    transitions: Counter<u64>,
    taps: Counter<u64>,
    volume_create: Histogram<f64>,
    vmm: Histogram<f64>,
    vmm_errors: Counter<u64>,
    exec_sessions: Counter<u64>,
    exec_duration: Histogram<f64>,
    exec_sent: Counter<u64>,
    exec_received: Counter<u64>,
}

pub(crate) fn start(service: Service, tasks: &mut JoinSet<()>) -> Router {
    let machines: Arc<Mutex<Machines>> = Arc::default();
    let metrics = Arc::new(instruments(&service.telemetry.meter));
    gauges(&service.telemetry.meter, &machines);
    let telemetry = Arc::clone(&service.telemetry);
    let state = Hypeman { service, metrics: Arc::clone(&metrics), machines };
    tasks.spawn(builds(state.clone()));
    let router = Router::new()
        .route("/instances/{name}/{operation}", post(operate))
        .route("/health", get(health))
        .with_state(state);
    observed(router, &telemetry, Arc::new(move |exchange| record(&metrics, exchange)))
}

fn instruments(meter: &Meter) -> Metrics {
    let counter = |name: &'static str| meter.u64_counter(name).build();
    let bytes = |name: &'static str| meter.u64_counter(name).with_unit("By").build();
    let seconds = |name: &'static str| {
        meter.f64_histogram(name).with_unit("s").with_boundaries(SECONDS.to_vec()).build()
    };
    Metrics {
        http_requests: counter("hypeman_http_requests_total"),
        http_duration: seconds("hypeman_http_request_duration_seconds"),
        image_build: seconds("hypeman_images_build_duration_seconds"),
        image_pulls: counter("hypeman_images_pulls_total"),
        create: seconds("hypeman_instances_create_duration_seconds"),
        restore: seconds("hypeman_instances_restore_duration_seconds"),
        standby: seconds("hypeman_instances_standby_duration_seconds"),
        transitions: counter("hypeman_instances_state_transitions_total"),
        taps: counter("hypeman_network_tap_operations_total"),
        volume_create: seconds("hypeman_volumes_create_duration_seconds"),
        vmm: seconds("hypeman_vmm_api_duration_seconds"),
        vmm_errors: counter("hypeman_vmm_api_errors_total"),
        exec_sessions: counter("hypeman_exec_sessions_total"),
        exec_duration: seconds("hypeman_exec_duration_seconds"),
        exec_sent: bytes("hypeman_exec_bytes_sent_total"),
        exec_received: bytes("hypeman_exec_bytes_received_total"),
    }
}

/// What is looked up when metrics are collected. A state without machines reports 0, so
/// that its series does not vanish.
fn gauges(meter: &Meter, machines: &Arc<Mutex<Machines>>) {
    let start = Instant::now();
    meter
        .f64_observable_gauge("hypeman_uptime_seconds")
        .with_unit("s")
        .with_callback(move |gauge| gauge.observe(start.elapsed().as_secs_f64(), &[]))
        .build();
    let version = [
        KeyValue::new("version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("rust_version", env!("CARGO_PKG_RUST_VERSION")),
    ];
    meter
        .u64_observable_gauge("hypeman_info")
        .with_callback(move |gauge| gauge.observe(1, &version))
        .build();
    let gauge = |name: &'static str, unit: &'static str, read: fn(&Machines) -> u64| {
        let machines = Arc::clone(machines);
        meter
            .u64_observable_gauge(name)
            .with_unit(unit)
            .with_callback(move |gauge| {
                let machines = machines.lock().unwrap_or_else(PoisonError::into_inner);
                gauge.observe(read(&machines), &[]);
            })
            .build();
    };
    gauge("hypeman_images_build_queue_length", "", |machines| machines.builds_waiting);
    gauge("hypeman_network_allocations_total", "", |machines| machines.states.len() as u64);
    gauge("hypeman_volumes_total", "", |machines| machines.states.len() as u64);
    gauge("hypeman_volumes_allocated_bytes", "By", |machines| {
        machines.states.len() as u64 * VOLUME_BYTES
    });
    gauge("hypeman_volumes_used_bytes", "By", |machines| {
        machines.states.len() as u64 * VOLUME_BYTES / 7
    });
    let images = Arc::clone(machines);
    meter
        .u64_observable_gauge("hypeman_images_total")
        .with_callback(move |gauge| {
            let machines = images.lock().unwrap_or_else(PoisonError::into_inner);
            gauge.observe(machines.images, &[KeyValue::new("status", "ready")]);
        })
        .build();
    let states = Arc::clone(machines);
    meter
        .u64_observable_gauge("hypeman_instances_total")
        .with_callback(move |gauge| {
            let machines = states.lock().unwrap_or_else(PoisonError::into_inner);
            for state in ["created", "running", "standby", "stopped"] {
                let number = machines.states.values().filter(|now| **now == state).count();
                gauge.observe(number as u64, &[KeyValue::new("state", state)]);
            }
        })
        .build();
}

fn record(metrics: &Metrics, exchange: &Exchange<'_>) {
    let labels = [
        KeyValue::new("method", exchange.method.to_owned()),
        KeyValue::new("path", exchange.route.to_owned()),
        KeyValue::new("status", exchange.status.to_string()),
    ];
    metrics.http_requests.add(1, &labels);
    metrics.http_duration.record(exchange.seconds, &labels);
}

async fn health() -> Answer {
    Ok(Json(json!({ "status": "ok" })))
}

async fn operate(
    State(this): State<Hypeman>,
    Extension(work): Extension<Work>,
    Path((name, operation)): Path<(String, String)>,
) -> Answer {
    let start = Instant::now();
    let result = match operation.as_str() {
        "create" => this.create(&work, &name).await,
        "start" => this.boot(&work, &name).await,
        "restore" => this.restore(&work, &name).await,
        "standby" => this.standby(&work, &name).await,
        "stop" => this.vmm(&work, "PUT /api/v1/vm.shutdown", 40.0).await,
        "delete" => this.delete(&work).await,
        "exec" => this.exec(&work, &name).await,
        _ => Err(Failure::not_found("such operation")),
    };
    let status = if result.is_ok() { "success" } else { "failure" };
    let labels = [KeyValue::new("status", status)];
    let seconds = start.elapsed().as_secs_f64();
    match operation.as_str() {
        "create" => this.metrics.create.record(seconds, &labels),
        "restore" => this.metrics.restore.record(seconds, &labels),
        "standby" => this.metrics.standby.record(seconds, &labels),
        _ => {}
    }
    let about = [
        KeyValue::new("subsystem", "INSTANCES"),
        KeyValue::new("instance_id", name.clone()),
        KeyValue::new("operation", operation.clone()),
    ];
    match &result {
        Ok(()) => {
            this.transition(&name, &operation);
            work.info("instance operation done", &about);
        }
        Err(failure) => work.error("instance operation failed", failure, &about),
    }
    result.map(|()| Json(json!({ "done": true })))
}

impl Hypeman {
    async fn create(&self, work: &Work, name: &str) -> Result<(), Failure> {
        let create = work.part("CreateInstance", instance(name));
        let volume = create.part("CreateVolume", Vec::new());
        let start = Instant::now();
        self.service.toil(8.0).await;
        let success = KeyValue::new("status", "success");
        self.metrics.volume_create.record(start.elapsed().as_secs_f64(), &[success]);
        volume.close();
        self.metrics.taps.add(1, &[KeyValue::new("operation", "create")]);
        let result = self.vmm(&create, "PUT /api/v1/vm.create", 15.0).await;
        create.end(result)
    }

    async fn boot(&self, work: &Work, name: &str) -> Result<(), Failure> {
        let start = work.part("StartInstance", instance(name));
        let result = self.vmm(&start, "PUT /api/v1/vm.boot", 90.0).await;
        start.end(result)
    }

    async fn restore(&self, work: &Work, name: &str) -> Result<(), Failure> {
        let restore = work.part("RestoreInstance", instance(name));
        let network = restore.part("RestoreNetwork", Vec::new());
        self.metrics.taps.add(1, &[KeyValue::new("operation", "create")]);
        self.service.toil(4.0).await;
        network.close();
        let result = self.vmm(&restore, "PUT /api/v1/vm.restore", 50.0).await;
        restore.end(result)
    }

    async fn standby(&self, work: &Work, name: &str) -> Result<(), Failure> {
        let standby = work.part("StandbyInstance", instance(name));
        let result = self.vmm(&standby, "PUT /api/v1/vm.snapshot", 60.0).await;
        standby.end(result)
    }

    async fn delete(&self, work: &Work) -> Result<(), Failure> {
        self.metrics.taps.add(1, &[KeyValue::new("operation", "delete")]);
        self.vmm(work, "PUT /api/v1/vm.delete", 10.0).await
    }

    async fn exec(&self, work: &Work, name: &str) -> Result<(), Failure> {
        let exec = work.part("ExecSession", instance(name));
        let start = Instant::now();
        self.service.toil(25.0).await;
        let failed = self.service.dice.percent(3.0);
        let (status, code) = if failed { ("failure", "1") } else { ("success", "0") };
        let labels = [KeyValue::new("status", status), KeyValue::new("exit_code", code)];
        self.metrics.exec_sessions.add(1, &labels);
        self.metrics.exec_duration.record(start.elapsed().as_secs_f64(), &labels[..1]);
        self.metrics.exec_sent.add(64 + self.service.dice.below(512), &[]);
        self.metrics.exec_received.add(256 + self.service.dice.below(8192), &[]);
        exec.close();
        Ok(())
    }

    /// A call of the hypervisor's API, which takes about so long.
    async fn vmm(&self, work: &Work, operation: &'static str, ms: f64) -> Result<(), Failure> {
        let attributes = vec![KeyValue::new("vmm.operation", operation)];
        let call = work.call("cloud-hypervisor", attributes);
        let start = Instant::now();
        self.service.toil(ms).await;
        let boots = operation.ends_with("boot");
        let broken = boots && self.service.strike("vmm").await;
        // Even good hypervisors refuse now and then.
        let result = if broken || self.service.dice.percent(0.4) {
            let message = "the guest's kernel did not come up: timeout";
            Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "vmm", message))
        } else {
            Ok(())
        };
        let status = if result.is_ok() { "success" } else { "failure" };
        let labels = [KeyValue::new("operation", operation), KeyValue::new("status", status)];
        self.metrics.vmm.record(start.elapsed().as_secs_f64(), &labels);
        if result.is_err() {
            self.metrics.vmm_errors.add(1, &labels[..1]);
        }
        call.end(result)
    }

    fn transition(&self, name: &str, operation: &str) {
        let to = match operation {
            "create" => "created",
            "start" | "restore" => "running",
            "standby" => "standby",
            "stop" => "stopped",
            "delete" => "deleted",
            _ => return,
        };
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        let from = if to == "deleted" {
            machines.states.remove(name)
        } else {
            machines.states.insert(name.to_owned(), to)
        };
        let labels = [KeyValue::new("from", from.unwrap_or("none")), KeyValue::new("to", to)];
        self.metrics.transitions.add(1, &labels);
    }
}

fn instance(name: &str) -> Vec<KeyValue> {
    vec![
        KeyValue::new("instance_id", name.to_owned()),
        KeyValue::new("hypervisor", "cloud-hypervisor"),
    ]
}

/// Background work: images are pulled and built.
async fn builds(mut this: Hypeman) {
    while this.service.stop.pause(BUILD_EVERY).await {
        let waiting = 1 + this.service.dice.below(3);
        this.set_builds_waiting(waiting);
        let work = Work::root(&this.service.telemetry, "image.build");
        let success = [KeyValue::new("status", "success")];
        let pull = work.call("image.pull", vec![KeyValue::new("image", "debian:12")]);
        this.service.toil(80.0).await;
        this.metrics.image_pulls.add(1, &success);
        pull.close();
        let start = Instant::now();
        this.service.toil(400.0).await;
        this.metrics.image_build.record(start.elapsed().as_secs_f64(), &success);
        this.set_builds_waiting(waiting - 1);
        let about = [KeyValue::new("subsystem", "IMAGES"), KeyValue::new("image", "debian:12")];
        work.info("image built", &about);
        work.close();
    }
}

impl Hypeman {
    fn set_builds_waiting(&self, waiting: u64) {
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        machines.builds_waiting = waiting;
        // The cache holds a dozen and forgets the oldest.
        machines.images = (machines.images + 1).min(12);
    }
}
