//! What a user wants to be gone.

use crate::bytes::{Reader, put_bytes, put_signed, put_varint};
use crate::labels::Labels;
use crate::model::{Resource, TraceId, Value};
use crate::part::{Signal, prune};
use crate::snapshot::TimeRange;

/// Rows to delete: of some signals, of one tenant or service, within a range of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Samples and exemplars.
    pub metrics: bool,
    /// Log records.
    pub logs: bool,
    /// Spans.
    pub traces: bool,
    /// The resource attribute that must have this value, e.g. `service.name`; a stream or
    /// series with a label of that name (dots as underscores) and value is meant as well.
    /// `None` means everything.
    pub attribute: Option<(String, String)>,
    /// When.
    pub range: TimeRange,
}

/// A deletion that is decided and not done yet. The manifest has it, so that it is done
/// whatever comes in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) deletion: Deletion,
    /// Appends up to this one are meant.
    pub(crate) through: u64,
}

impl Deletion {
    pub(crate) fn concerns_signal(&self, signal: Signal) -> bool {
        match signal {
            Signal::Metrics => self.metrics,
            Signal::Logs => self.logs,
            Signal::Traces => self.traces,
        }
    }
}

impl prune::Keep for Deletion {
    fn concerns(&self, resource: &Resource<'_>, labels: Option<&Labels>) -> bool {
        let Some((key, value)) = &self.attribute else { return true };
        let found = resource.attributes.iter().find(|a| a.key == *key);
        let of_resource = found.is_some_and(|a| match &a.value {
            Value::Str(text) => **text == **value,
            other => other.as_text() == **value,
        });
        let of_labels = |labels: &Labels| {
            let label = key.replace(['.', '-', '/'], "_");
            labels.get(key) == Some(value) || labels.get(&label) == Some(value)
        };
        of_resource || labels.is_some_and(of_labels)
    }

    fn row(&self, time_ns: i64, _: Option<TraceId>) -> bool {
        !self.range.contains(time_ns)
    }

    fn counted(&self, bounds_ns: (i64, i64)) -> bool {
        !self.range.overlaps(bounds_ns)
    }
}

impl Pending {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let Deletion { metrics, logs, traces, attribute, range } = &self.deletion;
        let flags = [*metrics, *logs, *traces, attribute.is_some()];
        out.push(flags.iter().rev().fold(0, |bits, &flag| bits << 1 | u8::from(flag)));
        put_varint(out, self.through);
        put_signed(out, range.start_ns);
        put_signed(out, range.end_ns);
        if let Some((key, value)) = attribute {
            put_bytes(out, key.as_bytes());
            put_bytes(out, value.as_bytes());
        }
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Option<Self> {
        let flags = r.u8().filter(|flags| *flags < 16)?;
        let is = |bit: u8| flags >> bit & 1 == 1;
        let through = r.varint()?;
        let range = TimeRange { start_ns: r.signed()?, end_ns: r.signed()? };
        let attribute = match is(3) {
            true => Some((r.str()?.to_owned(), r.str()?.to_owned())),
            false => None,
        };
        let deletion = Deletion { metrics: is(0), logs: is(1), traces: is(2), attribute, range };
        Some(Pending { deletion, through })
    }
}
