//! Pages that are filled before anybody can see them, as EACCEPTCOPY does.
//!
//! Their contents are gathered in memory of the host, and the memory itself is moved to ELRANGE, many
//! pages at a time, before anything else is done to the mapping. So nobody ever sees a part of them,
//! and that memory comes in huge pages, which the kernel hands out at a fraction of the cost.

use std::mem;
use std::ops::Range;

use crate::asm;
use crate::mapping::HUGE_PAGE;
use crate::moved::Moved;
use crate::sys;

const PAGE: u64 = 4096;

/// Address space that is taken at a time, for memory to be filled.
const BLOCK: u64 = 64 << 20;

/// Bytes that are rather copied than moved: memory that is moved takes a mapping of its own, and the
/// processors of all threads must forget where it was.
const FEW: u64 = PAGE;

/// Bytes of zeroes for which moving memory takes less time than a fault for each page.
const MANY: u64 = 32 * PAGE;

/// Filled pages that are still on their way.
#[derive(Default)]
pub(crate) struct Filled {
    /// Memory that has not been filled; what waits is right before it.
    fresh: Range<u64>,
    /// Where that memory is zero: what was filled and then copied to its place was not.
    zeroes: u64,
    /// Pages of ELRANGE whose contents wait.
    waiting: Range<u64>,
    /// The one among them that has none yet: room is kept for a page that is filled last.
    hole: Option<u64>,
    /// How the mapping will show them.
    protection: i32,
    /// ELRANGE up to the enclave's first own page: what may be hidden at any time.
    program: Range<u64>,
    moved: Moved,
}

impl Filled {
    /// For filling pages of `range`.
    pub(crate) fn new(range: Range<u64>) -> Self {
        let mut filled = Self::default();
        filled.program = range;
        filled
    }

    /// Notes where a page of the enclave's own is: it and all above it are never hidden.
    pub(crate) fn keep(&mut self, page: u64) {
        self.program.end = self.program.end.min(page);
    }

    /// What may be hidden at any time.
    pub(crate) fn program(&self) -> &Range<u64> {
        &self.program
    }

    /// Changes how pages are shown. If there would be too many mappings, all of the program's are hidden
    /// before.
    pub(crate) fn protect(&self, start: u64, len: u64, protection: i32) {
        if sys::try_protect(start, len, protection) {
            return;
        }
        let all = self.program.end - self.program.start;
        sys::try_protect(self.program.start, all, libc::PROT_NONE);
        // Parts that differ in this way are not joined.
        sys::advise(self.program.start, all, libc::MADV_NOHUGEPAGE);
        sys::protect(start, len, protection);
    }

    /// Pages go away, and the memory that was moved to them.
    pub(crate) fn forget(&mut self, range: &Range<u64>) {
        self.moved.forget(range);
    }

    /// Fills `page`, to be shown with `protection`, with the contents of the one at `source`; returns how
    /// many bytes could not be read, in which case nothing was done. A thread waits for the page
    /// `awaited`, which may be filled after its neighbours.
    pub(crate) fn add(&mut self, page: u64, source: u64, protection: i32, awaited: u64) -> u64 {
        if self.hole == Some(page) && protection == self.protection {
            let left = copy(self.slot(page), source);
            if left == 0 {
                self.hole = None;
            }
            return left;
        }
        let skips = awaited + PAGE == page;
        let mut first = page;
        if !self.follows(page, protection) {
            if !skips || self.hole.is_some() || !self.follows(awaited, protection) {
                self.arrive();
            }
            if skips {
                first = awaited;
            }
        }
        let len = page + PAGE - first;
        if self.fresh.end - self.fresh.start < len {
            self.arrive();
            self.renew();
        }
        let left = copy(self.fresh.start + (page - first), source);
        if left == 0 {
            if self.waiting.is_empty() {
                (self.waiting.start, self.protection) = (first, protection);
            }
            if first != page {
                self.hole = Some(first);
            }
            self.waiting.end = page + PAGE;
            self.fresh.start += len;
            self.zeroes = self.zeroes.max(self.fresh.start);
        }
        left
    }

    /// Puts zeroes in place of pages that nobody has seen; whether it did. Nothing may wait. The kernel
    /// would hand out each page when it is touched, at many times the cost.
    pub(crate) fn bring_zeroes(&mut self, range: &Range<u64>) -> bool {
        let len = range.end - range.start;
        if len < MANY || range.end > self.program.end || self.moved.is_full() {
            return false;
        }
        let used = self.zeroes.saturating_sub(self.fresh.start);
        if self.fresh.end - self.fresh.start < used + len {
            self.renew();
        } else if used > 0 {
            sys::unmap(self.fresh.start, used);
            self.fresh.start = self.zeroes;
        }
        let from = self.fresh.start;
        // A huge page comes when it is touched, before a part of it goes elsewhere.
        for huge in (from.next_multiple_of(HUGE_PAGE)..from + len).step_by(HUGE_PAGE as usize) {
            copy(huge, [0_u8; PAGE as usize].as_ptr() as u64);
        }
        let moved = sys::move_pages(from, range.start, len);
        if moved {
            self.moved.note(from, range);
            self.fresh.start += len;
            self.zeroes = self.fresh.start;
        }
        moved
    }

