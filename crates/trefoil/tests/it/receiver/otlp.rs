//! OTLP as a receiver sees it: answers with and without faults, and what came in, decoded
//! by prost. JSON is translated to protobuf first, as `wire` does; what that is worth is shown
//! by the official descriptors: `tests/clients/python/test_otlp_json.py`.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use prost::Message;
use trefoil_otlp_messages::collector::logs::v1::ExportLogsServiceRequest;
use trefoil_otlp_messages::collector::metrics::v1::ExportMetricsServiceRequest;
use trefoil_otlp_messages::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use trefoil_otlp_messages::logs::v1::LogRecord;
use trefoil_otlp_messages::metrics::v1::Metric;
use trefoil_otlp_messages::trace::v1::Span;
use trefoil_wire::compression::{Encoding, decompress};
use trefoil_wire::otlp::json::{self, Style};
use trefoil_wire::otlp::schema;
use trefoil_wire::protobuf::Writer;
use trefoil_wire::protobuf::schema::Message as Described;

use super::{Fault, Protocol, Received, Receiver, Shared};

/// Largest body that a test sends.
const BODY_BYTES_MAX: usize = 64 << 20;

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

impl Receiver {
    /// Export requests of spans, in the order they came.
    pub(crate) fn traces(&self) -> Vec<ExportTraceServiceRequest> {
        self.decoded("trace", &schema::TRACE_REQUEST)
    }

    /// All spans, in the order they came.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let resources = self.traces().into_iter().flat_map(|request| request.resource_spans);
        resources.flat_map(|of| of.scope_spans).flat_map(|of| of.spans).collect()
    }

    /// Export requests of metrics, in the order they came.
    pub(crate) fn metric_requests(&self) -> Vec<ExportMetricsServiceRequest> {
        self.decoded("metrics", &schema::METRICS_REQUEST)
    }

    /// All metrics, in the order they came.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let requests = self.metric_requests().into_iter();
        let resources = requests.flat_map(|request| request.resource_metrics);
        resources.flat_map(|of| of.scope_metrics).flat_map(|of| of.metrics).collect()
    }

    /// Export requests of log records, in the order they came.
    pub(crate) fn logs(&self) -> Vec<ExportLogsServiceRequest> {
        self.decoded("logs", &schema::LOGS_REQUEST)
    }

    /// All log records, in the order they came.
    pub(crate) fn log_records(&self) -> Vec<LogRecord> {
        let resources = self.logs().into_iter().flat_map(|request| request.resource_logs);
        resources.flat_map(|of| of.scope_logs).flat_map(|of| of.log_records).collect()
    }

    /// Requests whose path names the signal, in protobuf or JSON.
    fn decoded<T: Message + Default>(&self, signal: &str, described: &'static Described) -> Vec<T> {
        let received = self.received().into_iter();
        let of_signal = received.filter(|request| request.path.contains(signal));
        let decode = |request: Received| match request.header("content-type") {
            Some("application/json") => {
                let mut writer = Writer::new();
                json::to_protobuf(described, &request.body, &mut writer).unwrap();
                T::decode(writer.as_bytes()).unwrap()
            }
            Some("application/x-protobuf" | "application/grpc" | "application/grpc+proto") => {
                T::decode(&*request.body).unwrap()
            }
            other => panic!("content-type {other:?} of {}", request.path),
        };
        of_signal.map(decode).collect()
    }
}

/// Takes a request and answers it as the fault wants.
pub(super) async fn answer(
    shared: &Shared,
    protocol: Protocol,
    fault: Fault,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let received = Received {
        path: parts.uri.path().to_owned(),
        headers: text_of(&parts.headers),
        body: unpack(protocol, &parts.headers, &body),
    };
    match fault {
        Fault::None | Fault::Slow(_) => {
            let answer = success(protocol, &received, Vec::new());
            accept(shared, received);
            Ok(answer)
        }
        Fault::Partial(rejected_spans, error_message) => {
            let partial = ExportTracePartialSuccess { rejected_spans, error_message };
            let message = ExportTraceServiceResponse { partial_success: Some(partial) };
            let answer = success(protocol, &received, message.encode_to_vec());
            accept(shared, received);
            Ok(answer)
        }
        Fault::Malformed => Ok(success(protocol, &received, b"\x0a\xff\xff\xff\xff\xff".to_vec())),
        Fault::Status(status, retry_after) => Ok(refuse(status, "retry-after", retry_after)),
        Fault::Redirect(to) => Ok(refuse(307, "location", Some(to))),
        Fault::Grpc(code, delay) => Ok(grpc_status(code, delay)),
        // Those of the connection, when they stand in a script.
        other => Err(std::io::Error::other(format!("{other:?}"))),
    }
}

fn accept(shared: &Shared, received: Received) {
    shared.accepted.lock().unwrap().push(received);
}

fn text_of(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn unpack(protocol: Protocol, headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let (compressed, header, message) = match protocol {
        Protocol::Grpc => {
            let (head, message) = body.split_at_checked(5).expect("a gRPC frame");
            let length = u32::from_be_bytes(head[1..5].try_into().unwrap());
            assert_eq!(length as usize, message.len(), "one frame, whole");
            (head[0] == 1, "grpc-encoding", message)
        }
        Protocol::Http | Protocol::Jaeger => (true, "content-encoding", body),
    };
    let encoding = headers.get(header).filter(|_| compressed);
    let encoding = encoding.map_or("", |value| value.to_str().unwrap());
    let mut out = Vec::new();
    let encoding = Encoding::from_header(encoding).expect("a known encoding");
    decompress(encoding, message, BODY_BYTES_MAX, &mut out).unwrap();
    out
}

fn success(protocol: Protocol, request: &Received, message: Vec<u8>) -> Response<Body> {
    match protocol {
        Protocol::Grpc => {
            let mut framed = vec![0];
            framed.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
            framed.extend_from_slice(&message);
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let body = Full::new(Bytes::from(framed));
            let body = body.with_trailers(async move { Some(Ok(trailers)) }).boxed();
            Response::builder().header("content-type", "application/grpc").body(body).unwrap()
        }
        Protocol::Http => {
            let kind = request.header("content-type").unwrap_or("application/x-protobuf");
            let mut text = String::new();
            let message = if kind == "application/json"
                && json::from_protobuf(&schema::TRACE_RESPONSE, &message, Style::Otlp, &mut text)
                    .is_ok()
            {
                text.into_bytes()
            } else {
                message
            };
            Response::builder().header("content-type", kind).body(whole(message)).unwrap()
        }
        Protocol::Jaeger => Response::builder().status(202).body(whole(Vec::new())).unwrap(),
    }
}

fn refuse(status: u16, header: &str, value: Option<String>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    if let Some(value) = value {
        response = response.header(header, value);
    }
    response.body(whole(b"the receiver of the test says no".to_vec())).unwrap()
}

/// Headers alone, as servers answer that have no message.
fn grpc_status(code: u8, delay: Option<std::time::Duration>) -> Response<Body> {
    let mut response = Response::builder()
        .header("content-type", "application/grpc")
        .header("grpc-status", u16::from(code))
        .header("grpc-message", "the receiver of the test says no%21");
    if let Some(delay) = delay {
        let status = trefoil_wire::grpc::Status {
            code: trefoil_wire::grpc::Code::Unavailable,
            message: String::new(),
            retry_after: Some(delay),
        };
        response = response.header("grpc-status-details-bin", status.to_details_header());
    }
    response.body(whole(Vec::new())).unwrap()
}

fn whole(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).boxed()
}
