//! Resources and scopes of a part: numbered in the footer, named by rows.

use std::sync::Arc;

use crate::bytes::{Reader, put_bytes, put_varint};
use crate::intern::Interner;
use crate::model::{Resource, Scope};
use crate::row;

/// Who emitted a row, in both forms: encoded to be written, decoded to be handed out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    pub(crate) resource: &'a [u8],
    pub(crate) scope: &'a [u8],
}

/// Numbers the owners of rows while a part is written.
#[derive(Debug, Default)]
pub(crate) struct OwnersWriter {
    resources: Interner,
    scopes: Interner,
}

impl OwnersWriter {
    pub(crate) fn insert(&mut self, owner: Owner<'_>) -> (u32, u32) {
        (self.resources.insert(owner.resource).0, self.scopes.insert(owner.scope).0)
    }

    /// The number of a resource whose rows are only counted.
    pub(crate) fn resource(&mut self, resource: &[u8]) -> u32 {
        self.resources.insert(resource).0
    }

    pub(crate) fn finish(&self, out: &mut Vec<u8>) {
        for table in [&self.resources, &self.scopes] {
            put_varint(out, table.len() as u64);
            for entry in table.iter() {
                put_bytes(out, entry);
            }
        }
    }
}

/// The owners of a part's rows.
#[derive(Debug)]
pub(crate) struct Owners {
    /// Decoded and encoded.
    resources: Vec<(Arc<Resource<'static>>, Box<[u8]>)>,
    scopes: Vec<(Arc<Scope<'static>>, Box<[u8]>)>,
}

impl Owners {
    pub(crate) fn read(r: &mut Reader<'_>) -> Option<Self> {
        let mut resources = Vec::new();
        for _ in 0..r.count(1)? {
            let bytes = r.bytes()?;
            let resource = row::resource(&mut Reader::new(bytes))?.into_owned();
            resources.push((Arc::new(resource), Box::from(bytes)));
        }
        let mut scopes = Vec::new();
        for _ in 0..r.count(1)? {
            let bytes = r.bytes()?;
            let scope = row::scope(&mut Reader::new(bytes))?.into_owned();
            scopes.push((Arc::new(scope), Box::from(bytes)));
        }
        Some(Owners { resources, scopes })
    }

    pub(crate) fn resource(&self, index: u64) -> Option<&Arc<Resource<'static>>> {
        self.resources.get(usize::try_from(index).ok()?).map(|(decoded, _)| decoded)
    }

    /// For each resource whether it satisfies a condition.
    pub(crate) fn matching(&self, condition: impl Fn(&Resource<'static>) -> bool) -> Vec<bool> {
        self.resources.iter().map(|(decoded, _)| condition(decoded)).collect()
    }

    pub(crate) fn scope(&self, index: u64) -> Option<&Arc<Scope<'static>>> {
        self.scopes.get(usize::try_from(index).ok()?).map(|(decoded, _)| decoded)
    }

    /// A resource in the form a writer takes.
    pub(crate) fn encoded_resource(&self, resource: u64) -> Option<&[u8]> {
        self.resources.get(usize::try_from(resource).ok()?).map(|(_, encoded)| &**encoded)
    }

    /// Both in the form a writer takes.
    pub(crate) fn encoded(&self, resource: u64, scope: u64) -> Option<Owner<'_>> {
        let resource = &self.resources.get(usize::try_from(resource).ok()?)?.1;
        Some(Owner { resource, scope: &self.scopes.get(usize::try_from(scope).ok()?)?.1 })
    }
}
