//! The list of what the store consists of. Replacing it is the one step that makes a
//! flush or a merge happen.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::bytes::{Reader, put_bytes, put_signed, put_varint};
use crate::deletion::Pending;
use crate::error::{Error, Failure, Result};
use crate::model::Metadata;
use crate::part::{PartInfo, Signal};
use crate::row;
use crate::vfs::{Vfs, read_all};

/// The last byte is the version of the format.
const MAGIC: &[u8; 8] = b"TRFMANI\x02";
/// Without deletions and without what is thinned.
const VERSION_1: u8 = 1;
const NAME: &str = "manifest";
const NAME_NEW: &str = "manifest.new";
const BYTES_MAX: u64 = 256 << 20;

/// What is durable, apart from the WAL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Parts hold every append up to this one; replay begins after it.
    pub(crate) flushed: u64,
    /// Ids below this were given to parts.
    pub(crate) next_part: u64,
    pub(crate) parts: Vec<PartInfo>,
    pub(crate) families: BTreeMap<String, Metadata>,
    /// Decided and not done yet.
    pub(crate) deletions: Vec<Pending>,
}

impl Manifest {
    /// Reads the manifest; `None` if there is none.
    pub(crate) fn load(vfs: &dyn Vfs, dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(NAME);
        let bytes = match read_all(vfs, &path, BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &path, e)),
        };
        let corrupt = |why: &str| Error::Corrupt { path: path.clone(), why: why.to_owned() };
        let Some((body, checksum)) = bytes.split_last_chunk::<8>() else {
            return Err(corrupt("it is cut off"));
        };
        if xxh3_64(body).to_le_bytes() != *checksum {
            return Err(corrupt("its checksum does not hold"));
        }
        let Some((magic, body)) = body.split_first_chunk::<8>() else {
            return Err(corrupt("it is cut off"));
        };
        if magic[..7] != MAGIC[..7] {
            return Err(corrupt("it does not begin as a manifest does"));
        }
        if magic[7] != MAGIC[7] && magic[7] != VERSION_1 {
            return Err(Error::unknown_version(&path, u32::from(magic[7]), u32::from(MAGIC[7])));
        }
        Manifest::decode(body, magic[7]).map(Some).ok_or_else(|| corrupt("it is malformed"))
    }

    /// Replaces the manifest; durable when this returns. [`Failure::Refused`] means that
    /// the old one is still there: the disk was full, say. Once the new one may have taken
    /// its name, or a sync has failed, nothing is certain.
    pub(crate) fn save(&self, vfs: &dyn Vfs, dir: &Path) -> std::result::Result<(), Failure> {
        let new = dir.join(NAME_NEW);
        let mut bytes = MAGIC.to_vec();
        self.encode(&mut bytes);
        bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
        let refused = |doing, e| {
            let _ = vfs.remove(&new);
            Failure::Refused(Error::io(doing, &new, e))
        };
        let mut file = vfs.create(&new).map_err(|e| refused("create", e))?;
        file.append(&bytes).map_err(|e| refused("write", e))?;
        file.sync().map_err(|e| Failure::Lost(Error::io("sync", &new, e)))?;
        vfs.rename(&new, &dir.join(NAME))
            .map_err(|e| Failure::Lost(Error::io("rename", &new, e)))?;
        vfs.sync_dir(dir).map_err(|e| Failure::Lost(Error::io("sync", dir, e)))
    }

    /// Whether a name in the store's directory is a left-over of [`save`](Self::save).
    pub(crate) fn is_left_over(name: &str) -> bool {
        name == NAME_NEW
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.flushed);
        put_varint(out, self.next_part);
        put_varint(out, self.parts.len() as u64);
        for part in &self.parts {
            out.push(part.signal as u8);
            put_varint(out, part.id);
            put_signed(out, i64::from(part.day));
            put_varint(out, part.first_number);
            put_varint(out, part.last_number);
            put_varint(out, part.rows);
            put_varint(out, part.bytes);
            put_signed(out, part.min_ns);
            put_signed(out, part.max_ns);
            out.push(u8::from(part.thinned));
        }
        put_varint(out, self.families.len() as u64);
        for (name, known) in &self.families {
            put_bytes(out, name.as_bytes());
            out.push(known.kind as u8);
            put_bytes(out, known.unit.as_bytes());
            put_bytes(out, known.help.as_bytes());
        }
        put_varint(out, self.deletions.len() as u64);
        self.deletions.iter().for_each(|pending| pending.put(out));
    }

    fn decode(body: &[u8], version: u8) -> Option<Self> {
        let mut r = Reader::new(body);
        let mut manifest =
            Manifest { flushed: r.varint()?, next_part: r.varint()?, ..Manifest::default() };
        for _ in 0..r.count(9)? {
            manifest.parts.push(PartInfo {
                signal: Signal::from_code(r.u8()?)?,
                id: r.varint()?,
                day: i32::try_from(r.signed()?).ok()?,
                first_number: r.varint()?,
                last_number: r.varint()?,
                rows: r.varint()?,
                bytes: r.varint()?,
                min_ns: r.signed()?,
                max_ns: r.signed()?,
                thinned: version > VERSION_1 && r.u8()? != 0,
            });
        }
        for _ in 0..r.count(4)? {
            let name = r.str()?.to_owned();
            let kind = row::metric_kind(r.u8()?)?;
            let known = Metadata { kind, unit: r.str()?.to_owned(), help: r.str()?.to_owned() };
            manifest.families.insert(name, known);
        }
        if version > VERSION_1 {
            for _ in 0..r.count(4)? {
                manifest.deletions.push(Pending::read(&mut r)?);
            }
        }
        r.is_empty().then_some(manifest)
    }
}
