//! The host's mapping of ELRANGE, which follows the EPCM.
//!
//! A page is accessible exactly when its EPCM entry allows it. Changes that take access away are
//! shown at once; pages that EACCEPT makes accessible may lag behind, since one mprotect per page
//! would cost more than all the rest: they are shown when the thread leaves, touches them, or accepts
//! the page for which it last faulted, which the enclave does last. Pages that EACCEPTCOPY fills lag
//! behind in the same way, and are in their place for whoever changes the mapping. Pages of zeroes
//! that EADD adds are shown when they are touched.
//!
//! The kernel limits how many mappings a process has, and takes neighbours for two if they differ in
//! protection. So there may be fewer than the enclave's pages need: then all of the program's pages are
//! hidden, which makes them one mapping again, and those that are in use are shown as they are touched.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::accept::Next;
use crate::epcm::{Entry, Epcm};
use crate::filled::{self, Filled};
use crate::sys;

/// Lowest address that the emulator maps: the usual `vm.mmap_min_addr`.
pub(crate) const LOWEST: u64 = 0x1_0000;

const PAGE: u64 = 4096;

/// Bytes of the kernel's huge pages.
pub(crate) const HUGE_PAGE: u64 = 2 << 20;

/// The reserved address range.
pub(crate) struct Mapping {
    range: Range<u64>,
    filled: Mutex<Filled>,
    /// Closed when that is locked; to be opened only while it is.
    next: Next,
    shows: AtomicU64,
}

impl Mapping {
    /// Reserves ELRANGE.
    pub(crate) fn new(base: u64, size: u64) -> std::io::Result<Self> {
        let start = base.max(LOWEST);
        let range = start..base + size;
        sys::reserve(start, range.end - start)?;
        sys::advise(start, range.end - start, libc::MADV_DONTDUMP);
        let filled = Mutex::new(Filled::new(range.clone()));
        Ok(Self { range, filled, next: Next::default(), shows: AtomicU64::new(0) })
    }

    /// Addresses that may have pages.
    pub(crate) fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Keeps others from changing the mapping.
    pub(crate) fn lock(&self) -> Locked<'_> {
        let mut filled = self.fill();
        let arrived = filled.arrive();
        Locked { filled, arrived, shows: &self.shows }
    }

    /// How often it has been made to show what the EPCM says.
    pub(crate) fn shows(&self) -> u64 {
        self.shows.load(Ordering::Acquire)
    }

    /// The same for filling pages that the mapping does not show.
    pub(crate) fn fill(&self) -> MutexGuard<'_, Filled> {
        let mut filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((page, to)) = self.next.close() {
            filled.went_on(page, to);
        }
        filled
    }

    /// Where the page that follows the last one is filled.
    pub(crate) fn next(&self) -> &Next {
        &self.next
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        sys::unmap(self.range.start, self.range.end - self.range.start);
    }
}

/// The right to change the mapping.
pub(crate) struct Locked<'a> {
    filled: MutexGuard<'a, Filled>,
    /// Pages that were filled, and came into place as they shall be seen.
    arrived: Range<u64>,
    shows: &'a AtomicU64,
}

