//! Page-aligned address ranges.

use core::fmt;

/// Bytes per page.
pub const PAGE_SIZE: u64 = 4096;

/// A range of whole pages `[start, end)`, possibly empty; both ends are page-aligned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageRange {
    start: u64,
    end: u64,
}

impl PageRange {
    /// The range `[start, end)`; `None` unless both are page-aligned and `start <= end`.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Option<Self> {
        let aligned = start.is_multiple_of(PAGE_SIZE) && end.is_multiple_of(PAGE_SIZE);
        if aligned && start <= end { Some(Self { start, end }) } else { None }
    }

    /// `len` bytes from `start`; `None` on overflow or when unaligned.
    #[must_use]
    pub const fn from_len(start: u64, len: u64) -> Option<Self> {
        match start.checked_add(len) {
            Some(end) => Self::new(start, end),
            None => None,
        }
    }

    /// A range whose ends are known to be aligned and in order.
    pub(crate) const fn of(start: u64, end: u64) -> Self {
        debug_assert!(start.is_multiple_of(PAGE_SIZE) && end.is_multiple_of(PAGE_SIZE));
        debug_assert!(start <= end);
        Self { start, end }
    }

    /// The page that holds `addr`. The last one, whose end is no address, counts as the one before: nothing
    /// is ever mapped at either.
    pub(crate) const fn page_of(addr: u64) -> Self {
        const LAST: u64 = u64::MAX - (PAGE_SIZE - 1);
        let start = align_down(if addr < LAST { addr } else { LAST - 1 }, PAGE_SIZE);
        Self { start, end: start + PAGE_SIZE }
    }

    /// First address.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.start
    }

    /// First address behind the range.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.end
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end - self.start
    }

    /// Length in pages.
    #[must_use]
    pub const fn pages(self) -> u64 {
        self.len() / PAGE_SIZE
    }

    /// Whether there is no page in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether `addr` lies in it.
    #[must_use]
    pub const fn contains(self, addr: u64) -> bool {
        self.start <= addr && addr < self.end
    }

    /// Whether all of `other` lies in it.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Whether they share a page.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The common part; empty (at the nearer end of `self`) when there is none.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        let start = self.start.max(other.start).min(self.end);
        let end = self.end.min(other.end).max(start);
        Self { start, end }
    }
}

impl fmt::Debug for PageRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start, self.end)
    }
}

/// `addr` rounded down to a multiple of `align` (a power of two).
pub(crate) const fn align_down(addr: u64, align: u64) -> u64 {
    addr & !(align - 1)
}

/// `len` rounded up to whole pages; `None` on overflow.
pub(crate) const fn page_align(len: u64) -> Option<u64> {
    match len.checked_add(PAGE_SIZE - 1) {
        Some(sum) => Some(align_down(sum, PAGE_SIZE)),
        None => None,
    }
}

/// Whether `addr` is a multiple of the page size.
pub(crate) const fn is_page_aligned(addr: u64) -> bool {
    addr.is_multiple_of(PAGE_SIZE)
}
