//! `madvise(2)`, `mincore(2)`, `mlock(2)`.

use alloc::vec::Vec;

use crate::errors::MmError;
use crate::pages::{BackingFile, Pages};
use crate::range::{PAGE_SIZE, PageRange, is_page_aligned, page_align};
use crate::shared;
use crate::space::AddressSpace;
use crate::vma::{Prot, Vma, VmaFlags, VmaKind};

/// What an advice asks of each mapping.
#[derive(Clone, Copy)]
enum Advice {
    /// Nothing that we would do.
    Nothing,
    /// Nothing, but refused for locked mappings.
    Reclaim,
    DontNeed {
        locked_too: bool,
    },
    Free,
    Remove,
    Populate {
        access: Prot,
    },
    Flag {
        set: VmaFlags,
        clear: VmaFlags,
    },
    WipeOnFork,
}

impl Advice {
    /// The `MADV_*` numbers of Linux.
    fn from_raw(raw: u64) -> Result<Self, MmError> {
        let none = VmaFlags::empty();
        let flag = |set, clear| Self::Flag { set, clear };
        Ok(match raw {
            // NORMAL, RANDOM, SEQUENTIAL, WILLNEED, MERGEABLE, UNMERGEABLE, COLLAPSE
            0..=3 | 12 | 13 | 25 => Self::Nothing,
            4 => Self::DontNeed { locked_too: false },
            8 => Self::Free,
            9 => Self::Remove,
            10 => flag(VmaFlags::DONT_FORK, none),
            11 => flag(none, VmaFlags::DONT_FORK),
            14 => flag(VmaFlags::HUGE, VmaFlags::NO_HUGE),
            15 => flag(VmaFlags::NO_HUGE, VmaFlags::HUGE),
            16 => flag(VmaFlags::DONT_DUMP, none),
            17 => flag(none, VmaFlags::DONT_DUMP),
            18 => Self::WipeOnFork,
            19 => flag(none, VmaFlags::WIPE_ON_FORK),
            // COLD, PAGEOUT
            20 | 21 => Self::Reclaim,
            22 => Self::Populate { access: Prot::READ },
            23 => Self::Populate { access: Prot::WRITE },
            24 => Self::DontNeed { locked_too: true },
            _ => return Err(MmError::Invalid),
        })
    }
}

impl<P: Pages<F>, F: BackingFile> AddressSpace<P, F> {
    /// `madvise(2)`. ENOMEM when there are holes, after all mappings have been advised.
    pub fn madvise(&mut self, addr: u64, len: u64, advice: u64) -> Result<(), MmError> {
        let advice = Advice::from_raw(advice)?;
        let range = checked_range(addr, len, MmError::Invalid)?;
        let mut at = range.start();
        let mut holes = false;
        for piece in self.map.pieces(range) {
            holes |= piece.range.start() != at || piece.is_special();
            at = piece.range.end();
            if !piece.is_special() {
                self.advise_piece(&piece, advice)?;
            }
        }
        if holes || at != range.end() { Err(MmError::NoMemory) } else { Ok(()) }
    }

    fn advise_piece(&mut self, piece: &Vma<F>, advice: Advice) -> Result<(), MmError> {
        let locked = piece.flags.contains(VmaFlags::LOCKED);
        match advice {
            Advice::Nothing => Ok(()),
            Advice::DontNeed { locked_too } if locked_too || !locked => self.dont_need(piece),
            Advice::DontNeed { .. } => Err(MmError::Invalid),
            Advice::Reclaim | Advice::Remove if locked => Err(MmError::Invalid),
            Advice::Reclaim => Ok(()),
            // Its contents may stay as long as the kernel likes; so they do.
            Advice::Free if is_private_anon(piece) => Ok(()),
            Advice::Free => Err(MmError::Invalid),
            Advice::Remove => self.remove(piece),
            Advice::Populate { access } if piece.prot.effective().contains(access) => {
                shared::fill(&self.map, &mut self.store, piece, piece.range, None)
            }
            Advice::Populate { .. } => Err(MmError::Fault),
            Advice::Flag { set, clear } => {
                self.map.change(piece.range, |vma| vma.flags = (vma.flags - clear) | set)
            }
            Advice::WipeOnFork if is_private_anon(piece) => {
                self.map.change(piece.range, |vma| vma.flags |= VmaFlags::WIPE_ON_FORK)
            }
            Advice::WipeOnFork => Err(MmError::Invalid),
        }
    }

    fn dont_need(&mut self, piece: &Vma<F>) -> Result<(), MmError> {
        match piece.kind {
            // What others share stays.
            VmaKind::AnonShared => Ok(()),
            VmaKind::FileShared(_) => {
                self.store.write_back(piece, piece.range)?;
                self.store.discard(piece.range)
            }
            VmaKind::FilePrivate(_) => self.store.discard(piece.range),
            _ => self.wipe(piece),
        }
    }

