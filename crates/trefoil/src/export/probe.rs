//! One try of one exporter, for who wants to know what comes of it.

use std::time::Duration;

use tokio::task::LocalSet;
use tracing::Dispatch;

use super::target::{Failure, Target};
use crate::account::Signal;
use crate::config::ExporterSettings;

/// What a try came to.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) tried: Tried,
    /// The receiver's clock when it answered, in Unix seconds, if it said.
    pub(crate) date: Option<u64>,
}

#[derive(Debug)]
pub(crate) enum Tried {
    /// The receiver answered as the protocol has it, and refused so many items.
    Accepted {
        rejected: u64,
    },
    Failed(String),
    TimedOut,
}

/// Sends an OTLP export request once, beside all queues and counters. Blocks; the thread is
/// in no runtime.
pub(crate) fn try_once(
    settings: &ExporterSettings,
    signal: Signal,
    request: Vec<u8>,
    timeout: Duration,
) -> Probe {
    let failed = |why: String| Probe { tried: Tried::Failed(why), date: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(format!("no runtime could be started: {error}")),
    };
    let target = Target::new(settings, signal);
    let prepared = match target.prepare(signal, request) {
        Ok(prepared) => prepared,
        Err(why) => return failed(why),
    };
    let attempt = async { tokio::time::timeout(timeout, target.attempt(signal, &prepared)).await };
    let answer = tracing::dispatcher::with_default(&Dispatch::none(), || {
        LocalSet::new().block_on(&runtime, attempt)
    });
    runtime.shutdown_background();
    let tried = match answer {
        Ok(Ok(accepted)) => Tried::Accepted { rejected: accepted.rejected },
        Ok(Err(Failure::Retry { why, .. } | Failure::Final(why))) => Tried::Failed(why),
        Err(_) => Tried::TimedOut,
    };
    Probe { tried, date: target.date() }
}
