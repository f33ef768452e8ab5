//! A body that tells how far it came.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tracing::Span;

use super::client::Call;
use super::exchange::Exchange;

/// Whoever wants to know about a body.
#[derive(Debug)]
pub(crate) enum Watch {
    Server(Exchange),
    Client(Call),
    #[cfg(feature = "grpc")]
    Rpc(crate::grpc::Call),
}

impl Watch {
    /// The span that it is the body of.
    fn span(&self) -> &Span {
        match self {
            Watch::Server(exchange) => &exchange.span,
            Watch::Client(call) => &call.span,
            #[cfg(feature = "grpc")]
            Watch::Rpc(call) => &call.span,
        }
    }

    fn data(&mut self, bytes: usize) {
        match self {
            Watch::Server(exchange) => exchange.response_bytes += bytes as u64,
            Watch::Client(call) => call.response_bytes += bytes as u64,
            #[cfg(feature = "grpc")]
            Watch::Rpc(_) => {}
        }
    }

    #[cfg_attr(not(feature = "grpc"), allow(unused_variables))]
    fn trailers(&mut self, trailers: &HeaderMap) {
        match self {
            Watch::Server(_) | Watch::Client(_) => {}
            #[cfg(feature = "grpc")]
            Watch::Rpc(call) => call.read(trailers),
        }
    }

    fn end(self, how: End<'_>) {
        match self {
            Watch::Server(exchange) => exchange.end(how),
            Watch::Client(call) => call.end(how),
            #[cfg(feature = "grpc")]
            Watch::Rpc(call) => call.end(how),
        }
    }
}

/// How a body ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End<'a> {
    /// All of it passed.
    Complete,
    /// It broke off with an error.
    Failed,
    /// It panicked.
    Panicked(&'a str),
    /// Nobody wanted the rest.
    Dropped,
}

pin_project_lite::pin_project! {
    /// A body whose end is seen. It hides nothing of the one within: its length, its trailers,
    /// its errors.
    #[derive(Debug)]
    pub struct Observed<B: Body> {
        #[pin]
        inner: B,
        watch: Option<Watch>,
        // Bytes that are to come, as the headers said.
        left: Option<u64>,
    }

    impl<B: Body> PinnedDrop for Observed<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(watch) = this.watch.take() {
                // Servers do not ask for an end that they know has come.
                let complete = this.inner.is_end_stream() || *this.left == Some(0);
                watch.end(if complete { End::Complete } else { End::Dropped });
            }
        }
    }
}

impl<B: Body> Observed<B> {
    /// `left`: bytes that are to come, if the headers say so.
    pub(crate) fn new(inner: B, watch: Option<Watch>, left: Option<u64>) -> Self {
        Observed { inner, watch, left }
    }
}

impl<B: Body> Body for Observed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(watch) = this.watch else { return this.inner.poll_frame(cx) };
        let polled = watch
            .span()
            .in_scope(|| catch_unwind(AssertUnwindSafe(|| this.inner.as_mut().poll_frame(cx))));
        let polled = match polled {
            Ok(polled) => ready!(polled),
            Err(panic) => {
                if let Some(watch) = this.watch.take() {
                    watch.end(End::Panicked(panic_message(&*panic)));
                }
                resume_unwind(panic);
            }
        };
        match &polled {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let bytes = data.remaining();
                    watch.data(bytes);
                    *this.left = this.left.map(|left| left.saturating_sub(bytes as u64));
                } else if let Some(trailers) = frame.trailers_ref() {
                    watch.trailers(trailers);
                }
            }
            Some(Err(_)) => {
                if let Some(watch) = this.watch.take() {
                    watch.end(End::Failed);
                }
            }
            None => {
                if let Some(watch) = this.watch.take() {
                    watch.end(End::Complete);
                }
            }
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What a panic says, if it is text.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "a value that is no text",
    }
}
