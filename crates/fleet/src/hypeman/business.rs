// Made from registry/hypeman.toml by `cargo xtask codegen`; a change belongs there.

//! What hypeman measures: a method for each metric that it declares.
#![allow(dead_code, reason = "a test judges what is declared by what is emitted")]

use std::time::Duration;

use trefoil::metric::{Counter, Histogram, ObservableGauge, Observer, Registry};

trefoil::label_enum! {
    /// How it ended.
    pub(crate) enum Status {
        Success = "success",
        Failure = "failure",
    }
}

trefoil::label_enum! {
    /// Whether an image can be used.
    pub(crate) enum ImageStatus {
        Ready = "ready",
    }
}

trefoil::label_enum! {
    /// Of an instance.
    pub(crate) enum State {
        Created = "created",
        Running = "running",
        Standby = "standby",
        Stopped = "stopped",
    }
}

trefoil::label_enum! {
    /// The state before.
    pub(crate) enum From {
        None = "none",
        Created = "created",
        Running = "running",
        Standby = "standby",
        Stopped = "stopped",
    }
}

trefoil::label_enum! {
    /// The state after.
    pub(crate) enum To {
        Created = "created",
        Running = "running",
        Standby = "standby",
        Stopped = "stopped",
        Deleted = "deleted",
    }
}

trefoil::label_enum! {
    /// What was done to a TAP device.
    pub(crate) enum TapOperation {
        Create = "create",
        Delete = "delete",
    }
}

trefoil::labels! {
    /// Labels of `hypeman_exec_duration_seconds`.
    pub(crate) struct ExecDurationLabels {
        status: Status,
    }
}

trefoil::labels! {
    /// Labels of `hypeman_exec_sessions_total`.
    pub(crate) struct ExecSessionsLabels<'a> {
        exit_code: &'a str,
        status: Status,
    }
}

trefoil::labels! {
    /// Labels of `hypeman_images_build_duration_seconds`.
    pub(crate) struct ImagesBuildDurationLabels {
        status: Status,
    }
}

trefoil::labels! {
    /// Labels of `hypeman_images_pulls_total`.
    pub(crate) struct ImagesPullsLabels {
        status: Status,
    }
}

trefoil::labels! {
    /// Labels of `hypeman_images_total`.
    pub(crate) struct ImagesLabels {
        status: ImageStatus,
    }
}

trefoil::labels! {
    /// Labels of `hypeman_info`.
    pub(crate) struct InfoLabels<'a> {
        rust_version: &'a str,
        version: &'a str,
    }
}

trefoil::labels! {
    /// Labels of `hypeman_instances_create_duration_seconds`.
    pub(crate) struct InstancesCreateDurationLabels {
        status: Status,
    }
}

trefoil::labels! {
    /// Labels of `hypeman_instances_restore_duration_seconds`.
    pub(crate) struct InstancesRestoreDurationLabels {
        status: Status,
    }
}

trefoil::labels! {
    /// Labels of `hypeman_instances_standby_duration_seconds`.
    pub(crate) struct InstancesStandbyDurationLabels {
        status: Status,
    }
}

trefoil::labels! {
    /// Labels of `hypeman_instances_state_transitions_total`.
    pub(crate) struct InstancesStateTransitionsLabels {
        from: From,
        to: To,
    }
}

trefoil::labels! {
    /// Labels of `hypeman_instances_total`.
    pub(crate) struct InstancesLabels {
        state: State,
    }
}

trefoil::labels! {
    /// Labels of `hypeman_network_tap_operations_total`.
    pub(crate) struct NetworkTapOperationsLabels {
        operation: TapOperation,
    }
}

trefoil::labels! {
    /// Labels of `hypeman_vmm_api_duration_seconds`.
    pub(crate) struct VmmApiDurationLabels<'a> {
        operation: &'a str,
        status: Status,
    }
}

trefoil::labels! {
    /// Labels of `hypeman_vmm_api_errors_total`.
    pub(crate) struct VmmApiErrorsLabels<'a> {
        operation: &'a str,
    }
}

trefoil::labels! {
    /// Labels of `hypeman_volumes_create_duration_seconds`.
    pub(crate) struct VolumesCreateDurationLabels {
        status: Status,
    }
}

