//! Finished spans and log records on their way to the exporter's thread.

use std::sync::Arc;

use crate::account::Account;
use crate::config::BatchSettings;

/// What goes first when room is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    Normal,
    /// A span that failed, and what belongs to its trace; a record of WARN or worse.
    Error,
}

/// Items of one signal that wait to be exported.
#[derive(Debug)]
pub(crate) struct Queue {
    account: Arc<Account>,
    settings: BatchSettings,
}

impl Queue {
    pub(crate) fn new(settings: BatchSettings, account: Arc<Account>) -> Queue {
        Queue { account, settings }
    }

    /// Takes a finished item: `message` is an OTLP `Span` or `LogRecord`, `scope` the name of
    /// its instrumentation scope. Never waits for the exporter; what finds no room is
    /// dropped by priority and counted. The caller has counted it as produced.
    pub(crate) fn push(&self, scope: &'static str, priority: Priority, message: &[u8]) {
        let _ = (scope, priority, message, &self.settings);
        self.account.dropped(crate::account::Dropped::QueueFull, 1);
    }
}
