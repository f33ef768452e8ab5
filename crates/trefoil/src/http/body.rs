//! A body that tells how far it came.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::client::Call;
use super::exchange::Exchange;

/// Whoever wants to know about a body.
#[derive(Debug)]
pub(crate) enum Watch {
    Server(Box<Exchange>),
    Client(Call),
    #[cfg(feature = "grpc")]
    Rpc(crate::grpc::Call),
}

impl Watch {
    /// Polls the body inside the span that it is the body of.
    fn poll<R>(&mut self, poll: impl FnOnce() -> (R, Passed)) -> (R, Passed) {
        match self {
            Watch::Server(exchange) => exchange.poll_body(poll),
            Watch::Client(call) => {
                let (polled, passed) = call.span.in_scope(poll);
                call.response_bytes += passed.bytes;
                (polled, passed)
            }
            #[cfg(feature = "grpc")]
            Watch::Rpc(call) => call.span.in_scope(poll),
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

/// What came of a body when it was polled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    pub(super) bytes: u64,
    /// Whether it is known that nothing more comes.
    pub(super) is_last: bool,
}

impl Passed {
    fn of<D: Buf, E>(polled: &Polled<D, E>, is_end: impl FnOnce() -> bool) -> Passed {
        match polled {
            Ok(Poll::Ready(Some(Ok(frame)))) => {
                let bytes = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                Passed { bytes, is_last: is_end() }
            }
            Ok(Poll::Ready(None)) => Passed { bytes: 0, is_last: true },
            _ => Passed::default(),
        }
    }
}

/// What a body said, or how it panicked.
type Polled<D, E> = std::thread::Result<Poll<Option<Result<Frame<D>, E>>>>;

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
        let (polled, passed) = watch.poll(|| {
            let polled = catch_unwind(AssertUnwindSafe(|| this.inner.as_mut().poll_frame(cx)));
            let passed = Passed::of(&polled, || this.inner.is_end_stream());
            (polled, passed)
        });
        let polled = match polled {
            Ok(polled) => ready!(polled),
            Err(panic) => {
                if let Some(watch) = this.watch.take() {
                    watch.end(End::Panicked(panic_message(&*panic)));
                }
                resume_unwind(panic);
            }
        };
        *this.left = this.left.map(|left| left.saturating_sub(passed.bytes));
        if let Some(Ok(frame)) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            watch.trailers(trailers);
        }
        let ended = match &polled {
            Some(Err(_)) => Some(End::Failed),
            _ if passed.is_last => Some(End::Complete),
            _ => None,
        };
        if let Some(ended) = ended
            && let Some(watch) = this.watch.take()
        {
            watch.end(ended);
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
