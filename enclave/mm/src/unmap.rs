//! `munmap(2)`.

use crate::errors::MmError;
use crate::pages::{BackingFile, Pages};
use crate::range::{PageRange, is_page_aligned, page_align};
use crate::space::AddressSpace;

impl<P: Pages<F>, F: BackingFile> AddressSpace<P, F> {
    /// `munmap(2)`. Shared file mappings are written back; errors of that are lost, as in Linux.
    pub fn munmap(&mut self, addr: u64, len: u64) -> Result<(), MmError> {
        let area = self.layout.area;
        let fits = area.end().checked_sub(len).is_some_and(|last| addr <= last);
        if !is_page_aligned(addr) || len == 0 || !fits {
            return Err(MmError::Invalid);
        }
        let len = page_align(len).ok_or(MmError::Invalid)?;
        self.unmap(PageRange::from_len(addr, len).ok_or(MmError::Invalid)?)
    }

    /// Removes what the program has mapped in `range`.
    pub(crate) fn unmap(&mut self, range: PageRange) -> Result<(), MmError> {
        if !self.map.can_remove(range) {
            return Err(MmError::NoMemory);
        }
        self.map.isolate(range);
        let result = self.unmap_isolated(range);
        self.map.merge(range);
        result
    }

    fn unmap_isolated(&mut self, range: PageRange) -> Result<(), MmError> {
        for vma in self.map.pieces(range) {
            if vma.is_special() {
                continue;
            }
            // Nobody is left to be told; fsync and msync would have.
            let _ = self.store.write_back(&vma, vma.range);
            self.store.discard(vma.range)?;
            self.map.remove(vma.range.start());
        }
        Ok(())
    }
}
