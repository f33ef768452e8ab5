//! A service at the edge of which requests come and go, and what left it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use trefoil::{Builder, Console, Telemetry, Trefoil};
use trefoil_otlp_messages::common::v1::any_value::Value as Any;
use trefoil_otlp_messages::common::v1::{AnyValue, KeyValue};
use trefoil_otlp_messages::logs::v1::LogRecord;
use trefoil_otlp_messages::metrics::v1::{Metric, metric::Data};
use trefoil_otlp_messages::trace::v1::Span;

use crate::receiver::{Protocol, Receiver};

pub(crate) type Attributes = BTreeMap<String, String>;

/// All that left.
pub(crate) struct Left {
    pub(crate) spans: Vec<Span>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) logs: Vec<LogRecord>,
}

/// Runs a test on one thread, whose spans, tasks of the runtime included, go to a receiver.
pub(crate) fn run(test: impl AsyncFnOnce(&Telemetry)) -> Left {
    run_with(|builder| builder, test)
}

pub(crate) fn run_with(
    set: impl FnOnce(Builder) -> Builder,
    test: impl AsyncFnOnce(&Telemetry),
) -> Left {
    let receiver = Receiver::start(Protocol::Http);
    let builder = Trefoil::builder("edge")
        .variables(Vec::<(String, String)>::new())
        .console(Console::Off)
        .runtime_metrics(false)
        .protocol(trefoil::OtlpProtocol::HttpProtobuf)
        .otlp(&receiver.url());
    let (telemetry, dispatch) = set(builder).build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        runtime.block_on(test(&telemetry));
        // Bodies and tasks that are still there end with it.
        drop(runtime);
    });
    let report = telemetry.shutdown(Duration::from_secs(20));
    assert!(report.complete && report.lost() == 0, "{report}");
    Left::of(&receiver)
}

/// Serves the routes on a port of its own.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

/// Waits until so many spans of requests ended: the client sees the last byte before the
/// server's task is done with it.
pub(crate) async fn ended(telemetry: &Telemetry, spans: u64) {
    let begin = std::time::Instant::now();
    while telemetry.counts(trefoil::Signal::Traces).produced < spans {
        assert!(begin.elapsed() < Duration::from_secs(20), "{spans} spans did not end");
        tokio::task::yield_now().await;
    }
}

impl Left {
    /// What came in, spans in the order of their beginning: they may end on any thread.
    pub(crate) fn of(receiver: &Receiver) -> Left {
        let mut spans = receiver.spans();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        Left { spans, metrics: receiver.metrics(), logs: receiver.log_records() }
    }

    /// The only span of a name.
    pub(crate) fn span(&self, name: &str) -> &Span {
        let found: Vec<_> = self.spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "spans called {name:?} among {:?}", self.names());
        found[0]
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.spans.iter().map(|span| span.name.as_str()).collect()
    }

    /// Attributes and values of each point of a metric; of histograms count and sum.
    pub(crate) fn points(&self, name: &str) -> Vec<(Attributes, f64, f64)> {
        let metric = self.metrics.iter().rev().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| {
            let names: Vec<_> = self.metrics.iter().map(|metric| &metric.name).collect();
            panic!("no metric called {name} among {names:?}")
        });
        match metric.data.as_ref().unwrap() {
            Data::Histogram(histogram) => {
                let points = histogram.data_points.iter();
                points
                    .map(|p| (attributes(&p.attributes), p.count as f64, p.sum.unwrap_or(0.0)))
                    .collect()
            }
            Data::Sum(sum) => numbers(&sum.data_points),
            Data::Gauge(gauge) => numbers(&gauge.data_points),
            other => panic!("{name} is {other:?}"),
        }
    }
}

fn numbers(
    points: &[trefoil_otlp_messages::metrics::v1::NumberDataPoint],
) -> Vec<(Attributes, f64, f64)> {
    use trefoil_otlp_messages::metrics::v1::number_data_point::Value;
    let value = |value: Option<Value>| match value {
        Some(Value::AsInt(value)) => value as f64,
        Some(Value::AsDouble(value)) => value,
        None => f64::NAN,
    };
    points.iter().map(|p| (attributes(&p.attributes), value(p.value), f64::NAN)).collect()
}

pub(crate) fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::BoolValue(value)) => value.to_string(),
        Some(Any::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

pub(crate) fn attributes(attributes: &[KeyValue]) -> Attributes {
    attributes.iter().map(|a| (a.key.clone(), text(a.value.as_ref()))).collect()
}

/// Whether the attributes have these, where `-` says that one is not there.
#[track_caller]
pub(crate) fn has(found: &[KeyValue], expect: &[(&str, &str)]) {
    let found = attributes(found);
    for (key, value) in expect {
        let got = found.get(*key).map_or("-", String::as_str);
        assert_eq!(got, *value, "{key} of {found:#?}");
    }
}

/// OTLP's `Status.code`.
pub(crate) fn status(span: &Span) -> i32 {
    span.status.as_ref().map_or(0, |status| status.code)
}
