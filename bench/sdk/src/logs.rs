//! A line with three fields, inside no span.

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

use crate::{Case, Running, stock};

pub(crate) const CASES: &[Case] = &[
    Case { name: "log record · trefoil", start: ours },
    Case { name: "log record · opentelemetry-appender-tracing", start: bridged },
];

fn ours() -> Running {
    let telemetry =
        trefoil::Trefoil::builder("bench").discard().install().expect("nothing else is installed");
    lines(move || {
        telemetry.flush(std::time::Duration::from_secs(5));
    })
}

fn bridged() -> Running {
    let provider = stock::logs();
    let layer = OpenTelemetryTracingBridge::new(&provider);
    tracing::subscriber::set_global_default(Registry::default().with(layer))
        .expect("nothing else is installed");
    lines(move || {
        let _ = provider.force_flush();
    })
}

fn lines(settle: impl FnMut() + 'static) -> Running {
    let operate = |times| {
        for vm in 0..times {
            tracing::info!(vm.id = vm, vm.name = "web-1", attempt = 2_u32, "machine started");
        }
    };
    Running::new(operate, settle)
}
