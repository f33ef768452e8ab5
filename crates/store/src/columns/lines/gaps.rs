//! What stands in the gaps of templates.

use super::outline::Outline;
use super::slot::Slot;
use crate::bytes::Reader;

/// What stands in each gap of each template.
#[derive(Debug)]
pub(super) struct Gaps(Vec<Vec<Slot>>);

impl Gaps {
    /// Reads it; `t` and `p` stand where it begins in both buffers.
    pub(super) fn read(
        outline: &Outline,
        text: &[u8],
        t: &mut Reader<'_>,
        p: &mut Reader<'_>,
    ) -> Option<Self> {
        let mut slots = Vec::with_capacity(outline.templates.len());
        for template in &outline.templates {
            let of_gap = |_| Slot::read(text, t, p, template.lines);
            slots.push((0..template.gaps()).map(of_gap).collect::<Option<_>>()?);
        }
        Some(Gaps(slots))
    }

    pub(super) fn of_template(&self, number: usize) -> &[Slot] {
        self.0.get(number).map_or(&[], Vec::as_slice)
    }
}
