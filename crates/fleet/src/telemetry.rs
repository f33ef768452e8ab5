//! What a service tells, by the stock OpenTelemetry SDK: spans, metrics and logs with one
//! resource, over OTLP/HTTP.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_http::{HeaderExtractor, HeaderInjector, HttpClient, HttpError};
use opentelemetry_otlp::{LogExporter, MetricExporter, Protocol, SpanExporter};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{BatchLogProcessor, SdkLogger, SdkLoggerProvider};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracer, SdkTracerProvider};
use opentelemetry_sdk::{logs, trace};

use crate::http::Failure;

/// A demo shows what happened a moment ago, not five seconds.
const SEND_EVERY: Duration = Duration::from_millis(500);
const SEND_METRICS_EVERY: Duration = Duration::from_secs(2);
/// The server is on the same machine; longer means that it is stopping.
const SEND_WITHIN: Duration = Duration::from_secs(2);

/// One service's providers.
#[derive(Debug)]
pub(crate) struct Telemetry {
    pub(crate) service: &'static str,
    pub(crate) meter: Meter,
    tracer: SdkTracer,
    logger: SdkLogger,
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    logs: SdkLoggerProvider,
    propagator: TraceContextPropagator,
}

impl Telemetry {
    pub(crate) fn start(service: &'static str, otlp: &str) -> Result<Telemetry, String> {
        let failed =
            |error: &dyn std::fmt::Display| format!("cannot export for {service}: {error}");
        let courier = Courier::new();
        let resource = resource(service);
        let url = |signal: &str| format!("{}/v1/{signal}", otlp.trim_end_matches('/'));

        let exporter = SpanExporter::builder().with_http().with_http_client(courier.clone());
        let exporter = exporter.with_endpoint(url("traces")).with_protocol(Protocol::HttpBinary);
        let config = trace::BatchConfigBuilder::default().with_scheduled_delay(SEND_EVERY).build();
        let processor = BatchSpanProcessor::builder(exporter.build().map_err(|e| failed(&e))?);
        let traces = SdkTracerProvider::builder()
            .with_span_processor(processor.with_batch_config(config).build())
            .with_resource(resource.clone())
            .build();

        let exporter = LogExporter::builder().with_http().with_http_client(courier.clone());
        let exporter = exporter.with_endpoint(url("logs")).with_protocol(Protocol::HttpBinary);
        let config = logs::BatchConfigBuilder::default().with_scheduled_delay(SEND_EVERY).build();
        let processor = BatchLogProcessor::builder(exporter.build().map_err(|e| failed(&e))?);
        let logs = SdkLoggerProvider::builder()
            .with_log_processor(processor.with_batch_config(config).build())
            .with_resource(resource.clone())
            .build();

        let exporter = MetricExporter::builder().with_http().with_http_client(courier);
        let exporter = exporter.with_endpoint(url("metrics")).with_protocol(Protocol::HttpBinary);
        let reader = PeriodicReader::builder(exporter.build().map_err(|e| failed(&e))?);
        let metrics = SdkMeterProvider::builder()
            .with_reader(reader.with_interval(SEND_METRICS_EVERY).build())
            .with_resource(resource)
            .build();

        Ok(Telemetry {
            service,
            meter: metrics.meter(service),
            tracer: traces.tracer(service),
            logger: logs.logger(service),
            traces,
            metrics,
            logs,
            propagator: TraceContextPropagator::new(),
        })
    }

    /// Sends what is left. Blocks; a receiver that is gone costs [`SEND_WITHIN`] each.
    pub(crate) fn stop(&self) {
        // Errors are the receiver's absence, which is its own story.
        let _ = self.traces.shutdown_with_timeout(SEND_WITHIN);
        let _ = self.logs.shutdown_with_timeout(SEND_WITHIN);
        let _ = self.metrics.shutdown_with_timeout(SEND_WITHIN);
    }

    /// The caller's trace, from W3C headers.
    pub(crate) fn extract(&self, headers: &HeaderMap) -> Context {
        self.propagator.extract_with_context(&Context::new(), &HeaderExtractor(headers))
    }
}

fn resource(service: &'static str) -> Resource {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
    let attributes = [
        KeyValue::new("service.namespace", "demo"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", format!("{service}-1")),
        KeyValue::new("deployment.environment.name", "demo"),
        KeyValue::new("host.name", host.to_owned()),
        // The label by which the documents' LogQL finds a service's logs.
        KeyValue::new("app", service),
    ];
    Resource::builder().with_service_name(service).with_attributes(attributes).build()
}

/// A piece of work inside a trace: its span, and the way to log from within it.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    telemetry: Arc<Telemetry>,
    context: Context,
}

impl Work {
    /// Begins work under a parent, which may be another process's or none.
    pub(crate) fn begin(
        telemetry: &Arc<Telemetry>,
        parent: &Context,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        attributes: Vec<KeyValue>,
    ) -> Work {
        let builder = telemetry.tracer.span_builder(name).with_kind(kind);
        let builder = builder.with_attributes(attributes);
        let span = telemetry.tracer.build_with_context(builder, parent);
        Work { telemetry: Arc::clone(telemetry), context: parent.with_span(span) }
    }

    /// Begins work that nobody asked for.
    pub(crate) fn root(telemetry: &Arc<Telemetry>, name: &'static str) -> Work {
        Work::begin(telemetry, &Context::new(), name, SpanKind::Internal, Vec::new())
    }

    /// Begins a part of this work, within the process.
    pub(crate) fn part(&self, name: &'static str, attributes: Vec<KeyValue>) -> Work {
        Work::begin(&self.telemetry, &self.context, name, SpanKind::Internal, attributes)
    }

