//! What occurs in a block, roughly: whether it is worth reading for a condition.
//!
//! A sieve is a split block Bloom filter over the block's names and attributes. It may
//! take a block for one that has what is sought, never the other way round.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

use crate::filter::{Compare, Field, SpanFilter};
use crate::intern::Seeded;
use crate::model::{Attribute, Resource, Scope, Value};

/// Bytes of a lane: eight words, in each of which an entry sets one bit.
pub(crate) const LANE_BYTES: usize = 32;
/// Bits for each entry: one look-up in some two hundred finds what is not there.
const ENTRY_BITS: usize = 12;
/// A sieve takes at most so many lanes. With more entries it only becomes coarser.
const LANES_MAX: usize = 1 << 10;

/// Where in a span something stands.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Place {
    Name = 0,
    Span = 1,
    Resource = 2,
    /// Scope, events, links.
    Other = 3,
}

/// Collects what occurs in a block.
#[derive(Debug, Default)]
pub(super) struct SieveWriter {
    hashes: HashSet<u64, Seeded>,
    scratch: Vec<u8>,
}

impl SieveWriter {
    pub(super) fn name(&mut self, name: &[u8]) {
        let name = Value::Str(String::from_utf8_lossy(name));
        self.value(Place::Name, "", &name);
    }

    pub(super) fn resource(&mut self, resource: &Resource<'_>) {
        self.attributes(Place::Resource, &resource.attributes);
    }

    pub(super) fn scope(&mut self, scope: &Scope<'_>) {
        self.attributes(Place::Other, &scope.attributes);
    }

    fn attributes(&mut self, place: Place, attributes: &[Attribute<'_>]) {
        attributes.iter().for_each(|a| self.attribute(place, &a.key, &a.value));
    }

    /// Notes that the key occurs, and with which value; a list counts by its elements.
    pub(super) fn attribute(&mut self, place: Place, key: &str, value: &Value<'_>) {
        self.key(place, key);
        self.value(place, key, value);
    }

    pub(super) fn key(&mut self, place: Place, key: &str) {
        self.hashes.insert(hash_of_key(&mut self.scratch, place, key));
    }

    pub(super) fn value(&mut self, place: Place, key: &str, value: &Value<'_>) {
        if let Value::Array(items) = value {
            items.iter().for_each(|item| self.value(place, key, item));
        } else if let Some(hash) = hash_of(&mut self.scratch, place, key, value) {
            self.hashes.insert(hash);
        }
    }

    /// Adds what another has noted.
    pub(super) fn add(&mut self, other: &SieveWriter) {
        self.hashes.extend(&other.hashes);
    }

    /// The lanes.
    pub(super) fn finish(&self) -> Vec<u8> {
        let lanes = (self.hashes.len() * ENTRY_BITS).div_ceil(LANE_BYTES * 8).clamp(1, LANES_MAX);
        let mut out = vec![0; lanes * LANE_BYTES];
        for &hash in &self.hashes {
            let lane = &mut out[lane_of(hash, lanes) * LANE_BYTES..][..LANE_BYTES];
            for (word, bit) in bits(hash) {
                lane[word * 4 + bit / 8] |= 1 << (bit % 8);
            }
        }
        out
    }
}

/// Which lane an entry lies in.
fn lane_of(hash: u64, lanes: usize) -> usize {
    (((hash >> 32) * lanes as u64) >> 32) as usize
}

/// The bit of each word of its lane.
fn bits(hash: u64) -> impl Iterator<Item = (usize, usize)> {
    const SALTS: [u32; 8] = [
        0x9e37_79b1,
        0x85eb_ca77,
        0xc2b2_ae3d,
        0x27d4_eb2f,
        0x1656_67b1,
        0xd3a2_646d,
        0xfd70_46c5,
        0xb55a_4f09,
    ];
    let low = hash as u32;
    let bit = move |salt: &u32| (low.wrapping_mul(*salt) >> 27) as usize;
    SALTS.iter().enumerate().map(move |(word, salt)| (word, bit(salt)))
}

fn hash_of_key(scratch: &mut Vec<u8>, place: Place, key: &str) -> u64 {
    scratch.clear();
    scratch.push(place as u8);
    scratch.extend_from_slice(key.as_bytes());
    xxh3_64(scratch)
}

/// `None` for lists and maps, which equal nothing.
///
/// TRAP: two values that [`Compare::Equal`] takes for the same must have one hash: a double
/// that is a whole number is that integer, and so is negative zero.
fn hash_of(scratch: &mut Vec<u8>, place: Place, key: &str, value: &Value<'_>) -> Option<u64> {
    scratch.clear();
    scratch.push(place as u8);
    scratch.extend_from_slice(key.as_bytes());
    // A byte that is in no key, since those are UTF-8, and the kind of value.
    match value {
        Value::Empty => scratch.push(0xf8),
        Value::Bool(v) => scratch.extend_from_slice(&[0xf9, u8::from(*v)]),
        Value::Int(v) => put_int(scratch, *v),
        Value::Double(v) => match whole(*v) {
            Some(v) => put_int(scratch, v),
            None => {
                scratch.push(0xfb);
                scratch.extend_from_slice(&v.to_bits().to_le_bytes());
            }
        },
        Value::Str(text) => {
            scratch.push(0xfc);
            scratch.extend_from_slice(text.as_bytes());
        }
        Value::Bytes(bytes) => {
            scratch.push(0xfd);
            scratch.extend_from_slice(bytes);
        }
        Value::Array(_) | Value::Map(_) => return None,
    }
    Some(xxh3_64(scratch))
}

fn put_int(scratch: &mut Vec<u8>, value: i64) {
    scratch.push(0xfa);
    scratch.extend_from_slice(&value.to_le_bytes());
}

fn whole(value: f64) -> Option<i64> {
    let whole = value as i64;
    // The conversion stops at the ends, and the greatest integer is no double.
    (whole as f64 == value && whole != i64::MAX).then_some(whole)
}

/// What a block must have so that a span of it can satisfy a condition.
#[derive(Clone, Debug)]
pub(crate) enum Sought {
    /// Nothing that a sieve knows of.
    Nothing,
    /// One of these entries.
    Entry(Vec<u64>),
    All(Vec<Sought>),
    Any(Vec<Sought>),
}

impl Sought {
    pub(crate) fn of(filter: &SpanFilter) -> Sought {
        match filter {
            SpanFilter::All | SpanFilter::Not(_) => Sought::Nothing,
            SpanFilter::Field(field, compare) => of_field(field, compare),
            SpanFilter::Mentions(key, text) => of_mention(key, text),
            SpanFilter::And(all) => {
                let all: Vec<Sought> =
                    all.iter().map(Sought::of).filter(|s| !matches!(s, Sought::Nothing)).collect();
                if all.is_empty() { Sought::Nothing } else { Sought::All(all) }
            }
            SpanFilter::Or(any) => {
                let any: Vec<Sought> = any.iter().map(Sought::of).collect();
                match any.iter().any(|s| matches!(s, Sought::Nothing)) {
                    true => Sought::Nothing,
                    false => Sought::Any(any),
                }
            }
        }
    }

