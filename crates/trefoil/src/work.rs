//! Pieces of work: a span, and how it ended told in one place, whichever way that was.
//!
//! ```
//! use trefoil::{attribute, work};
//!
//! fn export(vm: &str) -> Result<u64, std::io::Error> {
//!     let export = work::job_export("job-123", "export-vm", vm);
//!     export.add_event("job-started", &[]);
//!     // An error is recorded, the span fails; a panic likewise.
//!     export.run(|export| {
//!         export.set(attribute::VM_PATH, format!("/datacenter/vm/{vm}"));
//!         Ok(42)
//!     })
//! }
//! # export("my-vm").unwrap();
//! ```

mod guard;

#[cfg(test)]
mod tests;

use tracing::{Span, field, info_span};

pub use guard::{End, Ended, Unmeasured, Work};

/// Work that a span of your own describes.
pub fn start(span: Span) -> Work {
    Work::new(span)
}

/// The export of a virtual machine: span `job.export`.
pub fn job_export(job_id: &str, job_name: &str, vm_name: &str) -> Work {
    start(info_span!("job.export", job.id = job_id, job.name = job_name, vm.name = vm_name))
}

/// A call of a cloud provider: span `provider.<provider>.<operation>`.
pub fn provider_operation(provider: &str, operation: &str) -> Work {
    start(info_span!(
        "provider",
        otel.name = field::display(format_args!("provider.{provider}.{operation}")),
        otel.kind = "client",
        provider,
        operation,
    ))
}

/// A request that this service answers: span `HTTP <method> <path>`.
///
/// For servers of axum or tower, `Telemetry::http_layer` does this and more. The path is part of
/// the span's name: give the route's template, not what was asked for.
pub fn http_request(method: &str, path: &str) -> Work {
    start(info_span!(
        "http",
        otel.name = field::display(format_args!("HTTP {method} {path}")),
        otel.kind = "server",
        http.method = method,
        http.path = path,
    ))
}

/// A statement of a database: span `db.<operation>`, e.g. `db.SELECT`.
pub fn db_operation(operation: &str, table: &str) -> Work {
    start(info_span!(
        "db",
        otel.name = field::display(format_args!("db.{operation}")),
        otel.kind = "client",
        db.operation = operation,
        db.table = table,
    ))
}