/// The metrics of hypeman.
#[derive(Debug)]
pub(crate) struct Business {
    exec_bytes_received: Counter<()>,
    exec_bytes_sent: Counter<()>,
    exec_duration: Histogram<ExecDurationLabels>,
    exec_sessions: Counter<ExecSessionsLabels<'static>>,
    images_build_duration: Histogram<ImagesBuildDurationLabels>,
    images_build_queue_length: ObservableGauge<()>,
    images_pulls: Counter<ImagesPullsLabels>,
    images: ObservableGauge<ImagesLabels>,
    info: ObservableGauge<InfoLabels<'static>>,
    instances_create_duration: Histogram<InstancesCreateDurationLabels>,
    instances_restore_duration: Histogram<InstancesRestoreDurationLabels>,
    instances_standby_duration: Histogram<InstancesStandbyDurationLabels>,
    instances_state_transitions: Counter<InstancesStateTransitionsLabels>,
    instances: ObservableGauge<InstancesLabels>,
    network_allocations: ObservableGauge<()>,
    network_tap_operations: Counter<NetworkTapOperationsLabels>,
    uptime_seconds: ObservableGauge<()>,
    vmm_api_duration: Histogram<VmmApiDurationLabels<'static>>,
    vmm_api_errors: Counter<VmmApiErrorsLabels<'static>>,
    volumes_allocated_bytes: ObservableGauge<()>,
    volumes_create_duration: Histogram<VolumesCreateDurationLabels>,
    volumes: ObservableGauge<()>,
    volumes_used_bytes: ObservableGauge<()>,
}

impl Business {
    /// All of them, in a registry.
    pub(crate) fn new(registry: &Registry) -> Business {
        let metric = |name: &'static str, description: &'static str| {
            let scope = ("hypeman", env!("CARGO_PKG_VERSION"));
            registry.metric(name).description(description).scope(scope.0, scope.1)
        };
        Business {
            exec_bytes_received: metric(
                "hypeman_exec_bytes_received_total",
                "Bytes from guests (stdout and stderr).",
            )
            .unit("By")
            .counter(),
            exec_bytes_sent: metric("hypeman_exec_bytes_sent_total", "Bytes to guests (stdin).")
                .unit("By")
                .counter(),
            exec_duration: metric(
                "hypeman_exec_duration_seconds",
                "Duration of commands in guests.",
            )
            .unit("s")
            .histogram(),
            exec_sessions: metric("hypeman_exec_sessions_total", "Commands run in guests.")
                .counter(),
            images_build_duration: metric(
                "hypeman_images_build_duration_seconds",
                "Image build time.",
            )
            .unit("s")
            .histogram(),
            images_build_queue_length: metric(
                "hypeman_images_build_queue_length",
                "Images that wait to be built.",
            )
            .observable_gauge(),
            images_pulls: metric("hypeman_images_pulls_total", "Pulls from the registry.")
                .counter(),
            images: metric("hypeman_images_total", "Images in the cache.").observable_gauge(),
            info: metric("hypeman_info", "Build information; always 1.").observable_gauge(),
            instances_create_duration: metric(
                "hypeman_instances_create_duration_seconds",
                "Time to create a machine.",
            )
            .unit("s")
            .histogram(),
            instances_restore_duration: metric(
                "hypeman_instances_restore_duration_seconds",
                "Time to restore a machine.",
            )
            .unit("s")
            .histogram(),
            instances_standby_duration: metric(
                "hypeman_instances_standby_duration_seconds",
                "Time to put a machine on standby.",
            )
            .unit("s")
            .histogram(),
            instances_state_transitions: metric(
                "hypeman_instances_state_transitions_total",
                "State changes of machines.",
            )
            .counter(),
            instances: metric("hypeman_instances_total", "Machines by state.").observable_gauge(),
            network_allocations: metric(
                "hypeman_network_allocations_total",
                "IP addresses in use (a gauge, whatever its name says).",
            )
            .observable_gauge(),
            network_tap_operations: metric(
                "hypeman_network_tap_operations_total",
                "TAP devices created and deleted.",
            )
            .counter(),
            uptime_seconds: metric("hypeman_uptime_seconds", "Uptime of the process.")
                .unit("s")
                .observable_gauge(),
            vmm_api_duration: metric(
                "hypeman_vmm_api_duration_seconds",
                "Latency of the hypervisor's API.",
            )
            .unit("s")
            .histogram(),
            vmm_api_errors: metric(
                "hypeman_vmm_api_errors_total",
                "Errors of the hypervisor's API.",
            )
            .counter(),
            volumes_allocated_bytes: metric(
                "hypeman_volumes_allocated_bytes",
                "Provisioned size of all volumes.",
            )
            .unit("By")
            .observable_gauge(),
            volumes_create_duration: metric(
                "hypeman_volumes_create_duration_seconds",
                "Time to create a volume.",
            )
            .unit("s")
            .histogram(),
            volumes: metric("hypeman_volumes_total", "Volumes.").observable_gauge(),
            volumes_used_bytes: metric(
                "hypeman_volumes_used_bytes",
                "Disk space that volumes really take.",
            )
            .unit("By")
            .observable_gauge(),
        }
    }

    /// Bytes from guests (stdout and stderr).
    pub(crate) fn record_exec_bytes_received(&self, value: u64) {
        self.exec_bytes_received.add(value, ());
    }

    /// Bytes to guests (stdin).
    pub(crate) fn record_exec_bytes_sent(&self, value: u64) {
        self.exec_bytes_sent.add(value, ());
    }