    /// Whether a block with this sieve may have it.
    pub(crate) fn may_be_in(&self, sieve: &[u8]) -> bool {
        match self {
            Sought::Nothing => true,
            Sought::Entry(hashes) => hashes.iter().any(|&hash| has(sieve, hash)),
            Sought::All(all) => all.iter().all(|sought| sought.may_be_in(sieve)),
            Sought::Any(any) => any.iter().any(|sought| sought.may_be_in(sieve)),
        }
    }
}

fn has(sieve: &[u8], hash: u64) -> bool {
    let lanes = sieve.len() / LANE_BYTES;
    let Some(lane) = sieve.get(lane_of(hash, lanes) * LANE_BYTES..) else { return true };
    let is_set = |(word, bit): (usize, usize)| {
        lane.get(word * 4 + bit / 8).is_none_or(|byte| byte >> (bit % 8) & 1 == 1)
    };
    bits(hash).all(is_set)
}

fn of_field(field: &Field, compare: &Compare) -> Sought {
    match field {
        Field::Name if matches!(compare, Compare::Equal(Value::Str(_))) => {
            of_places(&[Place::Name], "", compare)
        }
        Field::Span(key) => of_places(&[Place::Span], key, compare),
        Field::Resource(key) => of_places(&[Place::Resource], key, compare),
        Field::Any(key) => of_places(&[Place::Span, Place::Resource], key, compare),
        Field::Name | Field::Kind | Field::Status | Field::StatusMessage | Field::Duration => {
            Sought::Nothing
        }
    }
}

/// What is absent satisfies no comparison, so at least the key must be there.
fn of_places(places: &[Place], key: &str, compare: &Compare) -> Sought {
    let scratch = &mut Vec::new();
    let hashes = places.iter().map(|place| match compare {
        Compare::Equal(value) => {
            let hash = hash_of(scratch, *place, key, value);
            hash.unwrap_or_else(|| hash_of_key(scratch, *place, key))
        }
        _ => hash_of_key(scratch, *place, key),
    });
    Sought::Entry(hashes.collect())
}

/// Every value that this text may be written for, wherever it stands.
fn of_mention(key: &str, text: &str) -> Sought {
    let mut values = vec![Value::Str(text.into())];
    values.extend(text.parse().ok().map(Value::Int));
    values.extend(text.parse().ok().map(Value::Double));
    values.extend(text.parse().ok().map(Value::Bool));
    values.extend(bytes_of(text).map(|bytes| Value::Bytes(bytes.into())));
    values.extend(text.is_empty().then_some(Value::Empty));
    let scratch = &mut Vec::new();
    let mut hashes = Vec::new();
    for place in [Place::Span, Place::Resource, Place::Other] {
        hashes.extend(values.iter().filter_map(|value| hash_of(scratch, place, key, value)));
    }
    Sought::Entry(hashes)
}

/// Bytes written in hexadecimal.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<u32>>>()?;
    let pairs = digits.chunks(2).map(|pair| Some((pair[0] << 4 | *pair.get(1)?) as u8));
    pairs.collect()
}
