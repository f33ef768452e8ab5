//! Reads the bytes of a [`Batch`](crate::Batch): the head applies them, whether they come
//! from a request or from the WAL.

use crate::bytes::Reader;
use crate::labels::Labels;
use crate::model::{Exemplar, Metadata, SampleValue};
use crate::row;

/// An encoded batch, taken apart.
#[derive(Debug)]
pub(crate) struct Payload<'a> {
    pub(crate) resources: Vec<&'a [u8]>,
    pub(crate) scopes: Vec<&'a [u8]>,
    pub(crate) streams: Vec<&'a [u8]>,
    pub(crate) series: Vec<PayloadSeries<'a>>,
    pub(crate) samples: Rows<'a>,
    pub(crate) exemplars: Rows<'a>,
    pub(crate) metadata: Rows<'a>,
    pub(crate) logs: Rows<'a>,
    pub(crate) spans: Rows<'a>,
}

/// A series of a batch: its labels and the places of its owners in the batch.
#[derive(Debug)]
pub(crate) struct PayloadSeries<'a> {
    pub(crate) resource: u32,
    pub(crate) scope: u32,
    pub(crate) labels: &'a [u8],
}

/// Rows of one kind, not decoded yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    pub(crate) count: usize,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Payload<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let resources = table(&mut r)?;
        let scopes = table(&mut r)?;
        let streams = table(&mut r)?;
        let count = r.count(3)?;
        let mut series = Vec::with_capacity(count);
        for _ in 0..count {
            let (resource, scope) = (r.varint32()?, r.varint32()?);
            series.push(PayloadSeries { resource, scope, labels: r.bytes()? });
        }
        let payload = Payload {
            resources,
            scopes,
            streams,
            series,
            samples: rows(&mut r)?,
            exemplars: rows(&mut r)?,
            metadata: rows(&mut r)?,
            logs: rows(&mut r)?,
            spans: rows(&mut r)?,
        };
        r.is_empty().then_some(payload)
    }
}

fn table<'a>(r: &mut Reader<'a>) -> Option<Vec<&'a [u8]>> {
    let count = r.count(1)?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(r.bytes()?);
    }
    Some(entries)
}

fn rows<'a>(r: &mut Reader<'a>) -> Option<Rows<'a>> {
    let count = usize::try_from(r.varint()?).ok()?;
    let bytes = r.bytes()?;
    (count <= bytes.len()).then_some(Rows { count, bytes })
}

/// A sample as the WAL holds it.
#[derive(Debug)]
pub(crate) struct SampleRow {
    pub(crate) series: u32,
    pub(crate) time_ms: i64,
    pub(crate) start_ms: i64,
    pub(crate) value: SampleValue,
}

/// Calls `each` for every sample; `None` if the rows are malformed.
pub(crate) fn each_sample(
    rows: Rows<'_>,
    mut each: impl FnMut(SampleRow) -> Option<()>,
) -> Option<()> {
    let mut r = Reader::new(rows.bytes);
    let (mut time_ms, mut start_ms) = (0i64, 0i64);
    for _ in 0..rows.count {
        let series = r.varint32()?;
        time_ms = time_ms.wrapping_add(r.signed()?);
        start_ms = start_ms.wrapping_add(r.signed()?);
        let value = match r.u8()? {
            0 => SampleValue::Float(r.f64()?),
            1 => SampleValue::Histogram(Box::new(row::histogram(&mut r)?)),
            _ => return None,
        };
        each(SampleRow { series, time_ms, start_ms, value })?;
    }
    r.is_empty().then_some(())
}

/// Calls `each` for every exemplar with its series.
pub(crate) fn each_exemplar(
    rows: Rows<'_>,
    mut each: impl FnMut(u32, Exemplar) -> Option<()>,
) -> Option<()> {
    let mut r = Reader::new(rows.bytes);
    for _ in 0..rows.count {
        let series = r.varint32()?;
        let (time_ms, value) = (r.signed()?, r.f64()?);
        let labels = Labels::from_bytes(r.bytes()?)?;
        each(series, Exemplar { time_ms, value, labels })?;
    }
    r.is_empty().then_some(())
}

/// Calls `each` for every metric family.
pub(crate) fn each_metadata<'a>(
    rows: Rows<'a>,
    mut each: impl FnMut(&'a str, Metadata),
) -> Option<()> {
    let mut r = Reader::new(rows.bytes);
    for _ in 0..rows.count {
        let family = r.str()?;
        let kind = row::metric_kind(r.u8()?)?;
        each(family, Metadata { kind, unit: r.str()?.to_owned(), help: r.str()?.to_owned() });
    }
    r.is_empty().then_some(())
}
