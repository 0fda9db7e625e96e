//! What the runtime itself maps: stack, vDSO, trampolines.

use crate::errors::MmError;
use crate::gaps::Want;
use crate::pages::{BackingFile, Pages};
use crate::range::{PAGE_SIZE, PageRange, page_align};
use crate::space::AddressSpace;
use crate::vma::{Prot, Vma, VmaFlags, VmaKind};

impl<P: Pages<F>, F: BackingFile> AddressSpace<P, F> {
    /// Maps the free `range` for the runtime: EEXIST when it is not free. All kinds but
    /// [`VmaKind::Stack`] are committed at once (unless `prot` is empty).
    pub fn map_runtime(
        &mut self,
        range: PageRange,
        prot: Prot,
        kind: VmaKind<F>,
    ) -> Result<(), MmError> {
        if range.is_empty() || !self.layout.area.covers(range) {
            return Err(MmError::Invalid);
        }
        if !self.map.gaps().is_free(range) {
            return Err(MmError::Exists);
        }
        if self.map.is_full() {
            return Err(MmError::NoMemory);
        }
        let lazy = prot.is_empty() || matches!(kind, VmaKind::Stack);
        let vma = Vma { range, prot, may: Prot::all(), flags: VmaFlags::empty(), kind };
        if !lazy {
            self.store.fill(&vma, range).or_else(|error| {
                self.store.discard(range)?;
                Err(error)
            })?;
        }
        self.insert(vma);
        Ok(())
    }

    /// Changes the protection of a range of [`VmaKind::Special`]. EINVAL when it is anything else.
    pub fn protect_runtime(&mut self, range: PageRange, prot: Prot) -> Result<(), MmError> {
        let piece = self.special(range)?;
        self.protect_piece(&piece, prot)
    }

    /// Removes a range of [`VmaKind::Special`]. EINVAL when it is anything else.
    pub fn unmap_runtime(&mut self, range: PageRange) -> Result<(), MmError> {
        self.special(range)?;
        if !self.map.can_remove(range) {
            return Err(MmError::NoMemory);
        }
        self.map.isolate(range);
        self.store.discard(range)?;
        self.map.remove(range.start());
        Ok(())
    }

    fn special(&self, range: PageRange) -> Result<Vma<F>, MmError> {
        let vma = self.map.find(range.start()).filter(|vma| vma.is_special());
        let vma = vma.filter(|vma| vma.range.covers(range) && !range.is_empty());
        vma.map(|vma| vma.cut(range)).ok_or(MmError::Invalid)
    }

    /// The free place of `len` bytes (rounded up to pages) nearest to `addr` that lies wholly
    /// within `reach` bytes of it on either side, out of the way of the heap. Nothing is mapped.
    pub fn find_free_near(&self, addr: u64, len: u64, reach: u64) -> Option<u64> {
        let len = page_align(len).filter(|&len| len != 0)?;
        let area = self.layout.area;
        let low = page_align(addr.saturating_sub(reach))?.max(area.start());
        let high = addr.saturating_add(reach).min(area.end());
        let heap_end = self.heap.end.saturating_add(self.policy.brk_reserve).min(area.end());
        let heap_start = page_align(self.heap.start)?.min(area.end());
        let keep_out = if self.heap.start == 0 {
            PageRange::of(area.end(), area.end())
        } else {
            PageRange::of(heap_start, page_align(heap_end)?.max(heap_start))
        };
        let want = Want { len, align: PAGE_SIZE, low, high };
        self.map.gaps().find_near(addr, want, keep_out)
    }
}
