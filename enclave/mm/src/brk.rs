//! `brk(2)`.

use crate::errors::MmError;
use crate::pages::{BackingFile, Pages};
use crate::range::{PAGE_SIZE, PageRange, page_align};
use crate::space::AddressSpace;
use crate::vma::{Prot, Vma, VmaFlags, VmaKind};

/// The heap: `start <= end`, neither needs to be page-aligned.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Heap {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl<P: Pages<F>, F: BackingFile> AddressSpace<P, F> {
    /// Where the heap begins: behind the program, at a random distance that the caller chooses.
    pub const fn set_brk_start(&mut self, addr: u64) {
        self.heap = Heap { start: addr, end: addr };
    }

    /// First and last break, for `/proc/self/stat` and `prctl(PR_SET_MM)`.
    pub const fn brk_bounds(&self) -> (u64, u64) {
        (self.heap.start, self.heap.end)
    }

    /// `brk(2)`: the new break, or the old one when it cannot be moved there.
    pub fn brk(&mut self, addr: u64) -> u64 {
        if addr >= self.heap.start && self.move_break(addr).is_ok() {
            self.heap.end = addr;
        }
        self.heap.end
    }

    fn move_break(&mut self, addr: u64) -> Result<(), MmError> {
        if addr - self.heap.start > self.limits.data {
            return Err(MmError::NoMemory);
        }
        let old = page_align(self.heap.end).ok_or(MmError::NoMemory)?;
        let new = page_align(addr).ok_or(MmError::NoMemory)?;
        if new < old {
            return self.unmap(PageRange::of(new, old));
        }
        if new == old { Ok(()) } else { self.grow_heap(PageRange::of(old, new)) }
    }

    fn grow_heap(&mut self, range: PageRange) -> Result<(), MmError> {
        let area = self.layout.area;
        // As in Linux, one page stays free behind it.
        let with_guard = PageRange::of(range.start(), range.end().min(area.end()) + PAGE_SIZE);
        let fits = area.covers(range)
            && self.map.gaps().is_free(with_guard.intersect(area))
            && range.len() <= self.limits.committed;
        if !fits || self.map.is_full() {
            return Err(MmError::NoMemory);
        }
        self.check_limits(true, range.pages(), 0)?;
        let flags = if self.lock_future { VmaFlags::LOCKED } else { VmaFlags::empty() };
        self.insert(Vma { range, prot: Prot::RW, may: Prot::all(), flags, kind: VmaKind::Heap });
        self.populate_eagerly(range);
        Ok(())
    }
}