    /// Duration of commands in guests.
    pub(crate) fn record_exec_duration(&self, duration: Duration, status: Status) {
        self.exec_duration.record_duration(duration, ExecDurationLabels { status });
    }

    /// Commands run in guests.
    pub(crate) fn record_exec_sessions(&self, exit_code: &str, status: Status) {
        self.exec_sessions.inc(ExecSessionsLabels { exit_code, status });
    }

    /// Image build time.
    pub(crate) fn record_images_build_duration(&self, duration: Duration, status: Status) {
        self.images_build_duration.record_duration(duration, ImagesBuildDurationLabels { status });
    }

    /// Images that wait to be built. Asked for at each collection.
    pub(crate) fn observe_images_build_queue_length(
        &self,
        callback: impl Fn(&Observer<'_, (), f64>) + Send + 'static,
    ) {
        self.images_build_queue_length.observe(callback);
    }

    /// Pulls from the registry.
    pub(crate) fn record_images_pulls(&self, status: Status) {
        self.images_pulls.inc(ImagesPullsLabels { status });
    }

    /// Images in the cache. Asked for at each collection.
    pub(crate) fn observe_images(
        &self,
        callback: impl Fn(&Observer<'_, ImagesLabels, f64>) + Send + 'static,
    ) {
        self.images.observe(callback);
    }

    /// Build information; always 1. Asked for at each collection.
    pub(crate) fn observe_info(
        &self,
        callback: impl Fn(&Observer<'_, InfoLabels<'static>, f64>) + Send + 'static,
    ) {
        self.info.observe(callback);
    }

    /// Time to create a machine.
    pub(crate) fn record_instances_create_duration(&self, duration: Duration, status: Status) {
        self.instances_create_duration
            .record_duration(duration, InstancesCreateDurationLabels { status });
    }

    /// Time to restore a machine.
    pub(crate) fn record_instances_restore_duration(&self, duration: Duration, status: Status) {
        self.instances_restore_duration
            .record_duration(duration, InstancesRestoreDurationLabels { status });
    }

    /// Time to put a machine on standby.
    pub(crate) fn record_instances_standby_duration(&self, duration: Duration, status: Status) {
        self.instances_standby_duration
            .record_duration(duration, InstancesStandbyDurationLabels { status });
    }

    /// State changes of machines.
    pub(crate) fn record_instances_state_transitions(&self, from: From, to: To) {
        self.instances_state_transitions.inc(InstancesStateTransitionsLabels { from, to });
    }

    /// Machines by state. Asked for at each collection.
    pub(crate) fn observe_instances(
        &self,
        callback: impl Fn(&Observer<'_, InstancesLabels, f64>) + Send + 'static,
    ) {
        self.instances.observe(callback);
    }

    /// IP addresses in use (a gauge, whatever its name says). Asked for at each collection.
    pub(crate) fn observe_network_allocations(
        &self,
        callback: impl Fn(&Observer<'_, (), f64>) + Send + 'static,
    ) {
        self.network_allocations.observe(callback);
    }

    /// TAP devices created and deleted.
    pub(crate) fn record_network_tap_operations(&self, operation: TapOperation) {
        self.network_tap_operations.inc(NetworkTapOperationsLabels { operation });
    }

    /// Uptime of the process. Asked for at each collection.
    pub(crate) fn observe_uptime_seconds(
        &self,
        callback: impl Fn(&Observer<'_, (), f64>) + Send + 'static,
    ) {
        self.uptime_seconds.observe(callback);
    }

    /// Latency of the hypervisor's API.
    pub(crate) fn record_vmm_api_duration(
        &self,
        duration: Duration,
        operation: &str,
        status: Status,
    ) {
        self.vmm_api_duration.record_duration(duration, VmmApiDurationLabels { operation, status });
    }

    /// Errors of the hypervisor's API.
    pub(crate) fn record_vmm_api_errors(&self, operation: &str) {
        self.vmm_api_errors.inc(VmmApiErrorsLabels { operation });
    }

    /// Provisioned size of all volumes. Asked for at each collection.
    pub(crate) fn observe_volumes_allocated_bytes(
        &self,
        callback: impl Fn(&Observer<'_, (), f64>) + Send + 'static,
    ) {
        self.volumes_allocated_bytes.observe(callback);
    }

    /// Time to create a volume.
    pub(crate) fn record_volumes_create_duration(&self, duration: Duration, status: Status) {
        self.volumes_create_duration
            .record_duration(duration, VolumesCreateDurationLabels { status });
    }

    /// Volumes. Asked for at each collection.
    pub(crate) fn observe_volumes(
        &self,
        callback: impl Fn(&Observer<'_, (), f64>) + Send + 'static,
    ) {
        self.volumes.observe(callback);
    }

    /// Disk space that volumes really take. Asked for at each collection.
    pub(crate) fn observe_volumes_used_bytes(
        &self,
        callback: impl Fn(&Observer<'_, (), f64>) + Send + 'static,
    ) {
        self.volumes_used_bytes.observe(callback);
    }
}
