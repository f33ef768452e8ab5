//! A service in the middle as the example `relay`, of gRPC: it answers with what the next one
//! answers.
//!
//! ```sh
//! cargo run --example relay_grpc -p trefoil --features grpc -- 127.0.0.1:50051 http://127.0.0.1:50052
//! ```
//!
//! Code that is generated for a service looks the same where the layers are put around it.

use std::convert::Infallible;
use std::io::Write as _;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{Request, Response, Uri, header};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint, Server, server::TcpIncoming};
use tonic::{Status, server::NamedService};
use tower::{BoxError, Layer as _, Service, ServiceExt as _};
use trefoil::grpc::GrpcService;

/// Hands on the calls of all methods of `relay.Relay`, whatever their messages are.
#[derive(Clone)]
struct Relay {
    next: GrpcService<Channel>,
}

impl NamedService for Relay {
    const NAME: &'static str = "relay.Relay";
}

impl Service<Request<Body>> for Relay {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let next = self.next.clone();
        Box::pin(async move {
            let asked = async { Ok(next.oneshot(without_metadata(request)?).await?) };
            let answer: Result<Response<_>, BoxError> = asked.await;
            Ok(match answer {
                Ok(response) => response.map(Body::new),
                Err(error) => Status::unavailable(error.to_string()).into_http(),
            })
        })
    }
}

/// The caller's context goes on by itself; its other metadata is not for the next one.
fn without_metadata(request: Request<Body>) -> http::Result<Request<Body>> {
    Request::post(request.uri().clone())
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(request.into_body())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = trefoil::init("relay")?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, next] = &arguments[..] else {
        return Err("an address and the next one's URL".into());
    };
    let channel = Endpoint::from(next.parse::<Uri>()?).connect_lazy();
    let relay = Relay { next: telemetry.grpc_client_layer().layer(channel) };
    let incoming = TcpIncoming::bind(address.parse()?)?;
    writeln!(std::io::stdout(), "listening on http://{}", incoming.local_addr()?)?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    Server::builder()
        .layer(telemetry.grpc_layer())
        .add_service(relay)
        .serve_with_incoming_shutdown(incoming, stop)
        .await?;
    Ok(())
}
