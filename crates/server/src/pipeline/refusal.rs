//! What is refused and why: single items by reason, or whole requests.

use std::fmt;

use trefoil_wire::protobuf::schema::Message;
use trefoil_wire::protobuf::{Error, ErrorKind};

use super::Outcome;

/// Why a whole request was not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// The bytes are damaged: says where and how. Sending them again is of no use.
    Malformed(String),
    /// A limit of the store on one batch. Smaller requests are of use.
    TooLarge(String),
    /// Memory or disk is short: send it again later.
    Busy(String),
    /// The disk is full: send it again later.
    DiskFull(String),
    /// Writing has stopped until somebody looks after the server.
    Unavailable(String),
}

impl Rejected {
    /// The label `reason` of the refused items.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Rejected::Malformed(_) => "malformed",
            Rejected::TooLarge(_) => "too_large",
            Rejected::Busy(_) => "busy",
            Rejected::DiskFull(_) => "disk_full",
            Rejected::Unavailable(_) => "unavailable",
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejected::Malformed(text)
            | Rejected::TooLarge(text)
            | Rejected::Busy(text)
            | Rejected::DiskFull(text)
            | Rejected::Unavailable(text) => f.write_str(text),
        }
    }
}

impl From<trefoil_store::Error> for Rejected {
    fn from(error: trefoil_store::Error) -> Self {
        let text = error.to_string();
        match error {
            trefoil_store::Error::Busy(_) => Rejected::Busy(text),
            trefoil_store::Error::DiskFull(_) => Rejected::DiskFull(text),
            trefoil_store::Error::LimitExceeded { .. } => Rejected::TooLarge(text),
            _ => Rejected::Unavailable(text),
        }
    }
}

/// Why one item was refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ItemError {
    /// Its bytes are wrong, but the request around it is whole.
    Wire(Error),
    /// It breaks a rule; the label `reason`.
    Rule(&'static str),
}

impl From<Error> for ItemError {
    fn from(error: Error) -> Self {
        ItemError::Wire(error)
    }
}

impl From<&'static str> for ItemError {
    fn from(reason: &'static str) -> Self {
        ItemError::Rule(reason)
    }
}

/// The refused items of one request.
pub(super) struct Refusals<'a> {
    schema: &'static Message,
    request: &'a [u8],
    by_reason: Vec<(&'static str, u64)>,
    first: String,
}

impl<'a> Refusals<'a> {
    pub(super) fn new(schema: &'static Message, request: &'a [u8]) -> Self {
        Refusals { schema, request, by_reason: Vec::new(), first: String::new() }
    }

    /// Refuses `count` items; `name` says which for the sender, if it is known.
    ///
    /// # Errors
    /// The error is of the kind after which nothing in the request can be trusted.
    pub(super) fn refuse(&mut self, error: ItemError, count: u64, name: &str) -> Result<(), Error> {
        let reason = match error {
            ItemError::Rule(reason) => reason,
            ItemError::Wire(error) if error.is_structural() => return Err(error),
            ItemError::Wire(error) => match error.kind {
                ErrorKind::Utf8 => "invalid_utf8",
                ErrorKind::IdLength { .. } => "invalid_id",
                ErrorKind::IdZero => "zero_id",
                ErrorKind::Missing(_) => "missing_field",
                ErrorKind::Depth => "too_deep",
                _ => "malformed",
            },
        };
        if count == 0 {
            return Ok(());
        }
        if self.first.is_empty() {
            self.first = match error {
                ItemError::Wire(error) => error.explain(self.schema, self.request),
                ItemError::Rule(reason) if name.is_empty() => advice(reason).to_owned(),
                ItemError::Rule(reason) => {
                    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
                    format!("{name}: {}", advice(reason))
                }
            };
        }
        match self.by_reason.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, total)) => *total += count,
            None => self.by_reason.push((reason, count)),
        }
        Ok(())
    }

    pub(super) fn total(&self) -> u64 {
        self.by_reason.iter().map(|(_, count)| count).sum()
    }

    pub(super) fn by_reason(&self) -> &[(&'static str, u64)] {
        &self.by_reason
    }

    /// What the sender is told.
    pub(super) fn outcome(&self) -> Outcome {
        if self.by_reason.is_empty() {
            return Outcome::default();
        }
        let reasons: Vec<String> =
            self.by_reason.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        Outcome {
            refused: self.total(),
            message: format!("refused: {}; first: {}", reasons.join(", "), self.first),
        }
    }
}

/// Characters of an item's name in a message.
const NAME_CHARS_MAX: usize = 100;

/// What a reason means, and what to do.
fn advice(reason: &'static str) -> &'static str {
    match reason {
        "timestamp_out_of_range" => "the timestamp is not within the years 1970 to 2262",
        "older_than_retention" => {
            "the timestamp is older than what is kept; start the server with a longer --retention-…"
        }
        "too_many_attributes" => "more than 1024 attributes",
        "attribute_key_too_long" => "an attribute key of more than 1 KiB",
        "attribute_value_too_long" => "an attribute value of more than 1 MiB",
        "too_many_elements" => "more than 131072 elements in lists and maps",
        "too_many_events_or_links" => "more than 4096 events or links",
        "body_too_long" => "a log body of more than 4 MiB",
        "name_too_long" => "a name of more than 4 KiB",
        "empty_name" => "the metric has no name, or none with a letter, digit or colon",
        "no_value" => "the data point has no value",
        "no_data" => "the metric has no data of a known kind",
        "temporality_unspecified" => "the aggregation temporality is neither delta nor cumulative",
        "delta_out_of_order" => {
            "a delta that is not later than the one before it in its series; it came late or twice"
        }
        "too_many_series" => {
            "a delta, or the end, of a series beyond --series-per-metric or --values-per-label"
        }
        "too_many_delta_series" => "too many series with delta temporality; use cumulative",
        "invalid_labels" => "the labels of the stream are not of the form {name=\"value\", …}",
        "no_labels" => "at least one label is required per stream",
        "too_many_labels" => "more than 128 labels",
        "label_value_too_long" => "a label value of more than 16 KiB",
        "bucket_mismatch" => "bucket_counts must have one element more than explicit_bounds",
        "bounds_not_ascending" => "explicit_bounds are not ascending",
        "too_many_buckets" => "more buckets than 1024 (explicit) or 4096 (exponential)",
        "scale_too_small" => "an exponential histogram with a scale below -4",
        "count_mismatch" => "the buckets do not add up to the count",
        other => other,
    }
}