    /// The page after those that wait, and the memory that is left; `None` if none waits.
    pub(crate) fn next(&self) -> Option<(u64, &Range<u64>)> {
        (!self.waiting.is_empty()).then_some((self.waiting.end, &self.fresh))
    }

    /// The pages before `page` were filled as well, in the memory before `to`.
    pub(crate) fn went_on(&mut self, page: u64, to: u64) {
        (self.waiting.end, self.fresh.start) = (page, to);
        self.zeroes = self.zeroes.max(to);
    }

    /// Whether `page` continues what waits.
    pub(crate) fn follows(&self, page: u64, protection: i32) -> bool {
        !self.waiting.is_empty() && page == self.waiting.end && protection == self.protection
    }

    /// Where the contents of a page that waits are.
    fn slot(&self, page: u64) -> u64 {
        self.fresh.start - (self.waiting.end - page)
    }

    /// Takes new memory to be filled; nothing waits in the old one.
    fn renew(&mut self) {
        if !self.fresh.is_empty() {
            sys::unmap(self.fresh.start, self.fresh.end - self.fresh.start);
        }
        self.fresh = block();
        self.zeroes = self.fresh.start;
    }

    /// Moves what waits to its place, where everybody sees it. Returns what is shown now as it shall be.
    ///
    /// # Panics
    /// When the kernel neither moves pages nor writes to hidden ones.
    pub(crate) fn arrive(&mut self) -> Range<u64> {
        let all = mem::take(&mut self.waiting);
        let len = all.end - all.start;
        let from = self.fresh.start - len;
        let hole = self.hole.take();
        let parts = match hole {
            None => [all.clone(), 0..0],
            Some(hole) => [all.start..hole, hole + PAGE..all.end],
        };
        let copies = len <= FEW || self.moved.is_full();
        if copies && self.copy_in(from, &all, &parts) {
            // The memory that they were gathered in is fresh again.
            self.fresh.start = from;
        } else {
            self.move_in(from, &all, &parts);
        }
        if hole.is_none() { all } else { 0..0 }
    }

    /// Copies pages, whose contents begin at `from`, to where they shall be seen. False if that cannot
    /// be done here.
    fn copy_in(&self, from: u64, all: &Range<u64>, parts: &[Range<u64>; 2]) -> bool {
        for part in parts.iter().filter(|part| !part.is_empty()) {
            let len = part.end - part.start;
            if sys::copy_hidden(from + (part.start - all.start), part.start, len).is_err() {
                return false;
            }
            self.protect(part.start, len, self.protection);
        }
        true
    }

    /// Moves the memory of pages, from `from`, to where they shall be seen.
    fn move_in(&mut self, from: u64, all: &Range<u64>, parts: &[Range<u64>; 2]) {
        let mut left = from;
        for part in parts.iter().filter(|part| !part.is_empty()) {
            let (at, len) = (from + (part.start - all.start), part.end - part.start);
            if left < at {
                sys::unmap(left, at - left);
            }
            self.protect(at, len, self.protection);
            if sys::move_pages(at, part.start, len) {
                self.moved.note(at, part);
            } else {
                // The process has as many mappings as the kernel allows.
                let copied = sys::copy_hidden(at, part.start, len);
                assert!(copied.is_ok(), "{len:#x} bytes for {:#x}: {copied:?}", part.start);
                self.protect(part.start, len, self.protection);
                sys::unmap(at, len);
            }
            left = at + len;
        }
    }
}

/// Copies a page to memory that nobody uses; returns how many bytes could not be read.
pub(crate) fn copy(to: u64, source: u64) -> u64 {
    // SAFETY: faults become a count; the target is as above.
    unsafe { asm::emu_copy(to, source, PAGE) }
}

/// What waits goes nowhere any more.
impl Drop for Filled {
    fn drop(&mut self) {
        let start = self.slot(self.waiting.start);
        if start != self.fresh.end {
            sys::unmap(start, self.fresh.end - start);
        }
    }
}

