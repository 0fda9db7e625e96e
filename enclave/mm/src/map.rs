//! The ordered set of mappings, with the free ranges between them.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::errors::MmError;
use crate::gaps::Gaps;
use crate::range::PageRange;
use crate::vma::Vma;

/// All mappings by address. They never overlap; equal neighbours are merged by
/// [`VmaMap::merge`], which every operation calls for the range it has changed.
#[derive(Debug)]
pub(crate) struct VmaMap<F> {
    by_start: BTreeMap<u64, Vma<F>>,
    gaps: Gaps,
    pages: u64,
    data_pages: u64,
    /// Where the shared mappings of files begin.
    shared_files: BTreeSet<u64>,
    max_count: usize,
}

impl<F: Clone + PartialEq> VmaMap<F> {
    pub(crate) fn new(area: PageRange, max_count: usize) -> Self {
        let gaps = Gaps::new(area);
        let (by_start, shared_files) = (BTreeMap::new(), BTreeSet::new());
        Self { by_start, gaps, pages: 0, data_pages: 0, shared_files, max_count }
    }

    pub(crate) const fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// Pages mapped, committed or not.
    pub(crate) const fn pages(&self) -> u64 {
        self.pages
    }

    /// Pages that `RLIMIT_DATA` counts.
    pub(crate) const fn data_pages(&self) -> u64 {
        self.data_pages
    }

    pub(crate) fn count(&self) -> usize {
        self.by_start.len()
    }

    pub(crate) fn has_shared_files(&self) -> bool {
        !self.shared_files.is_empty()
    }

    /// Whether one more mapping would be one too many.
    pub(crate) fn is_full(&self) -> bool {
        self.count() >= self.max_count
    }

    pub(crate) fn find(&self, addr: u64) -> Option<&Vma<F>> {
        let (_, vma) = self.by_start.range(..=addr).next_back()?;
        vma.range.contains(addr).then_some(vma)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Vma<F>> {
        self.by_start.values()
    }

    /// How many shared mappings of files there are.
    pub(crate) fn shared_count(&self) -> usize {
        self.shared_files.len()
    }

    /// The shared mappings of files, in order.
    pub(crate) fn shared_files(&self) -> impl Iterator<Item = &Vma<F>> {
        self.shared_files.iter().filter_map(|start| self.by_start.get(start))
    }

    /// The mappings that have pages in `range`, in order.
    pub(crate) fn overlapping(&self, range: PageRange) -> impl Iterator<Item = &Vma<F>> + '_ {
        let first = self.find(range.start()).map_or(range.start(), |vma| vma.range.start());
        let end = range.end().max(first);
        self.by_start.range(first..end).map(|(_, vma)| vma).filter(move |_| !range.is_empty())
    }

    /// Copies of the mappings that have pages in `range`, each cut to it: a list to work through
    /// while the map changes.
    pub(crate) fn pieces(&self, range: PageRange) -> Vec<Vma<F>> {
        self.overlapping(range).map(|vma| vma.cut(vma.range.intersect(range))).collect()
    }

    /// Adds a mapping whose range is free.
    pub(crate) fn insert(&mut self, vma: Vma<F>) {
        debug_assert!(self.gaps.is_free(vma.range));
        self.gaps.occupy(vma.range);
        self.put(vma);
    }

    fn put(&mut self, vma: Vma<F>) {
        self.pages += vma.range.pages();
        self.data_pages += vma.data_pages();
        if vma.shared_file().is_some() {
            self.shared_files.insert(vma.range.start());
        }
        self.by_start.insert(vma.range.start(), vma);
    }

    fn take(&mut self, start: u64) -> Option<Vma<F>> {
        let vma = self.by_start.remove(&start)?;
        self.pages -= vma.range.pages();
        self.data_pages -= vma.data_pages();
        self.shared_files.remove(&start);
        Some(vma)
    }

    /// Makes `addr` a border between mappings, if one spans it.
    fn split(&mut self, addr: u64) {
        let spanning = self.find(addr).filter(|vma| vma.range.start() < addr);
        let Some(vma) = spanning else { return };
        let start = vma.range.start();
        let low = vma.cut(PageRange::of(start, addr));
        let high = vma.cut(PageRange::of(addr, vma.range.end()));
        self.take(start);
        self.put(low);
        self.put(high);
    }

