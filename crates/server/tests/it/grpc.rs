//! A gRPC client of a few lines: one unary call, told in full.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    /// `grpc-status`, from the trailers or, in an answer without a message, the headers.
    pub(crate) code: i32,
    /// `grpc-message`.
    pub(crate) message: String,
    /// Whether `grpc-status-details-bin` came.
    pub(crate) has_details: bool,
    /// The frames as they came.
    pub(crate) body: Bytes,
}

pub(crate) const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
pub(crate) const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
pub(crate) const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// A message with its header.
pub(crate) fn frame(message: &[u8], compressed: bool) -> Vec<u8> {
    let mut out = Vec::new();
    trefoil_wire::grpc::push_frame(message, compressed, &mut out).unwrap();
    out
}

/// Calls a method with the bytes of a request stream; `None` if the stream was reset.
pub(crate) fn call(
    address: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Option<Reply> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = TokioIo::new(tokio::net::TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::post(format!("http://{address}{path}")).header("te", "trailers");
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/grpc");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response =
            sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.ok()?;
        let (head, body) = response.into_parts();
        let collected = body.collect().await.ok()?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let find = |name: &str| -> Option<String> {
            let from = |map: &HeaderMap| Some(map.get(name)?.to_str().unwrap().to_owned());
            from(&trailers).or_else(|| from(&head.headers))
        };
        Some(Reply {
            // An answer without a status is told by its HTTP status.
            code: find("grpc-status")
                .map_or(-i32::from(head.status.as_u16()), |code| code.parse().unwrap()),
            message: find("grpc-message").unwrap_or_default(),
            has_details: find("grpc-status-details-bin").is_some(),
            body: collected.to_bytes(),
        })
    })
}
