//! `mremap(2)`.

use bitflags::bitflags;

use crate::errors::MmError;
use crate::pages::{BackingFile, Pages};
use crate::range::{PAGE_SIZE, PageRange, is_page_aligned, page_align};
use crate::space::AddressSpace;
use crate::vma::{Prot, Vma, VmaFlags, VmaKind};

bitflags! {
    /// The flags of `mremap(2)`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct RemapFlags: u64 {
        /// `MREMAP_MAYMOVE`
        const MAY_MOVE = 1;
        /// `MREMAP_FIXED`
        const FIXED = 2;
        /// `MREMAP_DONTUNMAP`
        const DONT_UNMAP = 4;
    }
}

/// The checked arguments; lengths are whole pages.
#[derive(Clone, Copy)]
struct Remap {
    old: u64,
    old_len: u64,
    new_len: u64,
    flags: RemapFlags,
}

impl Remap {
    fn new(old: u64, old_len: u64, new_len: u64, flags: u64) -> Result<Self, MmError> {
        let flags = RemapFlags::from_bits(flags).ok_or(MmError::Invalid)?;
        let old_len = page_align(old_len).ok_or(MmError::Invalid)?;
        let new_len = page_align(new_len).ok_or(MmError::Invalid)?;
        let moves = flags.contains(RemapFlags::MAY_MOVE);
        let wrong = (flags.contains(RemapFlags::FIXED) && !moves)
            || (flags.contains(RemapFlags::DONT_UNMAP) && (!moves || old_len != new_len))
            || !is_page_aligned(old)
            || new_len == 0;
        if wrong { Err(MmError::Invalid) } else { Ok(Self { old, old_len, new_len, flags }) }
    }

    fn old_range(self) -> Result<PageRange, MmError> {
        PageRange::from_len(self.old, self.old_len).ok_or(MmError::Fault)
    }
}

impl<P: Pages<F>, F: BackingFile> AddressSpace<P, F> {
    /// `mremap(2)`. Returns the address.
    ///
    /// Committed pages are copied and then given back, in steps. An `old_len` of 0, a second mapping of
    /// the same pages, works for shared file mappings; shared anonymous memory gives EINVAL, there and
    /// with `MREMAP_DONTUNMAP`, since pages cannot be aliased.
    pub fn mremap(
        &mut self,
        old: u64,
        old_len: u64,
        new_len: u64,
        flags: u64,
        new: u64,
    ) -> Result<u64, MmError> {
        let remap = Remap::new(old, old_len, new_len, flags)?;
        if self.map.find(old).is_none_or(Vma::is_special) {
            return Err(MmError::Fault);
        }
        if remap.flags.contains(RemapFlags::FIXED) {
            return self.remap_fixed(remap, new);
        }
        if remap.flags.contains(RemapFlags::DONT_UNMAP) {
            let vma = self.source(remap)?;
            let place = self.place_to_grow(remap.new_len)?;
            return self.move_to(remap, vma, place);
        }
        if remap.old_len >= remap.new_len {
            return self.shrink(remap);
        }
        let vma = self.source(remap)?;
        if self.grow_in_place(remap)? {
            return Ok(old);
        }
        if !remap.flags.contains(RemapFlags::MAY_MOVE) {
            return Err(MmError::NoMemory);
        }
        let place = self.place_to_grow(remap.new_len)?;
        self.move_to(remap, vma, place)
    }

    fn shrink(&mut self, remap: Remap) -> Result<u64, MmError> {
        let range = remap.old_range().map_err(|_| MmError::Invalid)?;
        let tail = PageRange::of(remap.old + remap.new_len, range.end());
        if !tail.is_empty() {
            self.unmap(tail)?;
        }
        Ok(remap.old)
    }