    /// Makes the pages read as zeroes: those of small ranges stay.
    fn wipe(&mut self, piece: &Vma<F>) -> Result<(), MmError> {
        let stay = piece.range.len() < self.policy.zero_limit && piece.prot.contains(Prot::WRITE);
        if !stay {
            return self.store.discard(piece.range);
        }
        let runs: Vec<_> = self.store.committed.runs_in(piece.range).collect();
        runs.into_iter().try_for_each(|run| self.store.pages.zero(run))
    }

    /// `MADV_REMOVE`: a hole in shared memory; holes in files are not supported.
    fn remove(&mut self, piece: &Vma<F>) -> Result<(), MmError> {
        match piece.kind {
            VmaKind::AnonShared if piece.prot.contains(Prot::WRITE) => self.wipe(piece),
            VmaKind::AnonShared => Err(MmError::Access),
            VmaKind::FileShared(_) => Err(MmError::NotSupported),
            _ => Err(MmError::Invalid),
        }
    }

    /// `mincore(2)`: one byte for each page, 1 when it is committed. ENOMEM when there are holes.
    pub fn mincore(&self, addr: u64, len: u64) -> Result<Vec<u8>, MmError> {
        if !is_page_aligned(addr) {
            return Err(MmError::Invalid);
        }
        let range = checked_range(addr, len, MmError::NoMemory)?;
        self.check_mapped(range)?;
        let pages = (range.start()..range.end()).step_by(0x1000);
        Ok(pages.map(|page| u8::from(self.store.committed.contains(page))).collect())
    }

    /// `mlock(2)`: marks the mappings and commits them. Enclave pages are never in plain text on a
    /// disk, so there is no more to it. ENOMEM when there are holes or no pages left.
    pub fn mlock(&mut self, addr: u64, len: u64) -> Result<(), MmError> {
        let range = lock_range(addr, len)?;
        self.flag_mapped(range, |flags| flags | VmaFlags::LOCKED)?;
        self.populate(range)
    }

    /// `mlock2(2)` with `MLOCK_ONFAULT`: marks the mappings.
    pub fn mlock_on_fault(&mut self, addr: u64, len: u64) -> Result<(), MmError> {
        self.flag_mapped(lock_range(addr, len)?, |flags| flags | VmaFlags::LOCKED)
    }

    /// `munlock(2)`.
    pub fn munlock(&mut self, addr: u64, len: u64) -> Result<(), MmError> {
        self.flag_mapped(lock_range(addr, len)?, |flags| flags - VmaFlags::LOCKED)
    }

    /// `mlockall(2)`: marks the mappings that exist (`MCL_CURRENT`) or are to come (`MCL_FUTURE`).
    /// What exists is not committed by it.
    pub fn mlockall(&mut self, current: bool, future: bool) {
        self.lock_future = future;
        if current {
            self.set_locked(true);
        }
    }

    /// `munlockall(2)`.
    pub fn munlockall(&mut self) {
        self.lock_future = false;
        self.set_locked(false);
    }

    fn set_locked(&mut self, locked: bool) {
        for piece in self.map.pieces(self.layout.area).into_iter().filter(|v| !v.is_special()) {
            self.map.update(piece.range, |vma| vma.flags.set(VmaFlags::LOCKED, locked));
        }
        self.map.merge(self.layout.area);
    }

    fn flag_mapped(
        &mut self,
        range: PageRange,
        change: impl Fn(VmaFlags) -> VmaFlags,
    ) -> Result<(), MmError> {
        let mut at = range.start();
        for piece in self.map.pieces(range) {
            if piece.range.start() != at || piece.is_special() {
                return Err(MmError::NoMemory);
            }
            self.map.change(piece.range, |vma| vma.flags = change(vma.flags))?;
            at = piece.range.end();
        }
        if at == range.end() { Ok(()) } else { Err(MmError::NoMemory) }
    }

    /// ENOMEM unless all of `range` is mapped by the program.
    fn check_mapped(&self, range: PageRange) -> Result<(), MmError> {
        let mut at = range.start();
        for vma in self.map.overlapping(range).take_while(|vma| !vma.is_special()) {
            if vma.range.start() > at {
                return Err(MmError::NoMemory);
            }
            at = vma.range.end();
        }
        if at >= range.end() { Ok(()) } else { Err(MmError::NoMemory) }
    }
}

const fn is_private_anon<F>(vma: &Vma<F>) -> bool {
    matches!(vma.kind, VmaKind::Anon | VmaKind::Heap | VmaKind::Stack)
}

/// `addr..addr+len` with the length rounded up; `overflow` when that wraps, EINVAL when `addr` is
/// not aligned.
pub(crate) fn checked_range(addr: u64, len: u64, overflow: MmError) -> Result<PageRange, MmError> {
    if !is_page_aligned(addr) {
        return Err(MmError::Invalid);
    }
    page_align(len).and_then(|len| PageRange::from_len(addr, len)).ok_or(overflow)
}

/// All pages that `addr..addr+len` touches.
fn lock_range(addr: u64, len: u64) -> Result<PageRange, MmError> {
    let start = addr & !(PAGE_SIZE - 1);
    let len = page_align(len.checked_add(addr - start).ok_or(MmError::Invalid)?);
    len.and_then(|len| PageRange::from_len(start, len)).ok_or(MmError::Invalid)
}
