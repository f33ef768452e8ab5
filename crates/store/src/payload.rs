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
    /// In the order in which rows name them.
    pub(crate) series: Vec<SeriesRun<'a>>,
    pub(crate) samples: Rows<'a>,
    pub(crate) exemplars: Rows<'a>,
    pub(crate) metadata: Rows<'a>,
    pub(crate) logs: Rows<'a>,
    pub(crate) spans: Rows<'a>,
}

/// How a payload begins whose series may be references. Older ones begin with the count of
/// resources, which is never written with a byte to spare as here.
pub(crate) const FORM_REFERENCES: [u8; 2] = [0x80, 0];

/// Series of a batch that are named in one way.
#[derive(Debug)]
pub(crate) enum SeriesRun<'a> {
    New(Vec<PayloadSeries<'a>>),
    /// So many that lie one after the other in an earlier append, from this place on.
    Known {
        append: u64,
        at: u32,
        count: usize,
    },
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
    /// Whether samples have the form of payloads with references.
    brief: bool,
    pub(crate) count: usize,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Payload<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let references = bytes.starts_with(&FORM_REFERENCES);
        let mut r = Reader::new(&bytes[if references { FORM_REFERENCES.len() } else { 0 }..]);
        let resources = table(&mut r)?;
        let scopes = table(&mut r)?;
        let streams = table(&mut r)?;
        let count = r.count(0)?;
        let series = match references {
            true => series_runs(&mut r, count)?,
            false => vec![SeriesRun::New(new_series(&mut r, count)?)],
        };
        let mut rows = || {
            let count = usize::try_from(r.varint()?).ok()?;
            let bytes = r.bytes()?;
            (count <= bytes.len()).then_some(Rows { brief: references, count, bytes })
        };
        let payload = Payload {
            resources,
            scopes,
            streams,
            series,
            samples: rows()?,
            exemplars: rows()?,
            metadata: rows()?,
            logs: rows()?,
            spans: rows()?,
        };
        r.is_empty().then_some(payload)
    }
}

/// The most series a batch can have: as many as it has bytes.
const SERIES_MAX: usize = 1 << 26;

fn series_runs<'a>(r: &mut Reader<'a>, total: usize) -> Option<Vec<SeriesRun<'a>>> {
    let mut left = (total <= SERIES_MAX).then_some(total)?;
    let mut runs = Vec::new();
    while left > 0 {
        let head = r.varint()?;
        let count = usize::try_from(head >> 1).ok().filter(|&count| count > 0 && count <= left)?;
        left -= count;
        runs.push(match head & 1 {
            0 => SeriesRun::New(new_series(r, count)?),
            _ => SeriesRun::Known { append: r.varint()?, at: r.varint32()?, count },
        });
    }
    Some(runs)
}

fn new_series<'a>(r: &mut Reader<'a>, count: usize) -> Option<Vec<PayloadSeries<'a>>> {
    if count > r.remaining() {
        return None;
    }
    let mut series = Vec::with_capacity(count);
    for _ in 0..count {
        let (resource, scope) = (r.varint32()?, r.varint32()?);
        series.push(PayloadSeries { resource, scope, labels: r.bytes()? });
    }
    Some(series)
}

fn table<'a>(r: &mut Reader<'a>) -> Option<Vec<&'a [u8]>> {
    let count = r.count(1)?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(r.bytes()?);
    }
    Some(entries)
}

/// Bits of the byte that a sample begins with: what is not as usual.
pub(crate) const SAMPLE_NEXT: u8 = 1;
pub(crate) const SAMPLE_TIME: u8 = 2;
pub(crate) const SAMPLE_START: u8 = 4;
pub(crate) const SAMPLE_HISTOGRAM: u8 = 8;

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
    let mut next = 0u32;
    for _ in 0..rows.count {
        let form = if rows.brief { r.u8()? } else { SAMPLE_TIME | SAMPLE_START };
        let series = if form & SAMPLE_NEXT != 0 { next } else { r.varint32()? };
        next = series.wrapping_add(1);
        if form & SAMPLE_TIME != 0 {
            time_ms = time_ms.wrapping_add(r.signed()?);
        }
        if form & SAMPLE_START != 0 {
            start_ms = start_ms.wrapping_add(r.signed()?);
        }
        let histogram = match rows.brief {
            true => form & SAMPLE_HISTOGRAM != 0,
            false => match r.u8()? {
                0 => false,
                1 => true,
                _ => return None,
            },
        };
        let value = match histogram {
            false => SampleValue::Float(r.f64()?),
            true => SampleValue::Histogram(Box::new(row::histogram(&mut r)?)),
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
