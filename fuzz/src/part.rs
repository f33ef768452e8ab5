//! A part file taken to pieces, so that one can be changed and all checksums still hold.

use xxhash_rust::xxh3::xxh3_64;

/// Bytes at the end of a part: where the footer is.
const TRAILER: usize = 40;

/// The pieces of a part file.
#[derive(Clone)]
pub struct Part {
    blocks: Vec<Block>,
    footer: Vec<u8>,
}

#[derive(Clone)]
struct Block {
    raw: Vec<u8>,
    /// Where in the footer the reference to the block lies.
    reference: std::ops::Range<usize>,
}

impl Part {
    /// Takes a file to pieces; `None` if it is not a part.
    ///
    /// References are found by what they say: an offset, two lengths, and the checksum of
    /// exactly the bytes there. Nothing else in a footer looks like that.
    #[must_use]
    pub fn parse(file: &[u8]) -> Option<Self> {
        let trailer = &file[file.len().checked_sub(TRAILER)?..];
        let number =
            |at: usize| u64::from_le_bytes(trailer[at..at + 8].try_into().unwrap_or([0; 8]));
        let (at, stored, raw) = (number(0) as usize, number(8) as usize, number(16) as usize);
        let footer = zstd::bulk::decompress(file.get(at..at + stored)?, raw).ok()?;
        let mut blocks = Vec::new();
        let mut place = 0;
        while place < footer.len() {
            match reference(&footer[place..], &file[..at]) {
                Some((length, raw)) => {
                    blocks.push(Block { raw, reference: place..place + length });
                    place += length;
                }
                None => place += 1,
            }
        }
        (!blocks.is_empty()).then_some(Part { blocks, footer })
    }

    /// Number of pieces: the blocks and the footer.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.blocks.len() + 1
    }

    /// Changes a piece: each three bytes of `edits` are a place (two bytes) and a value;
    /// what is left over cuts the piece short.
    pub fn edit(&mut self, piece: usize, edits: &[u8]) {
        let bytes = match self.blocks.get_mut(piece) {
            Some(block) => &mut block.raw,
            None => &mut self.footer,
        };
        let (edits, rest) = edits.as_chunks::<3>();
        for &[high, low, value] in edits {
            let place = usize::from(u16::from_be_bytes([high, low]));
            if let Some(byte) = bytes.get_mut(place) {
                *byte = value;
            }
        }
        // A footer keeps its length, for the places of the references in it.
        if piece < self.blocks.len()
            && let Some(&cut) = rest.first()
        {
            let length = self.blocks[piece].raw.len();
            self.blocks[piece].raw.truncate(length.saturating_sub(usize::from(cut)));
        }
    }

    /// Puts the pieces together again. Blocks are stored as they are.
    #[must_use]
    pub fn file(&self, footer_was_edited: bool) -> Vec<u8> {
        let mut out = b"TRFPART\x01".to_vec();
        let mut footer = Vec::new();
        let mut done = 0;
        for block in &self.blocks {
            footer.extend_from_slice(&self.footer[done..block.reference.start]);
            done = block.reference.end;
            // What the fuzzer wrote over a reference shall stay.
            let kept = &self.footer[block.reference.clone()];
            let mut fresh = Vec::new();
            put_varint(&mut fresh, out.len() as u64);
            put_varint(&mut fresh, block.raw.len() as u64);
            put_varint(&mut fresh, block.raw.len() as u64);
            fresh.extend_from_slice(&xxh3_64(&block.raw).to_le_bytes());
            let overwritten = footer_was_edited && varint(kept).is_none_or(|(n, _)| n > 1 << 20);
            footer.extend_from_slice(if overwritten { kept } else { &fresh });
            out.extend_from_slice(&block.raw);
        }
        footer.extend_from_slice(&self.footer[done..]);
        let packed = zstd::bulk::compress(&footer, 1).expect("memory is there");
        let mut trailer = (out.len() as u64).to_le_bytes().to_vec();
        trailer.extend_from_slice(&(packed.len() as u64).to_le_bytes());
        trailer.extend_from_slice(&(footer.len() as u64).to_le_bytes());
        trailer.extend_from_slice(&xxh3_64(&packed).to_le_bytes());
        trailer.extend_from_slice(&xxh3_64(&trailer).to_le_bytes());
        out.extend_from_slice(&packed);
        out.extend_from_slice(&trailer);
        out
    }
}

/// The reference that a footer has here: its length, and the block decompressed.
fn reference(footer: &[u8], file: &[u8]) -> Option<(usize, Vec<u8>)> {
    let (offset, a) = varint(footer)?;
    let (stored, b) = varint(footer.get(a..)?)?;
    let (raw, c) = varint(footer.get(a + b..)?)?;
    let length = a + b + c + 8;
    let checksum = u64::from_le_bytes(footer.get(length - 8..length)?.try_into().ok()?);
    let end = offset.checked_add(stored)?;
    let bytes = file.get(usize::try_from(offset).ok()?..usize::try_from(end).ok()?)?;
    if stored == 0 || xxh3_64(bytes) != checksum {
        return None;
    }
    let raw = match raw == stored {
        true => bytes.to_vec(),
        false => zstd::bulk::decompress(bytes, usize::try_from(raw).ok()?).ok()?,
    };
    Some((length, raw))
}

fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Some((value, i + 1));
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
