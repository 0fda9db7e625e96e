//! A set of pages, kept as maximal runs: compact for the few long runs that programs make.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::range::PageRange;

/// A set of pages. Adjacent runs are always merged, so the number of entries is minimal.
#[derive(Debug, Default)]
pub struct PageSet {
    /// start -> end
    runs: BTreeMap<u64, u64>,
    pages: u64,
}

impl PageSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { runs: BTreeMap::new(), pages: 0 }
    }

    /// How many pages are in the set.
    #[must_use]
    pub const fn pages(&self) -> u64 {
        self.pages
    }

    /// How many runs they form.
    pub(crate) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// All runs, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = PageRange> + '_ {
        self.runs.iter().map(|(&start, &end)| PageRange::of(start, end))
    }

    /// Whether the page of `addr` is in the set.
    #[must_use]
    pub fn contains(&self, addr: u64) -> bool {
        self.run_at(addr).is_some()
    }

    /// The maximal run that holds `addr`.
    #[must_use]
    pub fn run_at(&self, addr: u64) -> Option<PageRange> {
        let (&start, &end) = self.runs.range(..=addr).next_back()?;
        (addr < end).then(|| PageRange::of(start, end))
    }

    /// The runs of the set within `range`, clipped to it, in order.
    pub fn runs_in(&self, range: PageRange) -> impl Iterator<Item = PageRange> + '_ {
        let first = self.run_at(range.start()).filter(|_| !range.is_empty());
        let from = first.map_or(range.start(), PageRange::end).min(range.end());
        let rest = self.runs.range(from..range.end()).map(|(&s, &e)| PageRange::of(s, e));
        first.into_iter().chain(rest).map(move |run| run.intersect(range))
    }

    /// What of `range` is not in the set, in order.
    pub fn gaps_in(&self, range: PageRange) -> impl Iterator<Item = PageRange> + '_ {
        let tail = PageRange::of(range.end(), range.end());
        let mut at = range.start();
        self.runs_in(range).chain(core::iter::once(tail)).filter_map(move |run| {
            let gap = PageRange::of(at, run.start());
            at = run.end();
            (!gap.is_empty()).then_some(gap)
        })
    }

    /// Adds `range`.
    pub(crate) fn insert(&mut self, range: PageRange) {
        if range.is_empty() {
            return;
        }
        self.remove(range);
        let (mut start, mut end) = (range.start(), range.end());
        if let Some((&before, &before_end)) = self.runs.range(..start).next_back()
            && before_end == start
        {
            start = before;
        }
        if let Some(after_end) = self.runs.remove(&end) {
            end = after_end;
        }
        self.runs.insert(start, end);
        self.pages += range.pages();
    }

    /// Takes `range` out; what was not in the set stays so.
    pub(crate) fn remove(&mut self, range: PageRange) {
        let runs: Vec<_> = self.runs_in(range).collect();
        for part in runs {
            if let Some(whole) = self.run_at(part.start()) {
                self.runs.remove(&whole.start());
                self.put(whole.start(), part.start());
                self.put(part.end(), whole.end());
                self.pages -= part.pages();
            }
        }
    }

    fn put(&mut self, start: u64, end: u64) {
        if start < end {
            self.runs.insert(start, end);
        }
    }
}
