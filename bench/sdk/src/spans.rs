//! A root with a child, four attributes, one event.

use fastrace::Event;
use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::local::LocalSpan;
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::Sampler;
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::{Case, Running, stock};

pub(crate) const CASES: &[Case] = &[
    Case { name: "span pair · trefoil", start: || ours(1.0, Ends::Well) },
    Case { name: "span pair · tracing-opentelemetry", start: || bridged(Sampler::AlwaysOn) },
    Case { name: "span pair · opentelemetry API", start: || direct(Sampler::AlwaysOn) },
    Case { name: "span pair · fastrace", start: || fast(true) },
    Case { name: "span pair · registry and an empty layer", start: registry },
    Case { name: "span pair · tracing, ids only", start: floor },
    Case { name: "sampled out · trefoil, errors kept", start: || ours(0.0, Ends::Well) },
    Case { name: "sampled out · trefoil, with an error", start: || ours(0.0, Ends::Badly) },
    Case { name: "sampled out · tracing-opentelemetry", start: || bridged(Sampler::AlwaysOff) },
    Case { name: "sampled out · opentelemetry API", start: || direct(Sampler::AlwaysOff) },
    Case { name: "sampled out · fastrace", start: || fast(false) },
    Case { name: "off · trefoil", start: off },
    Case { name: "off · tracing alone", start: || through_tracing(Ends::Well, || {}) },
];

#[derive(Clone, Copy)]
enum Ends {
    Well,
    Badly,
}

fn ours(rate: f64, ends: Ends) -> Running {
    let telemetry = trefoil::Trefoil::builder("bench")
        .discard()
        // As the rivals, whose events are not log records as well.
        .no_logs()
        .sampling_rate(rate)
        .install()
        .expect("nothing else is installed");
    through_tracing(ends, move || {
        telemetry.flush(std::time::Duration::from_secs(5));
    })
}

fn off() -> Running {
    let telemetry = trefoil::Trefoil::builder("bench")
        .enabled(false)
        .console(trefoil::Console::Off)
        .install()
        .expect("nothing else is installed");
    through_tracing(Ends::Well, move || {
        let _ = &telemetry;
    })
}

fn bridged(sampler: Sampler) -> Running {
    let (provider, tracer) = stock::traces(sampler);
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    install(Registry::default().with(layer));
    through_tracing(Ends::Well, move || {
        let _ = provider.force_flush();
    })
}

fn registry() -> Running {
    struct Empty;
    impl<S: tracing::Subscriber> Layer<S> for Empty {}
    install(Registry::default().with(Empty));
    through_tracing(Ends::Well, || {})
}

/// The floor: what `tracing` itself costs when somebody listens. Ids are handed out, nothing is
/// looked at or kept.
fn floor() -> Running {
    struct Ids;
    impl tracing::Subscriber for Ids {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &tracing::Event<'_>) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }
    install(Ids);
    through_tracing(Ends::Well, || {})
}

fn install(subscriber: impl tracing::Subscriber + Send + Sync + 'static) {
    tracing::subscriber::set_global_default(subscriber).expect("nothing else is installed");
}

fn through_tracing(ends: Ends, settle: impl FnMut() + 'static) -> Running {
    let operate = move |times| {
        for vm in 0..times {
            let root = tracing::info_span!("vm.create", vm.id = vm, vm.name = "web-1");
            let _in_root = root.enter();
            let child = tracing::info_span!("db.query", db.table = "vms", db.rows = 7_u32);
            let _in_child = child.enter();
            match ends {
                Ends::Well => tracing::info!("row written"),
                Ends::Badly => tracing::error!("row not written"),
            }
        }
    };
    Running::new(operate, settle)
}

fn direct(sampler: Sampler) -> Running {
    let (provider, tracer) = stock::traces(sampler);
    let operate = move |times| {
        for vm in 0..times {
            let mut root = tracer.start("vm.create");
            root.set_attribute(KeyValue::new("vm.id", i64::from(vm)));
            root.set_attribute(KeyValue::new("vm.name", "web-1"));
            let context = Context::current_with_span(root);
            let mut child = tracer.start_with_context("db.query", &context);
            child.set_attribute(KeyValue::new("db.table", "vms"));
            child.set_attribute(KeyValue::new("db.rows", 7));
            child.add_event("row written", Vec::new());
            child.end();
            context.span().end();
        }
    };
    Running::new(operate, move || {
        let _ = provider.force_flush();
    })
}

fn fast(sampled: bool) -> Running {
    struct Nowhere;
    impl Reporter for Nowhere {
        fn report(&mut self, _: Vec<SpanRecord>) {}
    }
    fastrace::set_reporter(Nowhere, Config::default());
    let operate = move |times: u32| {
        for vm in 0..times {
            let context = SpanContext::random().sampled(sampled);
            let root = fastrace::Span::root("vm.create", context)
                .with_properties(|| [("vm.id", vm.to_string()), ("vm.name", "web-1".to_owned())]);
            let _in_root = root.set_local_parent();
            let _child = LocalSpan::enter_with_local_parent("db.query")
                .with_properties(|| [("db.table", "vms"), ("db.rows", "7")]);
            LocalSpan::add_event(Event::new("row written"));
        }
    };
    Running::new(operate, fastrace::flush)
}
