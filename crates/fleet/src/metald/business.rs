// Made from registry/metald.toml by `cargo xtask codegen`; a change belongs there.

//! What metald measures: a method for each metric that it declares.
#![allow(dead_code, reason = "a test judges what is declared by what is emitted")]

use std::time::Duration;

use trefoil::metric::{Counter, Histogram, Registry};

trefoil::label_enum! {
    /// What was done to a machine.
    pub(crate) enum Operation {
        Create = "create",
        Boot = "boot",
        Shutdown = "shutdown",
        Delete = "delete",
        Snapshot = "snapshot",
        Restore = "restore",
        Exec = "exec",
    }
}

trefoil::label_enum! {
    /// How it ended.
    pub(crate) enum Status {
        Success = "success",
        Failure = "failure",
    }
}

trefoil::labels! {
    /// Labels of `metald_billing_batches_sent_total`.
    pub(crate) struct BillingBatchesSentLabels<'a> {
        vm_id: &'a str,
    }
}

trefoil::labels! {
    /// Labels of `metald_metrics_collected_total`.
    pub(crate) struct MetricsCollectedLabels<'a> {
        vm_id: &'a str,
    }
}

trefoil::labels! {
    /// Labels of `metald_vm_operation_duration_seconds`.
    pub(crate) struct VmOperationDurationLabels {
        operation: Operation,
    }
}

trefoil::labels! {
    /// Labels of `metald_vm_operations_total`.
    pub(crate) struct VmOperationsLabels {
        operation: Operation,
        status: Status,
    }
}

/// The metrics of metald.
#[derive(Debug)]
pub(crate) struct Business {
    billing_batches_sent: Counter<BillingBatchesSentLabels<'static>>,
    heartbeat_sent: Counter<()>,
    metrics_collected: Counter<MetricsCollectedLabels<'static>>,
    vm_operation_duration: Histogram<VmOperationDurationLabels>,
    vm_operations: Counter<VmOperationsLabels>,
}

impl Business {
    /// All of them, in a registry.
    pub(crate) fn new(registry: &Registry) -> Business {
        let metric = |name: &'static str, description: &'static str| {
            let scope = ("metald", env!("CARGO_PKG_VERSION"));
            registry.metric(name).description(description).scope(scope.0, scope.1)
        };
        Business {
            billing_batches_sent: metric(
                "metald_billing_batches_sent_total",
                "Billing batches delivered.",
            )
            .counter(),
            heartbeat_sent: metric("metald_heartbeat_sent_total", "Heartbeats.").counter(),
            metrics_collected: metric(
                "metald_metrics_collected_total",
                "Collections of a machine's usage.",
            )
            .counter(),
            vm_operation_duration: metric(
                "metald_vm_operation_duration_seconds",
                "Duration of lifecycle operations.",
            )
            .unit("s")
            .histogram(),
            vm_operations: metric("metald_vm_operations_total", "Lifecycle operations by outcome.")
                .counter(),
        }
    }

    /// Billing batches delivered.
    pub(crate) fn record_billing_batches_sent(&self, vm_id: &str) {
        self.billing_batches_sent.inc(BillingBatchesSentLabels { vm_id });
    }

    /// Heartbeats.
    pub(crate) fn record_heartbeat_sent(&self) {
        self.heartbeat_sent.inc(());
    }

    /// Collections of a machine's usage.
    pub(crate) fn record_metrics_collected(&self, vm_id: &str) {
        self.metrics_collected.inc(MetricsCollectedLabels { vm_id });
    }

    /// Duration of lifecycle operations.
    pub(crate) fn record_vm_operation_duration(&self, duration: Duration, operation: Operation) {
        self.vm_operation_duration
            .record_duration(duration, VmOperationDurationLabels { operation });
    }

    /// Lifecycle operations by outcome.
    pub(crate) fn record_vm_operations(&self, operation: Operation, status: Status) {
        self.vm_operations.inc(VmOperationsLabels { operation, status });
    }
}
