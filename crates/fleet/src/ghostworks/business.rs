// Made from registry/ghostworks.toml by `cargo xtask codegen`; a change belongs there.

//! What ghostworks measures: a method for each metric that it declares.
#![allow(dead_code, reason = "a test judges what is declared by what is emitted")]

use std::time::Duration;

use trefoil::metric::{Counter, Histogram, Registry};

trefoil::label_enum! {
    /// How a visitor proved who they are.
    pub(crate) enum Method {
        Password = "password",
        Refresh = "refresh",
        Register = "register",
        Token = "token",
    }
}

trefoil::label_enum! {
    /// What was done.
    pub(crate) enum ArtifactOperation {
        Create = "create",
        Delete = "delete",
        List = "list",
        Update = "update",
    }
}

trefoil::label_enum! {
    /// What was done in a workspace.
    pub(crate) enum WorkspaceOperation {
        Create = "create",
        Delete = "delete",
        List = "list",
        Update = "update",
        Usage = "usage",
    }
}

trefoil::labels! {
    /// Labels of `artifact_operation_duration_seconds`.
    pub(crate) struct ArtifactOperationDurationLabels {
        operation: ArtifactOperation,
        success: bool,
    }
}

trefoil::labels! {
    /// Labels of `artifacts_created_total`.
    pub(crate) struct ArtifactsCreatedLabels<'a> {
        tenant_id: &'a str,
        artifact_type: &'a str,
    }
}

trefoil::labels! {
    /// Labels of `auth_attempts_total`.
    pub(crate) struct AuthAttemptsLabels {
        method: Method,
        success: bool,
    }
}

trefoil::labels! {
    /// Labels of `workspace_operations_total`.
    pub(crate) struct WorkspaceOperationsLabels {
        operation: WorkspaceOperation,
    }
}

/// The metrics of ghostworks.
#[derive(Debug)]
pub(crate) struct Business {
    artifact_operation_duration: Histogram<ArtifactOperationDurationLabels>,
    artifacts_created: Counter<ArtifactsCreatedLabels<'static>>,
    auth_attempts: Counter<AuthAttemptsLabels>,
    workspace_operations: Counter<WorkspaceOperationsLabels>,
}

impl Business {
    /// All of them, in a registry.
    pub(crate) fn new(registry: &Registry) -> Business {
        let metric = |name: &'static str, description: &'static str| {
            let scope = ("ghostworks", env!("CARGO_PKG_VERSION"));
            registry.metric(name).description(description).scope(scope.0, scope.1)
        };
        Business {
            artifact_operation_duration: metric(
                "artifact_operation_duration_seconds",
                "Duration of artifact operations.",
            )
            .unit("s")
            .histogram(),
            artifacts_created: metric("artifacts_created_total", "Artifacts created by tenant.")
                .counter(),
            auth_attempts: metric(
                "auth_attempts_total",
                "Authentication attempts by success and method.",
            )
            .counter(),
            workspace_operations: metric(
                "workspace_operations_total",
                "Workspace operations by type.",
            )
            .counter(),
        }
    }

    /// Duration of artifact operations.
    pub(crate) fn record_artifact_operation_duration(
        &self,
        duration: Duration,
        operation: ArtifactOperation,
        success: bool,
    ) {
        self.artifact_operation_duration
            .record_duration(duration, ArtifactOperationDurationLabels { operation, success });
    }

    /// Artifacts created by tenant.
    pub(crate) fn record_artifact_created(&self, tenant_id: &str, artifact_type: &str) {
        self.artifacts_created.inc(ArtifactsCreatedLabels { tenant_id, artifact_type });
    }

    /// Authentication attempts by success and method.
    pub(crate) fn record_auth_attempt(&self, method: Method, success: bool) {
        self.auth_attempts.inc(AuthAttemptsLabels { method, success });
    }

    /// Workspace operations by type.
    pub(crate) fn record_workspace_operation(&self, operation: WorkspaceOperation) {
        self.workspace_operations.inc(WorkspaceOperationsLabels { operation });
    }
}
