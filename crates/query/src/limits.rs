//! What one query may use, and its running account.

use trefoil_store::Tally;

/// Limits of one query and the account they are checked against. Time is not among them:
/// whoever runs the query cancels its [`Tally`] when the deadline passes.
#[derive(Debug)]
pub struct Limits<'a> {
    /// Counts what is read; stops the query when cancelled.
    pub tally: &'a Tally,
    /// Samples a PromQL or LogQL query may hold at once.
    pub samples_max: usize,
    /// Series (or streams, or traces) in an answer.
    pub series_max: usize,
}

impl<'a> Limits<'a> {
    /// The defaults: 50 million samples as Prometheus has, 100,000 series.
    #[must_use]
    pub fn new(tally: &'a Tally) -> Self {
        Limits { tally, samples_max: 50_000_000, series_max: 100_000 }
    }
}

/// How deep an expression may nest; deeper ones are refused by the parsers, so that no
/// text can overflow the stack.
pub const DEPTH_MAX: usize = 128;

/// How long a query text may be, in bytes.
pub const TEXT_MAX: usize = 128 << 10;
