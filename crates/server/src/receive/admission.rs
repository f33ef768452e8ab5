//! How much may be in flight: bytes of bodies and what is made of them, and requests
//! being stored.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Refusal;

/// Requests that decode and store at once. Most of them wait for the same fsync.
const SLOTS: usize = 64;
/// A body that is not complete after this time is given up (slow loris).
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a request waits for memory before its client is told to come back.
const WAIT: Duration = Duration::from_secs(2);
/// The unit of account, because a semaphore counts only to 2^61 and `acquire_many` to 2^32.
const UNIT: usize = 1 << 10;
/// The part of `--memory` that requests in flight may use.
const SHARE: u64 = 4;

/// The budget of all receivers together.
#[derive(Debug)]
pub(crate) struct Admission {
    bytes: Arc<Semaphore>,
    /// All of `bytes`, in units.
    units: usize,
    /// One permit per request being stored.
    pub(crate) slots: Arc<Semaphore>,
}

/// A share of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    budget: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Admission {
    /// A budget for a server that may use this much memory.
    pub(crate) fn new(memory_bytes: u64) -> Self {
        let units = usize::try_from(memory_bytes / SHARE).unwrap_or(usize::MAX) / UNIT;
        let units = units.min(Semaphore::MAX_PERMITS);
        Admission {
            bytes: Arc::new(Semaphore::new(units)),
            units,
            slots: Arc::new(Semaphore::new(SLOTS)),
        }
    }

    /// Bytes reserved for requests in flight, and bytes that may be.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        let free = self.bytes.available_permits();
        (self.units.saturating_sub(free) * UNIT, self.units * UNIT)
    }

    /// Requests being stored.
    pub(crate) fn storing(&self) -> usize {
        SLOTS - self.slots.available_permits().min(SLOTS)
    }

    /// Reads a body of at most `max` bytes; `declared` is its length, if the client said.
    pub(super) async fn read(
        &self,
        body: Body,
        declared: Option<u64>,
        max: usize,
    ) -> Result<(Bytes, Permit), Refusal> {
        if declared.is_some_and(|length| length > max as u64) {
            return Err(too_large(max));
        }
        let collected = tokio::time::timeout(BODY_TIMEOUT, self.collect(body, declared, max));
        collected.await.unwrap_or_else(|_| {
            Err(Refusal::Slow(format!(
                "the body was not complete after {} s",
                BODY_TIMEOUT.as_secs()
            )))
        })
    }

    async fn collect(
        &self,
        mut body: Body,
        declared: Option<u64>,
        max: usize,
    ) -> Result<(Bytes, Permit), Refusal> {
        let mut permit = Permit { budget: Arc::clone(&self.bytes), held: None };
        let declared = declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        permit.grow_or_wait(declared).await?;
        let mut collected = BytesMut::with_capacity(declared);
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| Refusal::Bad(format!("the body broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if collected.len() + data.len() > max {
                return Err(too_large(max));
            }
            permit.grow_or_wait(collected.len() + data.len()).await?;
            collected.extend_from_slice(&data);
        }
        Ok((collected.freeze(), permit))
    }
}

fn too_large(max: usize) -> Refusal {
    Refusal::TooLarge(format!(
        "the body is larger than {max} bytes; send smaller batches or raise --max-body"
    ))
}

impl Permit {
    fn missing(&self, bytes: usize) -> u32 {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        u32::try_from(bytes.div_ceil(UNIT).saturating_sub(held)).unwrap_or(u32::MAX)
    }

    fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
    }

    /// Grows the share to `bytes` if there is room now.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        match self.missing(bytes) {
            0 => true,
            missing => match Arc::clone(&self.budget).try_acquire_many_owned(missing) {
                Ok(more) => {
                    self.add(more);
                    true
                }
                Err(_) => false,
            },
        }
    }

    /// Grows the share to `bytes`, or waits a while for room.
    async fn grow_or_wait(&mut self, bytes: usize) -> Result<(), Refusal> {
        let missing = self.missing(bytes);
        if missing == 0 {
            return Ok(());
        }
        let more = Arc::clone(&self.budget).acquire_many_owned(missing);
        match tokio::time::timeout(WAIT, more).await {
            Ok(Ok(more)) => {
                self.add(more);
                Ok(())
            }
            Ok(Err(_)) => Err(Refusal::Unavailable("the server is stopping".to_owned())),
            Err(_) => {
                Err(Refusal::Busy("too many requests are in flight; try again later".to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_are_limited_one_by_one_and_all_together() {
        // 16 KiB for all.
        let admission = Admission::new(SHARE * (16 << 10));
        let body = |size: usize| Body::from(vec![0; size]);
        let (bytes, mut held) = admission.read(body(10_000), Some(10_000), 20_000).await.unwrap();
        assert_eq!(bytes.len(), 10_000);
        for declared in [Some(20_001), None] {
            let error = admission.read(body(20_001), declared, 20_000).await.unwrap_err();
            // Without a declared length the memory is gone before the limit is reached.
            assert!(matches!(error, Refusal::TooLarge(_) | Refusal::Busy(_)), "{error:?}");
        }
        assert!(!held.grow(20_000));
        let waits = admission.read(body(8_000), Some(8_000), 20_000);
        let error = tokio::time::timeout(WAIT * 2, waits).await.unwrap().unwrap_err();
        assert!(matches!(error, Refusal::Busy(_)));
        drop(held);
        admission.read(body(16_000), Some(16_000), 20_000).await.unwrap();
    }
}
