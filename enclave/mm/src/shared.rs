//! Shared file mappings: `msync(2)`, and coherence with `read(2)` and `write(2)` and with each other.
//!
//! An enclave page has one address, so mappings of one part of a file have pages of their own. A page that
//! one of them may write (a dirty one) is the only one of its part; of others, each mapping may have a copy.
//! Faults keep it so: what another mapping has changed is written to the file before a page is read from
//! there, and the copies of others go before a page may be written.

use alloc::vec::Vec;

use bitflags::bitflags;

use crate::advise::checked_range;
use crate::errors::MmError;
use crate::map::VmaMap;
use crate::pages::{BackingFile, Pages};
use crate::range::{PAGE_SIZE, PageRange, align_down, is_page_aligned, page_align};
use crate::runs::PageSet;
use crate::space::AddressSpace;
use crate::store::Store;
use crate::vma::{Vma, VmaFlags};
use crate::writes::{MOST_IMAGES, Write};

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
        let extent = Extent::new(&place.file, place.offset, piece.range.len());
        flush(&mut self.store, &showing(&self.map, extent))?;
        if flags.contains(SyncFlags::SYNC) {
            self.store.pages.sync_backing(&place.file)?;
        }
        if invalidate { self.store.discard(piece.range) } else { Ok(()) }
    }

    /// Whether there is any shared file mapping; if not, the `*_file` calls have nothing to do.
    pub fn has_shared_files(&self) -> bool {
        self.map.has_shared_files()
    }

    /// Whether shared mappings show one page of a file at both addresses, which are of different pages.
    pub fn are_twins(&self, a: u64, b: u64) -> bool {
        let (a, b) = (PageRange::page_of(a), PageRange::page_of(b));
        let shared =
            |page: PageRange| self.map.find(page.start()).filter(|v| v.shared_file().is_some());
        let (Some(first), Some(second)) = (shared(a), shared(b)) else { return false };
        a != b
            && Extent::of(first, a)
                .and_then(|extent| shown(second, extent))
                .is_some_and(|part| part.overlaps(b))
    }

    /// The lowest address at which the program can read what a shared mapping shows at `addr`.
    pub fn first_twin(&self, addr: u64) -> u64 {
        let page = PageRange::page_of(addr);
        let shared = self.map.find(addr).filter(|vma| vma.shared_file().is_some());
        let Some(extent) = shared.and_then(|vma| Extent::of(vma, page)) else { return addr };
        let readable = self.map.shared_files().filter(|vma| !vma.prot.is_empty());
        let twin = readable.filter_map(|vma| shown(vma, extent)).next();
        twin.map_or(addr, |part| addr.min(part.start() + addr % PAGE_SIZE))
    }

    /// Writes back what the program has changed through mappings of `file` within `len` bytes from
    /// `offset`. To be called before anybody reads the file.
    pub fn flush_file(&mut self, file: &F, offset: u64, len: u64) -> Result<(), MmError> {
        if self.store.dirty.pages() == 0 {
            return Ok(());
        }
        flush(&mut self.store, &showing(&self.map, Extent::new(file, offset, len)))
    }

    /// As [`AddressSpace::flush_file`], and the pages are read again on the next touch.
    pub fn drop_file(&mut self, file: &F, offset: u64, len: u64) -> Result<(), MmError> {
        give_up(&mut self.store, &showing(&self.map, Extent::new(file, offset, len)))
    }

    /// The same for all shared file mappings.
    pub fn drop_all(&mut self) -> Result<(), MmError> {
        let shared: Vec<_> = self.map.shared_files().cloned().collect();
        give_up(&mut self.store, &shared)
    }

    /// `file` has `size` bytes now: of private mappings, the pages behind its end go, as those of shared
    /// ones have before ([`AddressSpace::end_write`]). What the program may have changed stays, unlike in
    /// Linux, where only the host says that it is this file: it could undo changes of another.
    pub fn cut_file(&mut self, file: &F, size: u64) -> Result<(), MmError> {
        let end = page_align(size).unwrap_or(u64::MAX);
        let behind = Extent { file, start: end, end: u64::MAX };
        let mut gone = Vec::new();
        for vma in self.map.iter() {
            let Some(part) = shown(vma, behind) else { continue };
            if vma.file().is_some_and(|place| place.file.is_surely(file)) {
                gone.push(part);
            } else {
                gone.extend(self.store.changed.gaps_in(part));
            }
        }
        gone.into_iter().try_for_each(|part| self.store.discard(part))
    }

    /// Writes back all shared file mappings, at exit or before `execve`. All are tried; the first
    /// error is returned.
    pub fn flush_all(&mut self) -> Result<(), MmError> {
        let mut result = Ok(());
        let shared: Vec<_> = self.map.shared_files().cloned().collect();
        for vma in shared {
            result = result.and(self.store.write_back(&vma, vma.range));
        }
        result
    }
}