/// Memory to be filled.
fn block() -> Range<u64> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let start = sys::map(0, BLOCK + HUGE_PAGE, protection).expect("there is address space");
    let aligned = start.next_multiple_of(HUGE_PAGE);
    let block = aligned..aligned + BLOCK;
    if start < block.start {
        sys::unmap(start, block.start - start);
    }
    sys::unmap(block.end, start + HUGE_PAGE - block.start);
    sys::advise(block.start, BLOCK, libc::MADV_DONTDUMP);
    sys::advise(block.start, BLOCK, libc::MADV_HUGEPAGE);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden() -> u64 {
        sys::reserve(0, 128 * PAGE).expect("there is address space")
    }

    fn words(start: u64, pages: u64) -> Vec<u64> {
        let word = |at| {
            let mut page = vec![0u64; 512];
            assert_eq!(copy(page.as_mut_ptr() as u64, at), 0, "{at:#x} cannot be read");
            page[0]
        };
        (start..).step_by(PAGE as usize).take(pages as usize).map(word).collect()
    }

    #[test]
    fn pages_arrive_complete_in_any_order() {
        let to = hidden();
        let mut filled = Filled::default();
        let mut source = vec![0u64; 512];
        let page = |number: u64| to + number * PAGE;
        for number in [1, 2, 3, 7, 8, 0] {
            source[0] = 100 + number;
            let protection =
                if number == 8 { libc::PROT_READ | libc::PROT_EXEC } else { libc::PROT_READ };
            assert_eq!(filled.add(page(number), source.as_ptr() as u64, protection, 0), 0);
        }
        filled.arrive();
        assert_eq!(words(to, 4), [100, 101, 102, 103]);
        assert_eq!(words(page(7), 2), [107, 108]);
        filled.arrive();
        assert_eq!(words(to, 1), [100], "nothing is left to arrive");
    }

    #[test]
    fn moved_memory_is_forgotten_with_its_pages() {
        let to = hidden();
        let page = |number: u64| to + number * PAGE;
        let source = vec![7u64; 512];
        let mut filled = Filled::default();
        for number in 0..8 {
            let from = source.as_ptr() as u64;
            assert_eq!(filled.add(page(number), from, libc::PROT_READ, 0), 0);
        }
        filled.arrive();
        assert_eq!(filled.moved.len(), 1);
        filled.forget(&(page(2)..page(4)));
        assert_eq!(filled.moved.len(), 2, "both sides are still there");
        assert_eq!((words(to, 2), words(page(4), 4)), (vec![7; 2], vec![7; 4]));
        filled.forget(&(page(0)..page(16)));
        assert!(filled.moved.len() == 0);
        sys::protect(to, 8 * PAGE, libc::PROT_READ);
        assert_eq!(words(to, 8), [0; 8]);
    }

    #[test]
    fn zeroes_come_from_memory_that_nothing_was_copied_to() {
        let to = hidden();
        let page = |number: u64| to + number * PAGE;
        let mut filled = Filled::new(to..page(100));
        let source = vec![7u64; 512];
        assert_eq!(filled.add(page(0), source.as_ptr() as u64, libc::PROT_READ, 0), 0);
        filled.arrive();
        let used = filled.fresh.start;
        assert_eq!(words(used, 1), [7], "it was copied, and will be filled again");
        assert!(!filled.bring_zeroes(&(page(1)..page(32))), "few pages");
        assert!(!filled.bring_zeroes(&(page(70)..page(102))), "the enclave's own");
        assert!(filled.bring_zeroes(&(page(1)..page(33))));
        assert!(filled.bring_zeroes(&(page(33)..page(65))));
        assert_eq!((words(to, 1), words(page(1), 64)), (vec![7], vec![0; 64]));
        assert_eq!(filled.moved.len(), 1, "they follow each other in both places");
    }

    #[test]
    fn a_page_may_be_filled_after_its_neighbours() {
        let to = hidden();
        let page = |number: u64| to + number * PAGE;
        let mut source = vec![0u64; 512];
        // Which page is awaited, in which order they are filled, and what arrives as one.
        let orders: [(u64, &[u64], Range<u64>); 4] = [
            (1, &[0, 2, 3, 1], page(0)..page(4)),
            (4, &[5, 6, 4], page(4)..page(7)),
            (8, &[7, 8], page(7)..page(9)),
            (11, &[10, 12, 13], 0..0),
        ];
        for (awaited, order, arrived) in orders {
            let mut filled = Filled::default();
            for &number in order {
                source[0] = 100 + number;
                let from = source.as_ptr() as u64;
                assert_eq!(filled.add(page(number), from, libc::PROT_READ, page(awaited)), 0);
            }
            assert_eq!(filled.arrive(), arrived);
        }
        assert_eq!(words(to, 9), [100, 101, 102, 103, 104, 105, 106, 107, 108]);
        assert_eq!(words(page(10), 1), [110]);
        assert_eq!(words(page(12), 2), [112, 113]);
    }

    #[test]
    fn pages_are_copied_where_they_cannot_be_moved() {
        let (from, to) = (hidden(), hidden());
        sys::protect(from, 2 * PAGE, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: just made writable.
        unsafe { *((from + PAGE) as *mut u64) = 7 };
        sys::protect(from, 2 * PAGE, libc::PROT_NONE);
        sys::copy_hidden(from, to, 2 * PAGE).expect("memory is there");
        sys::protect(to, 2 * PAGE, libc::PROT_READ);
        assert_eq!(words(to, 2), [0, 7]);
    }
}
