//! From finished items to receivers: a bounded queue, a thread of its own, exporters.

mod queue;

pub(crate) use queue::{Priority, Queue};

use std::sync::{Arc, Mutex};

/// Where the requests of a test lie.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// OTLP export requests in protobuf, as they would have left.
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) signal: crate::account::Signal,
    /// An OTLP export request in protobuf.
    pub(crate) body: Vec<u8>,
}