    /// Makes both ends of `range` borders between mappings.
    pub(crate) fn isolate(&mut self, range: PageRange) {
        self.split(range.start());
        self.split(range.end());
    }

    /// Whether removing `range` leaves no more mappings than are allowed.
    pub(crate) fn can_remove(&self, range: PageRange) -> bool {
        let inside = self
            .find(range.start())
            .is_some_and(|vma| vma.range.start() < range.start() && range.end() < vma.range.end());
        !inside || !self.is_full()
    }

    /// Whether [`VmaMap::isolate`] leaves no more mappings than are allowed.
    pub(crate) fn can_isolate(&self, range: PageRange) -> bool {
        let spans = |addr| self.find(addr).is_some_and(|vma| vma.range.start() < addr);
        let splits = usize::from(spans(range.start())) + usize::from(spans(range.end()));
        self.count() + splits <= self.max_count
    }

    /// Removes the mapping that begins at `start`.
    pub(crate) fn remove(&mut self, start: u64) {
        if let Some(vma) = self.take(start) {
            self.gaps.release(vma.range);
        }
    }

    /// Changes the mapping that covers exactly the isolated `range`.
    pub(crate) fn update(&mut self, range: PageRange, change: impl FnOnce(&mut Vma<F>)) {
        if let Some(mut vma) = self.take(range.start()) {
            debug_assert_eq!(vma.range, range);
            change(&mut vma);
            self.put(vma);
        }
    }

    /// Isolates `piece` (the cut of one mapping), changes it and merges it with its neighbours.
    /// ENOMEM when that takes too many mappings.
    pub(crate) fn change(
        &mut self,
        piece: PageRange,
        change: impl FnOnce(&mut Vma<F>),
    ) -> Result<(), MmError> {
        if !self.can_isolate(piece) {
            return Err(MmError::NoMemory);
        }
        self.isolate(piece);
        self.update(piece, change);
        self.merge(piece);
        Ok(())
    }

    /// Lets the mapping that ends at `range.start()` grow over the free `range`.
    pub(crate) fn extend(&mut self, range: PageRange) {
        let last = self.by_start.range(..range.start()).next_back().map(|(&start, _)| start);
        let Some(mut vma) = last.and_then(|start| self.take(start)) else { return };
        debug_assert_eq!(vma.range.end(), range.start());
        self.gaps.occupy(range);
        vma.range = PageRange::of(vma.range.start(), range.end());
        self.put(vma);
        self.merge(range);
    }

    /// The first mapping that begins behind `addr`.
    pub(crate) fn next(&self, addr: u64) -> Option<&Vma<F>> {
        self.by_start.range(addr..).next().map(|(_, vma)| vma)
    }

    /// The last mapping that begins before `addr`.
    pub(crate) fn previous(&self, addr: u64) -> Option<&Vma<F>> {
        self.by_start.range(..addr).next_back().map(|(_, vma)| vma)
    }

    /// Lets the mapping that begins at `range.end()` grow down over the free `range`.
    pub(crate) fn extend_down(&mut self, range: PageRange) {
        let Some(mut vma) = self.take(range.end()) else { return };
        self.gaps.occupy(range);
        vma.range = PageRange::of(range.start(), vma.range.end());
        self.put(vma);
    }

    /// Merges equal neighbours within and around `range`.
    pub(crate) fn merge(&mut self, range: PageRange) {
        let before = range.start().saturating_sub(1);
        let mut at = self.find(before).map_or(range.start(), |vma| vma.range.start());
        while at < range.end()
            && let Some((&start, vma)) = self.by_start.range(at..range.end()).next()
        {
            let end = vma.range.end();
            let joins = self.by_start.get(&end).is_some_and(|next| vma.continues_in(next));
            if joins && let (Some(mut low), Some(high)) = (self.take(start), self.take(end)) {
                low.range = PageRange::of(start, high.range.end());
                self.put(low);
                at = start;
            } else {
                at = end;
            }
        }
    }
}
