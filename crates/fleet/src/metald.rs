//! The lifecycle of virtual machines: keeps track of them, has hypeman do the work, and
//! streams their usage to billing.

mod business;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tracing::{Instrument, Span, error, info, info_span};
use trefoil::metric::Registry;

use self::business::{Business, Operation, Status};
use crate::http::{Answer, Failure};
use crate::service::Service;
use crate::telemetry::told;

const BILL_EVERY: Duration = Duration::from_secs(2);
const HEARTBEAT_EVERY: Duration = Duration::from_secs(3);
/// Machines billed in one round; each is a request.
const BILLED_AT_ONCE: usize = 4;

#[derive(Clone)]
struct Metald {
    service: Service,
    metrics: Arc<Business>,
    /// Names of machines that run. The load knows a few dozen names, so it stays small.
    running: Arc<Mutex<BTreeSet<String>>>,
}

/// What can be done to a machine, and what hypeman calls it.
struct Order {
    name: &'static str,
    span: &'static str,
    operation: Operation,
    instance: &'static str,
    /// Whether the machine runs afterwards; `None` if nothing changes.
    runs: Option<bool>,
}

impl Order {
    const fn new(
        name: &'static str,
        span: &'static str,
        operation: Operation,
        instance: &'static str,
        runs: Option<bool>,
    ) -> Order {
        Order { name, span, operation, instance, runs }
    }
}

const ORDERS: &[Order] = &[
    Order::new("create", "vm.create", Operation::Create, "create", None),
    Order::new("boot", "vm.boot", Operation::Boot, "start", Some(true)),
    Order::new("shutdown", "vm.shutdown", Operation::Shutdown, "stop", Some(false)),
    Order::new("delete", "vm.delete", Operation::Delete, "delete", Some(false)),
    Order::new("snapshot", "vm.snapshot", Operation::Snapshot, "standby", None),
    Order::new("restore", "vm.restore", Operation::Restore, "restore", Some(true)),
    Order::new("exec", "vm.exec", Operation::Exec, "exec", None),
];

pub(crate) fn start(service: Service, tasks: &mut JoinSet<()>) -> Router {
    let metrics = Arc::new(Business::new(Registry::global()));
    let state = Metald { service, metrics, running: Arc::default() };
    tasks.spawn(billing(state.clone()));
    tasks.spawn(heartbeat(state.clone()));
    Router::new().route("/vms/{vm}/{operation}", post(operate)).with_state(state)
}

async fn operate(State(this): State<Metald>, Path((vm, name)): Path<(String, String)>) -> Answer {
    let order = ORDERS.iter().find(|order| order.name == name);
    let order = order.ok_or_else(|| Failure::not_found("such operation"))?;
    let span = info_span!(
        "vm.operate",
        otel.name = order.span,
        vm_id = vm,
        vm.operation = order.name,
        backend = "cloud-hypervisor",
    );
    let result = this.carry_out(order, &vm).instrument(span.clone()).await;
    told(&span, result).map(Json)
}

impl Metald {
    async fn carry_out(&self, order: &Order, vm: &str) -> Result<Value, Failure> {
        let start = Instant::now();
        let path = format!("/instances/{vm}/{}", order.instance);
        let result = self.service.call("hypeman", Method::POST, &path, &Value::Null).await;
        let status = if result.is_ok() { Status::Success } else { Status::Failure };
        self.metrics.record_vm_operations(order.operation, status);
        self.metrics.record_vm_operation_duration(start.elapsed(), order.operation);
        match &result {
            Ok(_) => info!(vm_id = vm, operation = order.name, "vm operation done"),
            Err(failure) => {
                error!(
                    error = %failure, vm_id = vm, operation = order.name,
                    "vm operation failed"
                );
            }
        }
        if let (Ok(_), Some(runs)) = (&result, order.runs) {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = if runs { running.insert(vm.to_owned()) } else { running.remove(vm) };
        }
        result
    }

    async fn bill_all(&self) -> Result<(), Failure> {
        let running: Vec<String> = {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.iter().take(BILLED_AT_ONCE).cloned().collect()
        };
        Span::current().record("vm.count", running.len());
        let mut result = Ok(());
        for vm in running {
            if let Err(failure) = self.bill(&vm).await {
                result = Err(failure);
            }
        }
        result
    }

    async fn bill(&self, vm: &str) -> Result<(), Failure> {
        self.service.toil(3.0).instrument(info_span!("billing.collect", vm_id = vm)).await;
        self.metrics.record_metrics_collected(vm);
        let usage = json!({ "vm_id": vm, "seconds": BILL_EVERY.as_secs_f64() });
        match self.service.call("ghostworks", Method::POST, "/usage", &usage).await {
            Ok(_) => {
                self.metrics.record_billing_batches_sent(vm);
                info!(vm_id = vm, "billing batch sent");
                Ok(())
            }
            Err(failure) => {
                error!(error = %failure, vm_id = vm, "billing batch lost");
                Err(failure)
            }
        }
    }

    /// Whether the backend is alive.
    async fn check(&self) -> Result<(), Failure> {
        let answer = self.service.call("hypeman", Method::GET, "/health", &Value::Null).await;
        self.metrics.record_heartbeat_sent();
        info!(healthy = answer.is_ok(), "heartbeat");
        answer
            .map(drop)
            .map_err(|failure| Failure::new(StatusCode::BAD_GATEWAY, "unhealthy", failure.message))
    }
}

/// Background work: what machines used is collected and sent, a batch each.
async fn billing(mut this: Metald) {
    while this.service.stop.pause(BILL_EVERY).await {
        let span = info_span!("billing.stream", vm.count = tracing::field::Empty);
        // What failed is on the span; the next round comes anyway.
        let _ = told(&span, this.bill_all().instrument(span.clone()).await);
    }
}

/// Background work: is the backend alive?
async fn heartbeat(mut this: Metald) {
    while this.service.stop.pause(HEARTBEAT_EVERY).await {
        let span = info_span!("health.check");
        let _ = told(&span, this.check().instrument(span.clone()).await);
    }
}
