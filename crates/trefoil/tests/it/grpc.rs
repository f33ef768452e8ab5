//! The layers of gRPC between tonic's server and tonic's client (M6, T4).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _};
use futures_util::StreamExt as _;
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Server, server::TcpIncoming};
use tonic::{Request, Response, Status};
use tower::ServiceBuilder;
use trefoil::Telemetry;
use trefoil::grpc::{GrpcLayer, GrpcService};

use crate::edge::{Left, ended, has, run, status};

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const ERROR: i32 = 2;

/// Messages that are bytes.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

/// `test.Echo`, as generated code would have it.
#[derive(Clone, Copy)]
struct Echo;

impl tonic::server::NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = futures_util::future::BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Raw);
            Ok(match request.uri().path() {
                "/test.Echo/Once" => {
                    let once = |request: Request<Vec<u8>>| async {
                        tracing::info_span!("inner").in_scope(|| ());
                        Ok::<_, Status>(Response::new(request.into_inner()))
                    };
                    grpc.unary(tower::service_fn(once), request).await
                }
                "/test.Echo/Stream" => {
                    let stream = |_: Request<Vec<u8>>| async {
                        let items = [Ok(vec![1]), Ok(vec![2]), Err(Status::data_loss("lost"))];
                        Ok::<_, Status>(Response::new(futures_util::stream::iter(items)))
                    };
                    grpc.server_streaming(tower::service_fn(stream), request).await
                }
                "/test.Echo/Missing" => {
                    let missing = |_: Request<Vec<u8>>| async {
                        Err::<Response<Vec<u8>>, _>(Status::not_found("no such thing"))
                    };
                    grpc.unary(tower::service_fn(missing), request).await
                }
                "/test.Echo/Panic" => panic!("the method fell over"),
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

type Client = tonic::client::Grpc<GrpcService<Channel>>;

async fn serve(layer: GrpcLayer) -> SocketAddr {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let server = Server::builder().layer(layer).add_service(Echo);
    tokio::spawn(async move { server.serve_with_incoming(incoming).await });
    address
}

async fn client(telemetry: &Telemetry) -> Client {
    let address = serve(telemetry.grpc_layer()).await;
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let channel = channel.connect().await.unwrap();
    let mut client = tonic::client::Grpc::new(
        ServiceBuilder::new()
            .layer(telemetry.grpc_client_layer().target("127.0.0.1", Some(address.port())))
            .service(channel),
    );
    client.ready().await.unwrap();
    client
}

/// One call of a method, and what left.
fn call(method: &'static str) -> Left {
    run(async |telemetry| {
        let mut client = client(telemetry).await;
        let path = PathAndQuery::from_static(method);
        let request = Request::new(b"hello".to_vec());
        let _ = client.unary::<_, Vec<u8>, _>(request, path, Raw).await;
        drop(client);
        ended(telemetry, 2).await;
    })
}

fn sides<'a>(left: &'a Left, name: &str) -> [&'a trefoil_otlp_messages::trace::v1::Span; 2] {
    [SERVER, CLIENT].map(|kind| {
        let found = left.spans.iter().find(|span| span.name == name && span.kind == kind);
        found.unwrap_or_else(|| panic!("no {name} of kind {kind} among {:?}", left.names()))
    })
}

#[test]
fn m6_a_call_is_a_span_on_both_sides() {
    let left = run(async |telemetry| {
        let mut client = client(telemetry).await;
        let path = PathAndQuery::from_static("/test.Echo/Once");
        let request = Request::new(b"hello".to_vec());
        let answer = client.unary::<_, Vec<u8>, _>(request, path, Raw).await.unwrap();
        assert_eq!(answer.into_inner(), b"hello");
        ended(telemetry, 3).await;
    });
    let [server, client] = sides(&left, "test.Echo/Once");
    let inner = left.span("inner");
    assert_eq!((&server.trace_id, &server.parent_span_id), (&client.trace_id, &client.span_id));
    assert_eq!(inner.parent_span_id, server.span_id);
    for span in [server, client] {
        assert_eq!(status(span), 0);
        has(
            &span.attributes,
            &[
                ("rpc.system", "grpc"),
                ("rpc.service", "test.Echo"),
                ("rpc.method", "Once"),
                ("rpc.grpc.status_code", "0"),
                ("server.address", "127.0.0.1"),
                ("error.type", "-"),
            ],
        );
    }
    for metric in ["rpc.server.duration", "rpc.client.duration"] {
        let points = left.points(metric);
        let (labels, count, ms) = &points[0];
        assert_eq!((points.len(), *count), (1, 1.0), "{metric}");
        assert!(*ms > 0.0, "{metric}");
        assert_eq!(labels["rpc.grpc.status_code"], "0", "{metric}");
        assert_eq!(labels["rpc.method"], "Once", "{metric}");
    }
}

#[test]
fn m6_whose_fault_it_is_depends_on_the_side() {
    let left = call("/test.Echo/Missing");
    let [server, client] = sides(&left, "test.Echo/Missing");
    assert_eq!((status(server), status(client)), (0, ERROR));
    for span in [server, client] {
        has(&span.attributes, &[("rpc.grpc.status_code", "5")]);
    }
    let left = call("/test.Echo/NoSuchMethod");
    let [server, client] = sides(&left, "test.Echo/NoSuchMethod");
    assert_eq!((status(server), status(client)), (ERROR, ERROR));
    let (labels, ..) = &left.points("rpc.server.duration")[0];
    assert_eq!(labels["rpc.method"], "_OTHER", "callers make no series");
}

#[test]
fn m6_the_status_of_a_stream_stands_behind_its_messages() {
    let left = run(async |telemetry| {
        let mut client = client(telemetry).await;
        let path = PathAndQuery::from_static("/test.Echo/Stream");
        let request = Request::new(Vec::new());
        let answer = client.server_streaming::<_, Vec<u8>, _>(request, path, Raw).await.unwrap();
        let messages: Vec<_> = answer.into_inner().collect().await;
        assert_eq!(messages.len(), 3);
        assert_eq!(messages[2].as_ref().unwrap_err().code(), tonic::Code::DataLoss);
        ended(telemetry, 2).await;
    });
    for span in sides(&left, "test.Echo/Stream") {
        assert_eq!(status(span), ERROR);
        has(&span.attributes, &[("rpc.grpc.status_code", "15"), ("error.type", "15")]);
    }
}

#[test]
fn m6_a_panic_of_a_method_is_recorded() {
    let left = call("/test.Echo/Panic");
    let [server, client] = sides(&left, "test.Echo/Panic");
    assert_eq!((status(server), status(client)), (ERROR, ERROR));
    has(&server.attributes, &[("rpc.grpc.status_code", "13")]);
    has(&server.events[0].attributes, &[("exception.message", "the method fell over")]);
}
