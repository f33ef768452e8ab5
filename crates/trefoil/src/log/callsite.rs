//! What never changes about an event's place in the code, encoded once.

use std::sync::OnceLock;

use tracing_core::{Level, Metadata};
use trefoil_wire::otlp::logs::LogRecordWriter;
use trefoil_wire::protobuf::Writer;

use super::record;
use super::subsystem::{self, Subsystems};
use crate::subscriber::is_in_application;

/// Places that are remembered; what more a program has is encoded each time. A power of two.
const PLACES_MAX: usize = 2048;
/// Slots that are looked at for one place.
const PROBES_MAX: usize = 8;

/// A place in the code that logs.
#[derive(Debug)]
pub(super) struct Callsite {
    key: usize,
    /// Severity, event name and code location, as fields of a record.
    pub(super) head: Box<[u8]>,
    /// The attribute `subsystem` that follows from the target.
    pub(super) subsystem: Box<[u8]>,
    pub(super) level: Level,
    /// Whether events of this place may name their subsystem themselves.
    pub(super) names_subsystem: bool,
    /// Whether they may say that they are fatal; their severity is not in `head` then.
    pub(super) may_be_fatal: bool,
}

impl Callsite {
    fn new(metadata: &Metadata<'static>, subsystems: &Subsystems, code_location: bool) -> Callsite {
        let level = *metadata.level();
        let mut w = Writer::new();
        let mut head = LogRecordWriter(&mut w);
        let may_be_fatal = metadata.fields().field(record::FATAL_FIELD).is_some();
        if !may_be_fatal {
            let (number, text) = record::severity(level);
            head.severity(number, text);
        }
        // `tracing` calls events without a name by their place.
        if !metadata.name().starts_with("event ") {
            head.event_name(metadata.name());
        }
        if code_location && is_in_application(metadata) {
            if let Some(file) = metadata.file() {
                head.attribute("code.file.path", |value| value.str(file));
            }
            if let Some(line) = metadata.line() {
                head.attribute("code.line.number", |value| value.int(i64::from(line)));
            }
        }
        let head = w.into_bytes().into();
        let mut w = Writer::new();
        let name = subsystems.of(metadata.target());
        LogRecordWriter(&mut w).attribute(subsystem::FIELD, |value| value.str(&name));
        Callsite {
            key: key(metadata),
            head,
            subsystem: w.into_bytes().into(),
            level,
            names_subsystem: metadata.fields().field(subsystem::FIELD).is_some(),
            may_be_fatal,
        }
    }
}

/// The places seen so far: written once, read without a lock.
#[derive(Debug)]
pub(super) struct Callsites {
    slots: Box<[OnceLock<Callsite>]>,
    /// Whether records say in which file and line they were made.
    pub(super) code_location: bool,
}

impl Callsites {
    pub(super) fn new(code_location: bool) -> Callsites {
        Callsites { slots: (0..PLACES_MAX).map(|_| OnceLock::new()).collect(), code_location }
    }

    pub(super) fn with<T>(
        &self,
        metadata: &Metadata<'static>,
        subsystems: &Subsystems,
        read: impl FnOnce(&Callsite) -> T,
    ) -> T {
        let key = key(metadata);
        // Metadata lie a few machine words apart; multiplied, they spread over all slots.
        let first = (key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PLACES_MAX.ilog2());
        let fresh = || Callsite::new(metadata, subsystems, self.code_location);
        for probe in 0..PROBES_MAX {
            let known = self.slots[(first as usize + probe) % PLACES_MAX].get_or_init(fresh);
            if known.key == key {
                return read(known);
            }
        }
        read(&fresh())
    }
}

fn key(metadata: &Metadata<'static>) -> usize {
    std::ptr::from_ref(metadata).addr()
}
