//! Pages: what is small in each block and read of many at once lies together.

use crate::bytes::{Reader, put_varint};
use crate::error::Result;
use crate::part::{BlockRef, PartWriter};

/// A page is closed at this many bytes.
const PAGE_BYTES: usize = 64 << 10;
/// The fewest bytes of a reference.
const REFERENCE_MIN: usize = 11;

/// Where something is in a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PagePlace {
    /// The page, by its place.
    pub(crate) page: u32,
    /// Where it begins there and how long it is, in bytes.
    at: u32,
    len: u32,
}

impl PagePlace {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// It, out of its page.
    pub(crate) fn of<'a>(&self, page: &'a [u8]) -> Option<&'a [u8]> {
        page.get(self.at as usize..self.at as usize + self.len as usize)
    }

    /// Appends it; the length is counted in such units.
    pub(super) fn put(&self, unit: u32, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.page));
        put_varint(out, u64::from(self.len / unit));
    }

    /// Each begins where the one before in its page ends; one that is empty may be of a page
    /// that is not there.
    pub(super) fn read(
        r: &mut Reader<'_>,
        unit: u32,
        before: Option<PagePlace>,
        pages: &[BlockRef],
    ) -> Option<Self> {
        let (page, units) = (r.varint32()?, r.varint32()?);
        let before = before.filter(|before| before.page == page);
        let at = before.map_or(0, |before| before.at + before.len);
        let len = units.checked_mul(unit)?;
        let end = u64::from(at) + u64::from(len);
        let page_len = pages.get(page as usize).map_or(0, BlockRef::raw_len);
        (end <= page_len).then_some(PagePlace { page, at, len })
    }
}

/// Writes pages of one kind.
#[derive(Debug)]
pub(super) struct PagesWriter {
    compresses: bool,
    /// The page to come, and those that are written.
    page: Vec<u8>,
    pages: Vec<BlockRef>,
}

impl PagesWriter {
    pub(super) fn new(compresses: bool) -> Self {
        PagesWriter { compresses, page: Vec::new(), pages: Vec::new() }
    }

    pub(super) fn add(&mut self, part: &mut PartWriter, bytes: &[u8]) -> Result<PagePlace> {
        if self.page.len() >= PAGE_BYTES {
            self.end_page(part)?;
        }
        let (page, at) = (self.pages.len() as u32, self.page.len() as u32);
        self.page.extend_from_slice(bytes);
        Ok(PagePlace { page, at, len: bytes.len() as u32 })
    }

    /// Writes the last page.
    pub(super) fn end_page(&mut self, part: &mut PartWriter) -> Result<()> {
        if !self.page.is_empty() {
            self.pages.push(match self.compresses {
                true => part.block(&self.page)?,
                false => part.raw_block(&self.page)?,
            });
            self.page.clear();
        }
        Ok(())
    }

    /// Appends where the pages are.
    pub(super) fn put(&self, footer: &mut Vec<u8>) {
        put_varint(footer, self.pages.len() as u64);
        self.pages.iter().for_each(|page| page.put(footer));
    }
}

/// Reads where pages are.
pub(super) fn read_pages(r: &mut Reader<'_>) -> Option<Vec<BlockRef>> {
    (0..r.count(REFERENCE_MIN)?).map(|_| BlockRef::read(r)).collect()
}
