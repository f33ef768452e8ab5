//! A command without any runtime, which says at its end what became of its telemetry.
//!
//! ```sh
//! cargo run --example command -p trefoil
//! OTEL_TRACES_EXPORTER=console cargo run --example command -p trefoil
//! ```

use std::io::Write as _;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = trefoil::init("command")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", telemetry.config())?;
    writeln!(out, "{}", telemetry.doctor())?;

    for job in 1..=3 {
        let _span = tracing::info_span!("job.export", job.id = job).entered();
        tracing::info!("exported");
    }

    let report = telemetry.shutdown(Duration::from_secs(2));
    writeln!(out, "{report}")?;
    Ok(())
}
