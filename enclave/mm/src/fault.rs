//! Page faults: what the program touches and is not there yet.

use crate::errors::MmError;
use crate::pages::{BackingFile, Pages};
use crate::range::{PAGE_SIZE, PageRange, align_down};
use crate::runs::PageSet;
use crate::shared;
use crate::space::AddressSpace;
use crate::vma::{Prot, Vma, VmaFlags};

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction fetch.
    Exec,
}

impl Access {
    const fn needs(self) -> Prot {
        match self {
            Self::Read => Prot::READ,
            Self::Write => Prot::WRITE,
            Self::Exec => Prot::EXEC,
        }
    }
}

/// `si_code` of a SIGSEGV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegvCode {
    /// `SEGV_MAPERR` (1): nothing is mapped there.
    MapErr,
    /// `SEGV_ACCERR` (2): the mapping does not allow it.
    AccErr,
}

impl SegvCode {
    /// The number in `siginfo_t`.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::MapErr => 1,
            Self::AccErr => 2,
        }
    }
}

/// What became of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultOutcome {
    /// The access works now (perhaps another thread was faster): try again.
    Resolved,
    /// SIGSEGV for the program.
    Segv(SegvCode),
    /// SIGBUS (`BUS_ADRERR`): behind the end of the file, or it cannot be read.
    Bus,
    /// No page is left, by the limit or by the machine. Linux would kill the program.
    OutOfMemory,
}

impl<P: Pages<F>, F: BackingFile> AddressSpace<P, F> {
    /// Handles an access to `addr` that failed.
    pub fn fault(&mut self, addr: u64, access: Access) -> FaultOutcome {
        if self.map.find(addr).is_none() {
            self.grow_down(addr);
        }
        let Some(vma) = self.map.find(addr) else { return FaultOutcome::Segv(SegvCode::MapErr) };
        if !vma.prot.effective().contains(access.needs()) {
            return FaultOutcome::Segv(SegvCode::AccErr);
        }
        let store = &mut self.store;
        if !store.committed.contains(addr) {
            let (min, max) = self.policy.block_limits(vma);
            let block = block_around(&store.committed, vma.range, addr, min, max);
            let page = PageRange::page_of(addr);
            let mut filled = Ok(());
            // Rather less than nothing: the page alone may still be had.
            for range in [block, page] {
                if !store.committed.contains(addr) {
                    filled = shared::fill(&self.map, store, vma, range, Some(page.start()));
                }
            }
            match filled {
                _ if store.committed.contains(addr) => {}
                Ok(()) => return FaultOutcome::Bus,
                Err(error) => return outcome_of(error),
            }
        }
        if access == Access::Write && vma.shared_file().is_some() && !store.dirty.contains(addr) {
            let max = self.policy.dirty_block_max;
            let block = block_around(&store.dirty, vma.range, addr, PAGE_SIZE, max);
            if let Err(error) = shared::make_dirty(&self.map, store, &self.writes, vma, block) {
                return outcome_of(error);
            }
        }
        FaultOutcome::Resolved
    }
}

const fn outcome_of(error: MmError) -> FaultOutcome {
    match error {
        MmError::NoMemory => FaultOutcome::OutOfMemory,
        _ => FaultOutcome::Bus,
    }
}

impl crate::policy::Policy {
    /// The smallest and the largest block for a fault in `vma`.
    const fn block_limits<F>(&self, vma: &Vma<F>) -> (u64, u64) {
        if vma.file().is_some() {
            (self.file_block_min, self.file_block_max)
        } else if vma.flags.contains(VmaFlags::HUGE) {
            (self.anon_block_max, self.anon_block_max)
        } else if vma.flags.contains(VmaFlags::NO_HUGE) {
            (self.anon_block_min, self.anon_block_min)
        } else {
            (self.anon_block_min, self.anon_block_max)
        }
    }
}

/// The aligned block for `addr`, at most `max` bytes, and at most as long as the run of pages in
/// `set` that it continues upwards or downwards: so each further fault of a sequence gets twice as
/// much, without any memory of earlier faults.
fn block_around(set: &PageSet, within: PageRange, addr: u64, min: u64, max: u64) -> PageRange {
    let aligned = |size: u64| {
        let start = align_down(addr, size);
        PageRange::of(start, start + size).intersect(within)
    };
    let first = aligned(min);
    let len_at = |at: u64| set.run_at(at).map_or(0, |run| run.intersect(within).len());
    let neighbour = len_at(first.start().wrapping_sub(1)).max(len_at(first.end()));
    let size = neighbour.clamp(min, max);
    aligned(1 << size.ilog2())
}
