//! Shared file mappings: `msync(2)` and coherence with `read(2)` and `write(2)`.

use alloc::vec::Vec;

use bitflags::bitflags;

use crate::advise::checked_range;
use crate::errors::MmError;
use crate::pages::{BackingFile, Pages};
use crate::range::{PAGE_SIZE, PageRange, align_down, is_page_aligned, page_align};
use crate::space::AddressSpace;
use crate::store::After;
use crate::vma::{Vma, VmaFlags};

bitflags! {
    /// The flags of `msync(2)`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct SyncFlags: u64 {
        /// `MS_ASYNC`
        const ASYNC = 1;
        /// `MS_INVALIDATE`
        const INVALIDATE = 2;
        /// `MS_SYNC`
        const SYNC = 4;
    }
}

impl<P: Pages<F>, F: BackingFile> AddressSpace<P, F> {
    /// `msync(2)`. Writes the dirty pages of shared file mappings to their files, with `MS_SYNC`
    /// durably; with `MS_INVALIDATE` they are read again on the next touch. ENOMEM when there are
    /// holes, after the rest was done.
    pub fn msync(&mut self, addr: u64, len: u64, flags: u64) -> Result<(), MmError> {
        let flags = SyncFlags::from_bits(flags).ok_or(MmError::Invalid)?;
        if flags.contains(SyncFlags::ASYNC | SyncFlags::SYNC) || !is_page_aligned(addr) {
            return Err(MmError::Invalid);
        }
        let range = checked_range(addr, len, MmError::NoMemory)?;
        let mut at = range.start();
        let mut holes = false;
        for piece in self.map.pieces(range) {
            holes |= piece.range.start() != at || piece.is_special();
            at = piece.range.end();
            self.sync_piece(&piece, flags)?;
        }
        if holes || at != range.end() { Err(MmError::NoMemory) } else { Ok(()) }
    }

    fn sync_piece(&mut self, piece: &Vma<F>, flags: SyncFlags) -> Result<(), MmError> {
        let invalidate = flags.contains(SyncFlags::INVALIDATE);
        if invalidate && piece.flags.contains(VmaFlags::LOCKED) {
            return Err(MmError::Busy);
        }
        let Some(place) = piece.shared_file() else { return Ok(()) };
        self.store.write_back(piece, piece.range, After::Clean)?;
        if flags.contains(SyncFlags::SYNC) {
            self.store.pages.sync_backing(&place.file)?;
        }
        if invalidate { self.store.discard(piece.range) } else { Ok(()) }
    }

    /// Whether there is any shared file mapping; if not, the `*_file` calls have nothing to do.
    pub fn has_shared_files(&self) -> bool {
        self.map.has_shared_files()
    }

    /// The files behind shared mappings, once for each mapping.
    pub fn shared_files(&self) -> impl Iterator<Item = &F> {
        self.map.shared_files().filter_map(Vma::shared_file).map(|place| &place.file)
    }

    /// Writes back what the program has changed through mappings of `file` within `len` bytes from
    /// `offset`. To be called before anybody reads the file.
    pub fn flush_file(&mut self, file: &F, offset: u64, len: u64) -> Result<(), MmError> {
        let pieces = self.mappings_of(file, offset, len);
        pieces.iter().try_for_each(|vma| self.store.write_back(vma, vma.range, After::Clean))
    }

    /// As [`AddressSpace::flush_file`], and the pages are read again on the next touch. To be called
    /// before the file is written or its size changes.
    pub fn drop_file(&mut self, file: &F, offset: u64, len: u64) -> Result<(), MmError> {
        for vma in self.mappings_of(file, offset, len) {
            self.store.write_back(&vma, vma.range, After::Clean)?;
            self.store.discard(vma.range)?;
        }
        Ok(())
    }

    /// Writes back all shared file mappings, at exit or before `execve`. All are tried; the first
    /// error is returned.
    pub fn flush_all(&mut self) -> Result<(), MmError> {
        let mut result = Ok(());
        let shared: Vec<_> = self.map.shared_files().cloned().collect();
        for vma in shared {
            result = result.and(self.store.write_back(&vma, vma.range, After::Clean));
        }
        result
    }

    /// The parts of shared mappings of `file` that hold any of its bytes `offset..offset+len`.
    fn mappings_of(&self, file: &F, offset: u64, len: u64) -> Vec<Vma<F>> {
        let first = align_down(offset, PAGE_SIZE);
        let end = page_align(offset.saturating_add(len)).unwrap_or(u64::MAX - (PAGE_SIZE - 1));
        let part = |vma: &Vma<F>| {
            let place = vma.shared_file().filter(|place| place.file == *file)?;
            let from = first.saturating_sub(place.offset).min(vma.range.len());
            let to = end.saturating_sub(place.offset).min(vma.range.len());
            let start = vma.range.start();
            let range = PageRange::new(start + from, start + to).filter(|r| !r.is_empty())?;
            Some(vma.cut(range))
        };
        self.map.shared_files().filter_map(part).collect()
    }
}