/// Commits what is absent of `range`, a part of `vma`, as [`Store::fill_for`] does; of a file, with what
/// was last written through any mapping.
pub(crate) fn fill<P: Pages<F>, F: BackingFile>(
    map: &VmaMap<F>,
    store: &mut Store<P>,
    vma: &Vma<F>,
    range: PageRange,
    awaited: Option<u64>,
) -> Result<(), MmError> {
    if store.dirty.pages() != 0 {
        flush(store, &others(map, &store.dirty, vma, range))?;
    }
    store.fill_for(vma, range, awaited)
}

/// Lets the pages of `range` in the shared file mapping `vma` be written, so that no other mapping shows
/// what was there before.
pub(crate) fn make_dirty<P: Pages<F>, F: BackingFile>(
    map: &VmaMap<F>,
    store: &mut Store<P>,
    writes: &[Write<F>],
    vma: &Vma<F>,
    range: PageRange,
) -> Result<(), MmError> {
    give_up(store, &others(map, &store.committed, vma, range))?;
    let is_written = Extent::of(vma, range)
        .is_some_and(|extent| writes.iter().any(|write| write.extent().overlaps(extent)));
    if is_written && store.images.len() >= MOST_IMAGES {
        let pages: Vec<_> = store.images.keys().copied().collect();
        for page in pages {
            let holder = map.find(page);
            holder.map_or(Ok(()), |vma| store.write_back(vma, PageRange::page_of(page)))?;
        }
    }
    store.make_dirty(vma, range, is_written)
}

/// Writes what was changed through mappings to their files.
fn flush<P: Pages<F>, F>(store: &mut Store<P>, mappings: &[Vma<F>]) -> Result<(), MmError> {
    mappings.iter().try_for_each(|vma| store.write_back(vma, vma.range))
}

/// The same, and drops their pages, but for those that could not be written. All are tried; the first error
/// is returned.
fn give_up<P: Pages<F>, F>(store: &mut Store<P>, mappings: &[Vma<F>]) -> Result<(), MmError> {
    let mut result = Ok(());
    for vma in mappings {
        let written = store.write_back(vma, vma.range);
        let clean: Vec<_> = store.dirty.gaps_in(vma.range).collect();
        let dropped = clean.into_iter().try_for_each(|part| store.discard(part));
        result = result.and(written).and(dropped);
    }
    result
}

/// A part of a file: what it is known by, and where it begins and ends in whole pages.
pub(crate) struct Extent<'a, F> {
    file: &'a F,
    start: u64,
    end: u64,
}

impl<F> Clone for Extent<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Extent<'_, F> {}

impl<'a, F> Extent<'a, F> {
    /// What holds the bytes `offset..offset+len`.
    pub(crate) fn new(file: &'a F, offset: u64, len: u64) -> Self {
        let end = page_align(offset.saturating_add(len)).unwrap_or(u64::MAX - (PAGE_SIZE - 1));
        Self { file, start: align_down(offset, PAGE_SIZE), end }
    }

    /// What `vma` shows in `range`, if it is a file's.
    fn of(vma: &'a Vma<F>, range: PageRange) -> Option<Self> {
        Some(Self::new(&vma.file()?.file, vma.offset_at(range.start()), range.len()))
    }

    /// Whether both have a page of a file in common.
    fn overlaps(self, other: Self) -> bool
    where
        F: BackingFile,
    {
        self.start < other.end && other.start < self.end && self.file.is_same(other.file)
    }
}

/// Where the mapping `vma` shows a part of `extent`.
fn shown<F: BackingFile>(vma: &Vma<F>, extent: Extent<'_, F>) -> Option<PageRange> {
    let place = vma.file()?;
    let from = extent.start.saturating_sub(place.offset).min(vma.range.len());
    let to = extent.end.saturating_sub(place.offset).min(vma.range.len());
    let start = vma.range.start();
    let range = PageRange::new(start + from, start + to).filter(|range| !range.is_empty())?;
    place.file.is_same(extent.file).then_some(range)
}

/// The parts of shared mappings that show any of `extent`.
fn showing<F: BackingFile>(map: &VmaMap<F>, extent: Extent<'_, F>) -> Vec<Vma<F>> {
    map.shared_files().filter_map(|vma| Some(vma.cut(shown(vma, extent)?))).collect()
}

/// The parts of other mappings that show what `vma` shows in `range`, as far as they have pages of `set`;
/// all are shared.
fn others<F: BackingFile>(
    map: &VmaMap<F>,
    set: &PageSet,
    vma: &Vma<F>,
    range: PageRange,
) -> Vec<Vma<F>> {
    let Some(extent) = Extent::of(vma, range) else { return Vec::new() };
    let part = |vma: &Vma<F>| {
        vma.shared_file()?;
        let part = shown(vma, extent).filter(|part| !part.overlaps(range))?;
        set.runs_in(part).next().map(|_| vma.cut(part))
    };
    // Whichever are fewer: a page may be mapped very often, or very many be dirty.
    if set.runs() < map.shared_count() {
        let holders = set.all().flat_map(|run| map.overlapping(run));
        return holders.filter_map(part).collect();
    }
    map.shared_files().filter_map(part).collect()
}
