//! The lifecycle of virtual machines: keeps track of them, has hypeman do the work, and
//! streams their usage to billing.

mod business;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::routing::post;
use axum::{Extension, Json, Router};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::http::{Answer, Failure, SECONDS, observed};
use crate::service::Service;
use crate::telemetry::Work;

const BILL_EVERY: Duration = Duration::from_secs(2);
const HEARTBEAT_EVERY: Duration = Duration::from_secs(3);
/// Machines billed in one round; each is a request.
const BILLED_AT_ONCE: usize = 4;

#[derive(Clone)]
struct Metald {
    service: Service,
    metrics: Arc<Metrics>,
    /// Names of machines that run. The load knows a few dozen names, so it stays small.
    running: Arc<Mutex<BTreeSet<String>>>,
}

struct Metrics {
    operations: Counter<u64>,
    duration: Histogram<f64>,
    collected: Counter<u64>,
    batches_sent: Counter<u64>,
    heartbeats: Counter<u64>,
}

/// What can be done to a machine, and what hypeman calls it.
struct Operation {
    name: &'static str,
    span: &'static str,
    instance: &'static str,
    /// Whether the machine runs afterwards; `None` if nothing changes.
    runs: Option<bool>,
}

const OPERATIONS: &[Operation] = &[
    Operation { name: "create", span: "vm.create", instance: "create", runs: None },
    Operation { name: "boot", span: "vm.boot", instance: "start", runs: Some(true) },
    Operation { name: "shutdown", span: "vm.shutdown", instance: "stop", runs: Some(false) },
    Operation { name: "delete", span: "vm.delete", instance: "delete", runs: Some(false) },
    Operation { name: "snapshot", span: "vm.snapshot", instance: "standby", runs: None },
    Operation { name: "restore", span: "vm.restore", instance: "restore", runs: Some(true) },
    Operation { name: "exec", span: "vm.exec", instance: "exec", runs: None },
];

pub(crate) fn start(service: Service, tasks: &mut JoinSet<()>) -> Router {
    let meter = &service.telemetry.meter;
    let metrics = Metrics {
        operations: meter.u64_counter("metald_vm_operations_total").build(),
        duration: meter
            .f64_histogram("metald_vm_operation_duration_seconds")
            .with_unit("s")
            .with_boundaries(SECONDS.to_vec())
            .build(),
        collected: meter.u64_counter("metald_metrics_collected_total").build(),
        batches_sent: meter.u64_counter("metald_billing_batches_sent_total").build(),
        heartbeats: meter.u64_counter("metald_heartbeat_sent_total").build(),
    };
    let telemetry = Arc::clone(&service.telemetry);
    let state = Metald { service, metrics: Arc::new(metrics), running: Arc::default() };
    tasks.spawn(billing(state.clone()));
    tasks.spawn(heartbeat(state.clone()));
    let router = Router::new().route("/vms/{vm}/{operation}", post(operate)).with_state(state);
    observed(router, &telemetry, Arc::new(|_| {}))
}

async fn operate(
    State(this): State<Metald>,
    Extension(work): Extension<Work>,
    Path((vm, name)): Path<(String, String)>,
) -> Answer {
    let operation = OPERATIONS.iter().find(|operation| operation.name == name);
    let operation = operation.ok_or_else(|| Failure::not_found("such operation"))?;
    let start = Instant::now();
    let attributes = vec![
        KeyValue::new("vm_id", vm.clone()),
        KeyValue::new("vm.operation", operation.name),
        KeyValue::new("backend", "cloud-hypervisor"),
    ];
    let work = work.part(operation.span, attributes);
    let path = format!("/instances/{vm}/{}", operation.instance);
    let result = this.service.hypeman(&work, Method::POST, &path, &Value::Null).await;
    let status = if result.is_ok() { "success" } else { "failure" };
    let labels = [KeyValue::new("operation", operation.name), KeyValue::new("status", status)];
    this.metrics.operations.add(1, &labels);
    this.metrics.duration.record(start.elapsed().as_secs_f64(), &labels[..1]);
    let attributes =
        [KeyValue::new("vm_id", vm.clone()), KeyValue::new("operation", operation.name)];
    match &result {
        Ok(_) => work.info("vm operation done", &attributes),
        Err(failure) => work.error("vm operation failed", failure, &attributes),
    }
    if let (Ok(_), Some(runs)) = (&result, operation.runs) {
        let mut running = this.running.lock().unwrap_or_else(PoisonError::into_inner);
        if runs {
            running.insert(vm)
        } else {
            running.remove(&vm)
        };
    }
    work.end(result.map(Json))
}

/// Background work: what machines used is collected and sent, a batch each.
async fn billing(mut this: Metald) {
    while this.service.stop.pause(BILL_EVERY).await {
        let work = Work::root(&this.service.telemetry, "billing.stream");
        let running: Vec<String> = {
            let running = this.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.iter().take(BILLED_AT_ONCE).cloned().collect()
        };
        work.set("vm.count", running.len() as i64);
        let mut result = Ok(());
        for vm in running {
            if let Err(failure) = bill(&this, &work, vm).await {
                result = Err(failure);
            }
        }
        let _ = work.end(result);
    }
}

async fn bill(this: &Metald, work: &Work, vm: String) -> Result<(), Failure> {
    let label = [KeyValue::new("vm_id", vm.clone())];
    let collect = work.part("billing.collect", label.to_vec());
    this.service.toil(3.0).await;
    this.metrics.collected.add(1, &label);
    collect.close();
    let usage = json!({ "vm_id": vm, "seconds": BILL_EVERY.as_secs_f64() });
    let sent = this.service.ghostworks(work, Method::POST, "/usage", &usage).await;
    match &sent {
        Ok(_) => {
            this.metrics.batches_sent.add(1, &label);
            work.info("billing batch sent", &label);
        }
        Err(failure) => work.error("billing batch lost", failure, &label),
    }
    sent.map(drop)
}

/// Background work: is the backend alive?
async fn heartbeat(mut this: Metald) {
    while this.service.stop.pause(HEARTBEAT_EVERY).await {
        let work = Work::root(&this.service.telemetry, "health.check");
        let path = "/health";
        let result = this.service.hypeman(&work, Method::GET, path, &Value::Null).await;
        this.metrics.heartbeats.add(1, &[]);
        let healthy = result.is_ok();
        work.info("heartbeat", &[KeyValue::new("healthy", healthy)]);
        let result = result
            .map_err(|failure| Failure::new(StatusCode::BAD_GATEWAY, "unhealthy", failure.message));
        let _ = work.end(result);
    }
}
