//! The end of the process as the exporters see it: when it began, and until when they may
//! still send.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long an exporter that was failing before is still tried when the process ends.
const GRACE_OF_FAILING: Duration = Duration::from_millis(400);

#[derive(Debug, Default)]
pub(super) struct Ending {
    /// When it began, and when it must be over.
    span: Cell<Option<(Instant, Instant)>>,
    begun: Notify,
}

impl Ending {
    /// From now on, until then at the latest.
    pub(super) fn begin(&self, deadline: Instant) {
        self.span.set(Some((Instant::now(), deadline)));
        self.begun.notify_waiters();
    }

    /// Until when all must be over, if it has begun.
    pub(super) fn of_all(&self) -> Option<Instant> {
        self.span.get().map(|(_, deadline)| deadline)
    }

    /// Waits until there is no more time for an exporter.
    pub(super) async fn expired(&self, is_failing: impl Fn() -> bool) {
        loop {
            let begun = self.begun.notified();
            match self.span.get() {
                None => begun.await,
                Some((begin, deadline)) => {
                    let grace = begin + GRACE_OF_FAILING;
                    let end = if is_failing() { grace.min(deadline) } else { deadline };
                    return tokio::time::sleep_until(end).await;
                }
            }
        }
    }
}
