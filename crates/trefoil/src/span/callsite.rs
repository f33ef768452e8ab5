//! What every span and event of a callsite has in common, as the bytes that they get.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tracing_core::Metadata;

use super::encode::{EVENT_ATTRIBUTE, SPAN_ATTRIBUTE, attribute_int, attribute_str};
use crate::subscriber::is_in_application;

/// A callsite, made when it is first used and never given back: it lies in the program's
/// code and so does its metadata.
pub(super) struct Callsite {
    metadata: &'static Metadata<'static>,
    /// `code.*`, as attributes of a span.
    pub(super) location: Vec<u8>,
    /// Level and target, as attributes of an event.
    pub(super) origin: Vec<u8>,
}

/// Callsites that are remembered. A program has thousands; who makes more makes them at run
/// time, and those are encoded anew each time.
const KNOWN_MAX: usize = 1 << 16;

static KNOWN: Mutex<Option<HashMap<usize, &'static Callsite>>> = Mutex::new(None);

/// Places for the callsites that a thread used last; each may lie in two of them.
const RECENT: usize = 64;

thread_local! {
    static RECENTLY: [Cell<Option<&'static Callsite>>; RECENT] =
        const { [const { Cell::new(None) }; RECENT] };
}

impl Callsite {
    /// The callsite of the metadata, unless there are too many.
    #[inline]
    pub(super) fn of(metadata: &'static Metadata<'static>) -> Option<&'static Callsite> {
        RECENTLY.with(|recently| {
            let place = place(std::ptr::from_ref(metadata).addr());
            let is_it = |callsite: &&Callsite| std::ptr::eq(callsite.metadata, metadata);
            let [first, second] = [place, place ^ 1].map(|place| &recently[place]);
            if let Some(callsite) = first.get().filter(is_it) {
                return Some(callsite);
            }
            if let Some(callsite) = second.get().filter(is_it) {
                return Some(callsite);
            }
            let callsite = look_up(metadata)?;
            // Two that come in turn and want one place both find one.
            second.set(first.replace(Some(callsite)));
            Some(callsite)
        })
    }
}

/// Where a callsite lies if it was used lately. Statics lie at even distances; one round of the
/// multiplier, that of splitmix64, would put neighbours into one place if their distance is a
/// number of Fibonacci, as 144 is.
#[inline]
fn place(address: usize) -> usize {
    const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;
    let once = (address as u64).wrapping_mul(SCATTER);
    ((once ^ once >> 32).wrapping_mul(SCATTER) >> 58) as usize % RECENT
}

#[cold]
fn look_up(metadata: &'static Metadata<'static>) -> Option<&'static Callsite> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    let address = std::ptr::from_ref(metadata).addr();
    if let Some(callsite) = known.get(&address) {
        return Some(callsite);
    }
    if known.len() >= KNOWN_MAX {
        return None;
    }
    let (mut location, mut origin) = (Vec::new(), Vec::new());
    encode_location(&mut location, metadata);
    encode_origin(&mut origin, metadata);
    let callsite = Box::leak(Box::new(Callsite { metadata, location, origin }));
    known.insert(address, callsite);
    Some(callsite)
}

/// Semantic conventions, `code.*`.
pub(super) fn encode_location(out: &mut Vec<u8>, metadata: &Metadata<'_>) {
    if !is_in_application(metadata) {
        return;
    }
    if let Some(file) = metadata.file() {
        attribute_str(out, SPAN_ATTRIBUTE, "code.file.path", file);
    }
    if let Some(line) = metadata.line() {
        attribute_int(out, SPAN_ATTRIBUTE, "code.line.number", i64::from(line));
    }
}

/// Where an event of a span comes from.
pub(super) fn encode_origin(out: &mut Vec<u8>, metadata: &Metadata<'_>) {
    attribute_str(out, EVENT_ATTRIBUTE, "level", metadata.level().as_str());
    attribute_str(out, EVENT_ATTRIBUTE, "target", metadata.target());
}

#[cfg(test)]
mod tests {
    use tracing_core::callsite::DefaultCallsite;
    use tracing_core::field::FieldSet;
    use tracing_core::{Kind, Level, identify_callsite};

    use super::*;

    static SITE: DefaultCallsite = DefaultCallsite::new(&METADATA);
    static METADATA: Metadata<'static> = Metadata::new(
        "name",
        "target",
        Level::INFO,
        Some("file.rs"),
        Some(7),
        None,
        FieldSet::new(&[], identify_callsite!(&SITE)),
        Kind::SPAN,
    );

    #[test]
    fn a_layer_of_ours_is_no_place_in_the_application() {
        let of = |module| {
            let fields = FieldSet::new(&[], identify_callsite!(&SITE));
            let (file, line) = (Some("file.rs"), Some(7));
            let kind = Kind::SPAN;
            let metadata =
                Metadata::new("name", "target", Level::INFO, file, line, module, fields, kind);
            let mut location = Vec::new();
            encode_location(&mut location, &metadata);
            !location.is_empty()
        };
        assert!(of(Some("shop::http")) && of(None) && of(Some("trefoil_shop")));
        assert!(!of(Some("trefoil::http::exchange")) && !of(Some("trefoil::sqlx")));
    }

    /// A few callsites in a row, at whatever distance, do not drive each other out.
    #[test]
    fn neighbours_lie_in_different_places() {
        for distance in (8..=512).step_by(8) {
            let mut in_pair = [0; RECENT / 2];
            for n in 0..8 {
                in_pair[place(0x5555_0000 + n * distance) / 2] += 1;
            }
            assert!(in_pair.iter().all(|count| *count < 4), "{distance}: {in_pair:?}");
        }
    }

    #[test]
    fn a_callsite_is_made_once_for_all_threads() {
        let here = Callsite::of(&METADATA).unwrap();
        let there = std::thread::spawn(|| Callsite::of(&METADATA).unwrap()).join().unwrap();
        assert!(std::ptr::eq(here, there) && std::ptr::eq(here, Callsite::of(&METADATA).unwrap()));
        let mut location = Vec::new();
        encode_location(&mut location, &METADATA);
        assert!(!location.is_empty());
        assert_eq!(here.location, location);
        assert_ne!(here.origin, here.location);
    }
}
