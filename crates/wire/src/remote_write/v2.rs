//! Prometheus remote write 2.0: `io.prometheus.write.v2.Request`.
//!
//! Source: "Prometheus Remote-Write 2.0 Specification" and
//! `prompb/io/prometheus/write/v2/types.proto`.

use super::{HISTOGRAM, Histogram, SAMPLE, Sample};
use crate::protobuf::schema::FieldType as F;
use crate::protobuf::schema::Kind::{Double, Enum, Int64, Message as M, Str, Uint32 as U32};
use crate::protobuf::schema::Message;
use crate::protobuf::{Decode, Error, ErrorKind, Reader, Repeated, Result, Scalars, Uint32};

/// `io.prometheus.write.v2.Request`. Texts stand once in a table and are referred to.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// The table; its first entry is the empty text.
    symbols: Vec<&'a str>,
    /// Series with new samples.
    pub timeseries: Repeated<'a, TimeSeries<'a>>,
}

impl<'a> Request<'a> {
    /// Reads the table and the outermost fields of a request.
    ///
    /// # Errors
    /// The outermost fields are damaged, a symbol is not UTF-8, or the first is not empty.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        Self::decode(Reader::new(bytes))
    }

    /// The text that a reference of a series stands for; `None` if the table is shorter.
    #[must_use]
    pub fn symbol(&self, reference: u32) -> Option<&'a str> {
        self.symbols.get(reference as usize).copied()
    }

    /// The name-value pairs that references stand for. An error is about the request's
    /// content and costs only this series.
    pub fn labels(
        &self,
        references: Scalars<'a, Uint32>,
    ) -> impl Iterator<Item = std::result::Result<(&'a str, &'a str), String>> {
        let mut references = references.iter();
        let mut next = move || -> Option<std::result::Result<&'a str, String>> {
            let reference = match references.next()? {
                Ok(reference) => reference,
                Err(error) => return Some(Err(error.to_string())),
            };
            let symbol = self.symbol(reference);
            Some(symbol.ok_or_else(|| {
                format!("reference {reference} is beyond the {} symbols", self.symbols.len())
            }))
        };
        std::iter::from_fn(move || {
            let name = next()?;
            let odd = || Err("a label without a value: an odd number of references".to_owned());
            Some(name.and_then(|name| Ok((name, next().unwrap_or_else(odd)?))))
        })
    }
}

impl<'a> Decode<'a> for Request<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut request = Request::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                4 => request.symbols.push(field.str()?),
                5 => request.timeseries.push(&field, &reader)?,
                _ => {}
            }
        }
        match request.symbols.first() {
            Some(&"") => Ok(request),
            None if request.timeseries.is_empty() => Ok(request),
            _ => Err(Error::new(ErrorKind::Missing("symbols"), 0)),
        }
    }
}

/// One series.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeSeries<'a> {
    /// References of names and values in turn, `__name__` among them.
    pub labels_refs: Scalars<'a, Uint32>,
    /// Samples by time.
    pub samples: Repeated<'a, Sample>,
    /// Native histograms by time.
    pub histograms: Repeated<'a, Histogram<'a>>,
    /// Example observations.
    pub exemplars: Repeated<'a, Exemplar<'a>>,
    /// What is known of the family.
    pub metadata: Option<Metadata>,
    /// Unix milliseconds since which the series counts, 0 if unknown.
    pub created_timestamp: i64,
}

impl<'a> Decode<'a> for TimeSeries<'a> {
    #[inline]
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut series = TimeSeries::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => series.labels_refs.push(&field, &reader)?,
                2 => series.samples.push(&field, &reader)?,
                3 => series.histograms.push(&field, &reader)?,
                4 => series.exemplars.push(&field, &reader)?,
                5 => field.set_message(&mut series.metadata)?,
                6 => series.created_timestamp = field.i64()?,
                _ => {}
            }
        }
        Ok(series)
    }
}

/// An example observation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exemplar<'a> {
    /// References of names and values in turn.
    pub labels_refs: Scalars<'a, Uint32>,
    /// The observed value.
    pub value: f64,
    /// Unix milliseconds.
    pub timestamp: i64,
}

impl<'a> Decode<'a> for Exemplar<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut exemplar = Exemplar::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => exemplar.labels_refs.push(&field, &reader)?,
                2 => exemplar.value = field.double()?,
                3 => exemplar.timestamp = field.i64()?,
                _ => {}
            }
        }
        Ok(exemplar)
    }
}

/// What is known of a series' family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// As in [`super::Metadata`].
    pub kind: i32,
    /// Reference of the help text.
    pub help_ref: u32,
    /// Reference of the unit.
    pub unit_ref: u32,
}

impl Decode<'_> for Metadata {
    fn decode(mut reader: Reader<'_>) -> Result<Self> {
        let mut metadata = Metadata::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => metadata.kind = field.i32()?,
                3 => metadata.help_ref = field.u32()?,
                4 => metadata.unit_ref = field.u32()?,
                _ => {}
            }
        }
        Ok(metadata)
    }
}

/// `io.prometheus.write.v2.Request`, for the paths in errors.
pub static REQUEST: Message = Message {
    name: "Request",
    fields: &[
        F::many(4, "symbols", "symbols", Str),
        F::many(5, "timeseries", "timeseries", M(|| &TIME_SERIES)),
    ],
};

static TIME_SERIES: Message = Message {
    name: "TimeSeries",
    fields: &[
        F::many(1, "labels_refs", "labelsRefs", U32),
        F::many(2, "samples", "samples", M(|| &SAMPLE)),
        F::many(3, "histograms", "histograms", M(|| &HISTOGRAM)),
        F::many(4, "exemplars", "exemplars", M(|| &EXEMPLAR)),
        F::one(5, "metadata", "metadata", M(|| &METADATA)),
        F::one(6, "created_timestamp", "createdTimestamp", Int64),
    ],
};

static EXEMPLAR: Message = Message {
    name: "Exemplar",
    fields: &[
        F::many(1, "labels_refs", "labelsRefs", U32),
        F::one(2, "value", "value", Double),
        F::one(3, "timestamp", "timestamp", Int64),
    ],
};

static METADATA: Message = Message {
    name: "Metadata",
    fields: &[
        F::one(1, "type", "type", Enum(&[])),
        F::one(3, "help_ref", "helpRef", U32),
        F::one(4, "unit_ref", "unitRef", U32),
    ],
};