impl Locked<'_> {
    /// Whether all of `range`, which is not empty, has just come into place.
    pub(crate) fn has_brought(&self, range: &Range<u64>) -> bool {
        self.arrived.start <= range.start && range.end <= self.arrived.end
    }

    /// Lets all parts of the program's mapping become one again once they look alike. The kernel joins only
    /// what has the same owner of pages (`anon_vma`), and gives a mapping one when its first page comes;
    /// parts of it keep that. To be called while there are no parts.
    pub(crate) fn join(&self) {
        let first = self.filled.program().start;
        if self.filled.program().is_empty() {
            return;
        }
        self.protect(first, PAGE, libc::PROT_READ | libc::PROT_WRITE);
        filled::copy(first, [0_u8; PAGE as usize].as_ptr() as u64);
        self.protect(first, PAGE, libc::PROT_NONE);
        sys::advise(first, PAGE, libc::MADV_DONTNEED);
    }

    /// Keeps a page of the enclave's own, and all above it, from being hidden.
    pub(crate) fn keep(&mut self, page: u64) {
        self.filled.keep(page);
    }

    /// Changes how pages are shown.
    pub(crate) fn protect(&self, start: u64, len: u64, protection: i32) {
        self.filled.protect(start, len, protection);
    }

    /// Makes the mapping show what the EPCM says.
    pub(crate) fn show(&self, epcm: &Epcm, range: Range<u64>) {
        let mut start = range.start;
        while start < range.end {
            let protection = epcm.get(start).protection();
            let mut end = start + PAGE;
            while end < range.end && epcm.get(end).protection() == protection {
                end += PAGE;
            }
            self.protect(start, end - start, protection);
            start = end;
        }
        // Only now: who sees the old number accepts its pages too late to be shown here.
        self.shows.fetch_add(1, Ordering::Release);
    }

    /// Lets the kernel use huge pages where the enclave has accepted all of them at once. Elsewhere they
    /// would be cleared for the sake of the few small pages that are used.
    pub(crate) fn enlarge(&self, range: Range<u64>) {
        let huge = huge_pages(&range);
        if !huge.is_empty() {
            sys::advise(huge.start, huge.end - huge.start, libc::MADV_HUGEPAGE);
        }
    }

    /// Shows pages that the enclave has accepted as new ones with memory that is there already; whether it
    /// did. `since` tells how often the mapping had been made to show pages before the first of them was
    /// accepted: nobody may have written to them.
    pub(crate) fn bring_new(&mut self, epcm: &Epcm, run: &Range<u64>, since: u64) -> bool {
        let unseen = self.shows.load(Ordering::Acquire) == since;
        unseen
            && huge_pages(run).is_empty()
            && epcm.get(run.start) == Entry::AUGMENTED.settled()
            && epcm.alike(run.start, run.clone()) == *run
            && self.filled.bring_zeroes(run)
    }

    /// Frees the memory of pages that are no more, and were hidden when they were trimmed. It reads as
    /// zeros if added again.
    pub(crate) fn discard(&mut self, range: Range<u64>) {
        self.filled.forget(&range);
        sys::advise(range.start, range.end - range.start, libc::MADV_DONTNEED);
    }
}

/// The huge pages that have room in `range`.
fn huge_pages(range: &Range<u64>) -> Range<u64> {
    range.start.next_multiple_of(HUGE_PAGE)..range.end & !(HUGE_PAGE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_somebody_may_have_written_to_are_left_alone() {
        let (base, size) = (1 << 40, 64 * PAGE);
        let mapping = Mapping::new(base, size).expect("addresses that nobody uses");
        let epcm = Epcm::new(base, size).expect("there is address space");
        let run = base..base + 32 * PAGE;
        let since = mapping.shows();
        for page in run.clone().step_by(PAGE as usize).skip(1) {
            epcm.set(page, Entry::AUGMENTED.settled());
        }
        assert!(!mapping.lock().bring_new(&epcm, &run, since), "one page was not accepted");
        epcm.set(run.start, Entry::AUGMENTED.settled());
        let locked = mapping.lock();
        locked.show(&epcm, run.start..run.start + PAGE);
        drop(locked);
        let contents = [7_u64; 512];
        assert_eq!(filled::copy(run.start, contents.as_ptr() as u64), 0, "another thread writes");
        assert!(!mapping.lock().bring_new(&epcm, &run, since));
        let mut read = [0_u64; 512];
        assert_eq!(filled::copy(read.as_mut_ptr() as u64, run.start), 0);
        assert_eq!(read, contents);
        assert!(mapping.lock().bring_new(&epcm, &run, mapping.shows()));
    }
}