    /// Begins a call to something outside.
    pub(crate) fn call(
        &self,
        name: impl Into<Cow<'static, str>>,
        attributes: Vec<KeyValue>,
    ) -> Work {
        Work::begin(&self.telemetry, &self.context, name, SpanKind::Client, attributes)
    }

    pub(crate) fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.context.span().set_attribute(KeyValue::new(key, value));
    }

    pub(crate) fn event(&self, name: &'static str, attributes: Vec<KeyValue>) {
        self.context.span().add_event(name, attributes);
    }

    /// Marks the span as failed, with the exception event of the semantic conventions.
    pub(crate) fn fail(&self, failure: &Failure) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new("error.type", failure.kind));
        let attributes = vec![
            KeyValue::new("exception.type", failure.kind),
            KeyValue::new("exception.message", failure.message.clone()),
        ];
        span.add_event("exception", attributes);
        span.set_status(Status::error(failure.message.clone()));
    }

    /// Ends the work, failed or not, and hands its result on.
    pub(crate) fn end<T>(self, result: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(failure) = &result {
            self.fail(failure);
        }
        self.close();
        result
    }

    /// Ends the work.
    pub(crate) fn close(self) {
        self.context.span().end();
    }

    /// What the next process needs to know to go on with this trace.
    pub(crate) fn inject(&self, headers: &mut HeaderMap) {
        self.telemetry.propagator.inject_context(&self.context, &mut HeaderInjector(headers));
    }

    pub(crate) fn info(&self, message: &'static str, attributes: &[KeyValue]) {
        self.log(Severity::Info, message, attributes);
    }

    pub(crate) fn warn(&self, message: &'static str, attributes: &[KeyValue]) {
        self.log(Severity::Warn, message, attributes);
    }

    pub(crate) fn error(&self, message: &'static str, failure: &Failure, attributes: &[KeyValue]) {
        let mut attributes = attributes.to_vec();
        attributes.push(KeyValue::new("error", failure.message.clone()));
        self.log(Severity::Error, message, &attributes);
    }

    fn log(&self, severity: Severity, message: &'static str, attributes: &[KeyValue]) {
        let logger = &self.telemetry.logger;
        let mut record = logger.create_log_record();
        let now = SystemTime::now();
        record.set_timestamp(now);
        record.set_observed_timestamp(now);
        record.set_severity_number(severity);
        record.set_severity_text(severity.name());
        record.set_body(AnyValue::from(line(
            self.telemetry.service,
            severity,
            message,
            attributes,
        )));
        for KeyValue { key, value, .. } in attributes {
            record.add_attribute(key.clone(), any(value));
        }
        let span = self.context.span();
        let span = span.span_context();
        if span.is_valid() {
            record.set_trace_context(span.trace_id(), span.span_id(), Some(span.trace_flags()));
        }
        logger.emit(record);
    }
}

/// The line as the service's own logger writes it: hypersdk in logfmt, ghostworks in JSON,
/// the others by a bridge that keeps the message and the attributes apart.
fn line(service: &str, severity: Severity, message: &str, attributes: &[KeyValue]) -> String {
    let level = severity.name().to_lowercase();
    match service {
        "hypersdk" => {
            let mut line = format!("level={level} msg={message:?}");
            for KeyValue { key, value, .. } in attributes {
                let text = value.to_string();
                let quoted = text.contains([' ', '"', '=']);
                let _ = if quoted {
                    write!(line, " {key}={text:?}")
                } else {
                    write!(line, " {key}={text}")
                };
            }
            line
        }
        "ghostworks" => {
            let mut fields = serde_json::Map::new();
            fields.insert("level".to_owned(), level.into());
            fields.insert("event".to_owned(), message.into());
            for KeyValue { key, value, .. } in attributes {
                fields.insert(key.to_string(), value.to_string().into());
            }
            serde_json::Value::Object(fields).to_string()
        }
        _ => message.to_owned(),
    }
}

fn any(value: &Value) -> AnyValue {
    match value {
        Value::Bool(value) => AnyValue::Boolean(*value),
        Value::I64(value) => AnyValue::Int(*value),
        Value::F64(value) => AnyValue::Double(*value),
        other => AnyValue::from(other.to_string()),
    }
}

/// Carries the exporters' requests on the fleet's own runtime: the exporters wait for it on
/// threads of theirs, which have none.
#[derive(Clone, Debug)]
struct Courier {
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: tokio::runtime::Handle,
}

impl Courier {
    fn new() -> Courier {
        let executor = hyper_util::rt::TokioExecutor::new();
        let client = Client::builder(executor).build_http();
        Courier { client, runtime: tokio::runtime::Handle::current() }
    }
}

type Sent<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Courier {
    fn send_bytes<'s, 'f>(&'s self, request: Request<Bytes>) -> Sent<'f>
    where
        's: 'f,
        Self: 'f,
    {
        let client = self.client.clone();
        let exchange = async move {
            let response = client.request(request.map(Full::new)).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            if head.status == StatusCode::TOO_MANY_REQUESTS || head.status.is_server_error() {
                return Err(HttpError::from(format!("the receiver answered {}", head.status)));
            }
            Ok(Response::from_parts(head, body))
        };
        let task = self.runtime.spawn(async move {
            match tokio::time::timeout(SEND_WITHIN, exchange).await {
                Ok(result) => result,
                Err(_) => Err(HttpError::from("the receiver did not answer in time")),
            }
        });
        Box::pin(async move { task.await? })
    }
}
