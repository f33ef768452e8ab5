//! The exporters against real sockets; what arrives is decoded by prost.

mod faults;
mod otlp;
mod protocols;
mod proxy;
mod spool;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prost::Message as _;
use trefoil_otlp_messages::common::v1::any_value::Value as Any;
use trefoil_otlp_messages::trace::v1::Span;

use super::receiver::{Fault, Protocol, Receiver, wait};
use super::{Exporters, Exporting, Memory, Priority, Queue, Sources};
use crate::account::{Account, Counts, Dropped, Signal};
use crate::config::{BatchSettings, ExporterSettings, OtlpProtocol, OtlpSettings, TlsSettings};
use crate::resource::Resource;
use crate::value::Value;

/// Long enough never to be why something happens.
const NEVER: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(30);

/// A service that emits, reduced to what the exporters see of it.
struct Service {
    exporting: Exporting,
    traces: Arc<Queue>,
    logs: Arc<Queue>,
    metrics: Arc<Account>,
    spans: AtomicU64,
}

impl Service {
    /// Exports nothing by itself: batches of 512, and delays that never end.
    fn start(exporters: Exporters) -> Service {
        Self::start_with(exporters, BatchSettings { delay: NEVER, ..BatchSettings::default() })
    }

    fn start_with(mut exporters: Exporters, batch: BatchSettings) -> Service {
        exporters.metric_interval = NEVER;
        let account = || Arc::new(Account::default());
        let traces = Arc::new(Queue::new(batch.clone(), account()));
        let logs = Arc::new(Queue::new(batch, account()));
        let metrics = account();
        let resource = vec![
            ("service.name".to_owned(), Value::from("images")),
            ("host.cpus".to_owned(), Value::from(2i64)),
        ];
        let sources = Sources {
            traces: Arc::clone(&traces),
            logs: Arc::clone(&logs),
            metrics: Box::new(|now_ns, _| {
                use trefoil_wire::otlp::metrics::{Number, write::ResourceMetricsWriter};
                let mut w = trefoil_wire::protobuf::Writer::new();
                ResourceMetricsWriter(&mut w).scope_metrics(|w| {
                    w.metric(|w| {
                        w.names("jobs", "Jobs done.", "{job}");
                        w.gauge(|w| {
                            w.point(|w| {
                                w.times(0, now_ns);
                                w.value(Number::Int(7));
                            });
                        });
                    });
                });
                vec![crate::metric::Part { scopes: w.into_bytes(), points: 1 }]
            }),
            metric_account: Arc::clone(&metrics),
            samplers: Vec::new(),
        };
        let resource = Arc::new(Resource::new(resource));
        let exporting = Exporting::start(exporters, resource, sources);
        Service { exporting, traces, logs, metrics, spans: AtomicU64::new(0) }
    }

    /// Ends a span.
    fn span(&self, scope: &'static str, priority: Priority) {
        let number = self.spans.fetch_add(1, Ordering::Relaxed) + 1;
        self.traces.account().produced(1);
        self.traces.push(scope, priority, &span(number).encode_to_vec());
    }

    fn spans(&self, count: usize) {
        (0..count).for_each(|_| self.span("jobs", Priority::Normal));
    }

    fn log(&self, body: &str) {
        let record = trefoil_otlp_messages::logs::v1::LogRecord {
            time_unix_nano: 1_700_000_000_123_456_789,
            severity_number: 13,
            severity_text: "WARN".to_owned(),
            body: Some(any(Any::StringValue(body.to_owned()))),
            ..Default::default()
        };
        self.logs.account().produced(1);
        self.logs.push("jobs", Priority::Normal, &record.encode_to_vec());
    }

    /// The traces' account, after a check that the law holds for each exporter.
    #[track_caller]
    fn counts(&self) -> Counts {
        // What is pending waits somewhere. Both are read while they change, so wait a bit.
        wait("the law holds for each exporter", || {
            self.exporting.status().iter().all(|status| {
                let counts = status.counts;
                let ended = counts.exported + counts.sampled_out + counts.dropped_total();
                counts.produced == ended + status.queued.0
            })
        });
        self.traces.account().read()
    }
}

fn any(value: Any) -> trefoil_otlp_messages::common::v1::AnyValue {
    trefoil_otlp_messages::common::v1::AnyValue { value: Some(value) }
}

fn attribute(key: &str, value: Any) -> trefoil_otlp_messages::common::v1::KeyValue {
    trefoil_otlp_messages::common::v1::KeyValue {
        key: key.to_owned(),
        value: Some(any(value)),
        ..Default::default()
    }
}

fn span(number: u64) -> Span {
    Span {
        trace_id: u128::from(number).to_be_bytes().to_vec(),
        span_id: number.to_be_bytes().to_vec(),
        name: "job.export".to_owned(),
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_001_500_000,
        attributes: vec![attribute("job.id", Any::IntValue(number as i64))],
        ..Span::default()
    }
}

fn otlp(protocol: OtlpProtocol, receiver: &Receiver, signal: Signal) -> OtlpSettings {
    let path = match protocol {
        OtlpProtocol::Grpc => String::new(),
        _ => format!("/v1/{}", signal.as_str()),
    };
    OtlpSettings {
        protocol,
        endpoint: format!("{}{path}", receiver.url()),
        headers: vec![("x-tenant".to_owned(), "blue".to_owned())],
        timeout: Duration::from_secs(10),
        gzip: false,
        tls: TlsSettings::default(),
        proxy: None,
    }
}

fn receiver_of(protocol: OtlpProtocol) -> Receiver {
    Receiver::start(match protocol {
        OtlpProtocol::Grpc => Protocol::Grpc,
        OtlpProtocol::HttpProtobuf | OtlpProtocol::HttpJson => Protocol::Http,
    })
}

/// Spans alone, to one receiver.
fn spans_to(settings: OtlpSettings) -> Exporters {
    Exporters { traces: vec![ExporterSettings::Otlp(settings)], ..Exporters::default() }
}

const PROTOCOLS: [OtlpProtocol; 3] =
    [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf, OtlpProtocol::HttpJson];