    /// The one mapping that holds the old range, cut to it (to its start, for an old length of 0).
    fn source(&self, remap: Remap) -> Result<Vma<F>, MmError> {
        let vma = self.map.find(remap.old).ok_or(MmError::Fault)?;
        if remap.old_len == 0 && vma.shared_file().is_none() {
            return Err(MmError::Invalid);
        }
        let keeps = remap.flags.contains(RemapFlags::DONT_UNMAP);
        if keeps && matches!(vma.kind, VmaKind::AnonShared) {
            return Err(MmError::Invalid);
        }
        let range = remap.old_range()?;
        if !vma.range.covers(range) {
            return Err(MmError::Fault);
        }
        if vma.offset_at(remap.old).checked_add(remap.new_len).is_none() {
            return Err(MmError::Invalid);
        }
        let more = if keeps { remap.new_len } else { remap.new_len.saturating_sub(remap.old_len) };
        let counted = vma.prot.contains(Prot::WRITE) && !vma.flags.contains(VmaFlags::NO_RESERVE);
        if counted && more > self.limits.committed {
            return Err(MmError::NoMemory);
        }
        self.check_limits(vma.is_data(), more / PAGE_SIZE, 0)?;
        Ok(vma.cut(range))
    }

    fn grow_in_place(&mut self, remap: Remap) -> Result<bool, MmError> {
        let old = remap.old_range()?;
        let Some(grown) = PageRange::from_len(remap.old, remap.new_len) else { return Ok(false) };
        let more = PageRange::of(old.end(), grown.end());
        let ends_here = remap.old_len != 0
            && self.map.find(remap.old).is_some_and(|v| v.range.end() == old.end());
        if !ends_here || !self.layout.area.covers(grown) || !self.map.gaps().is_free(more) {
            return Ok(false);
        }
        self.map.extend(more);
        self.peak_mapped = self.peak_mapped.max(self.map.pages());
        self.populate_grown(more);
        Ok(true)
    }

    fn populate_grown(&mut self, more: PageRange) {
        if self.map.find(more.start()).is_some_and(|vma| vma.flags.contains(VmaFlags::LOCKED)) {
            // As in Linux, `mremap` does not fail for it.
            let _ = self.populate(more);
        } else {
            self.populate_eagerly(more);
        }
    }

    fn remap_fixed(&mut self, mut remap: Remap, new: u64) -> Result<u64, MmError> {
        let end = self.layout.area.end();
        let fits = end.checked_sub(remap.new_len).is_some_and(|last| new <= last);
        if !is_page_aligned(new) || !fits {
            return Err(MmError::Invalid);
        }
        let place = self.fixed_place(new, remap.new_len)?;
        let old = remap.old_range()?;
        if old.overlaps(place) || place.contains(remap.old) && remap.old_len == 0 {
            return Err(MmError::Invalid);
        }
        if self.map.overlapping(place).any(Vma::is_special) {
            return Err(MmError::NoMemory);
        }
        self.unmap(place)?;
        if remap.old_len > remap.new_len {
            self.shrink(remap)?;
            remap.old_len = remap.new_len;
        }
        let vma = self.source(remap)?;
        self.move_to(remap, vma, place)
    }

    /// Moves `vma` (the old range) to the free `place` and removes or empties the old one.
    fn move_to(&mut self, remap: Remap, vma: Vma<F>, place: PageRange) -> Result<u64, MmError> {
        let keeps = remap.flags.contains(RemapFlags::DONT_UNMAP);
        // At most one mapping more, and two more by the splits of the old one.
        if self.map.is_full() || !self.map.can_isolate(vma.range) {
            return Err(MmError::NoMemory);
        }
        if vma.shared_file().is_some() {
            self.store.write_back(&vma, vma.range)?;
            self.store.discard(vma.range)?;
        } else {
            self.store.relocate(&vma, vma.range, place.start())?;
        }
        let locked = VmaFlags::LOCKED;
        if keeps {
            self.map.change(vma.range, |old| old.flags -= locked)?;
        } else if !vma.range.is_empty() {
            self.unmap(vma.range)?;
        }
        let kind = match vma.kind {
            VmaKind::Heap | VmaKind::Stack | VmaKind::Vdso => VmaKind::Anon,
            kind => kind,
        };
        self.insert(Vma { range: place, kind, ..vma });
        let more = PageRange::of(place.start() + remap.old_len, place.end());
        if !more.is_empty() {
            self.populate_grown(more);
        }
        Ok(place.start())
    }
}
