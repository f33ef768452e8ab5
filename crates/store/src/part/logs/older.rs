//! Blocks as versions before 5 have them.

use std::sync::Arc;

use super::block::{Groups, LogBlock, Older};
use super::pieces::{Details, LogAttributes, LogBodies, LogIds, event_names, observed};
use crate::bytes::Reader;
use crate::columns::{Attributes, ROWS_MAX, Strings, fixed, ints};

/// Reads the first piece of a block of versions before 5.
pub(super) fn block(bytes: Vec<u8>, version: u8) -> Option<LogBlock> {
    let b = &bytes[..];
    let r = &mut Reader::new(b);
    let rows = usize::try_from(r.varint()?).ok().filter(|&rows| rows <= ROWS_MAX)?;
    let (streams, resources, scopes) = (ints(r, rows)?, ints(r, rows)?, ints(r, rows)?);
    let times = ints(r, rows)?;
    let observed = observed(r, &times)?;
    let severities = ints(r, rows)?;
    let severity_texts = Strings::read(b, r, rows)?;
    let mut groups = Groups::default();
    let code = |row: usize| {
        let owner = [streams[row], resources[row], scopes[row]];
        groups.code(owner, severities[row] as u8, severity_texts.text(b, row))
    };
    let codes = (0..rows).map(code).map(|code| u16::try_from(code).ok());
    let codes = codes.collect::<Option<_>>()?;
    let mut older = Older { body_kinds: ints(r, rows)?, ..Older::default() };
    let front = if version == 1 {
        Some((Strings::read(b, r, rows)?, Attributes::read(b, r, rows)?))
    } else {
        None
    };
    let dropped = ints(r, rows)?;
    older.flags = ints(r, rows)?;
    let ids = if version == 1 { Some(ids_of(r, rows)?) } else { None };
    let names = Strings::read(b, r, rows)?;
    older.details = Details { observed, dropped, event_names: event_names(b, &names, rows) };
    let mut keys: Vec<Box<str>> = Vec::new();
    if let Some((_, attributes)) = &front {
        keys.extend(attributes.keys(b).map(Into::into));
    } else {
        for _ in 0..r.count(1)? {
            keys.push(r.str()?.into());
        }
    }
    r.is_empty().then_some(())?;
    if let (Some((bodies, attributes)), Some(ids)) = (front, ids) {
        let attributes = LogAttributes { bytes: bytes.clone(), attributes, details: None };
        let bodies = LogBodies::Strings { bytes, bodies };
        older.pieces = Some((Arc::new(bodies), Arc::new(attributes), Arc::new(ids)));
    }
    Some(LogBlock { times, groups: groups.list, codes, keys, older: Some(Box::new(older)) })
}

/// Reads the bodies of a block of versions 2 to 4.
pub(super) fn bodies(bytes: Vec<u8>, rows: usize) -> Option<LogBodies> {
    let r = &mut Reader::new(&bytes);
    let bodies = Strings::read(&bytes, r, rows)?;
    r.is_empty().then_some(())?;
    Some(LogBodies::Strings { bytes, bodies })
}

/// Reads the ids of a block of versions 2 to 4.
pub(super) fn ids(bytes: &[u8], rows: usize) -> Option<LogIds> {
    let r = &mut Reader::new(bytes);
    let ids = ids_of(r, rows)?;
    r.is_empty().then_some(ids)
}

fn ids_of(r: &mut Reader<'_>, rows: usize) -> Option<LogIds> {
    Some(LogIds { traces: fixed(r, rows)?, spans: fixed(r, rows)?, flags: None })
}
