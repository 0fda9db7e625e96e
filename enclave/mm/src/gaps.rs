//! Where there is room: the free ranges of the address space, by size class, so that a place is
//! found in logarithmic time whatever the number of mappings.

use alloc::collections::BTreeMap;

use crate::range::{PAGE_SIZE, PageRange, align_down};

/// Classes are powers of two in pages; 2^47 bytes are 2^35 pages.
const CLASSES: usize = 36;

/// How many free ranges of a class are tried for a better place once there is one: those of the
/// class of the length itself, or too badly aligned, may all be a little too small.
const SCAN_LIMIT: usize = 64;

/// The free ranges. Class `c` holds those of `2^c` to `2^(c+1) - 1` pages.
#[derive(Debug)]
pub(crate) struct Gaps {
    all: BTreeMap<u64, u64>,
    classes: [BTreeMap<u64, u64>; CLASSES],
}

/// What a place must satisfy: `[low, high)` bounds it, `align` is a power of two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want {
    pub(crate) len: u64,
    pub(crate) align: u64,
    pub(crate) low: u64,
    pub(crate) high: u64,
}

impl Want {
    /// The highest place in the free range `start..end`.
    fn highest_in(&self, start: u64, end: u64) -> Option<u64> {
        let at = align_down(end.min(self.high).checked_sub(self.len)?, self.align);
        (at >= start.max(self.low)).then_some(at)
    }

    /// The lowest place in the free range `start..end`.
    fn lowest_in(&self, start: u64, end: u64) -> Option<u64> {
        let at = align_down(start.max(self.low).checked_add(self.align - 1)?, self.align);
        (at.checked_add(self.len)? <= end.min(self.high)).then_some(at)
    }
}

fn class_of(len: u64) -> usize {
    let log = (len / PAGE_SIZE).max(1).ilog2();
    usize::try_from(log).unwrap_or(CLASSES).min(CLASSES - 1)
}

impl Gaps {
    /// Everything in `area` is free.
    pub(crate) fn new(area: PageRange) -> Self {
        let mut gaps =
            Self { all: BTreeMap::new(), classes: core::array::from_fn(|_| BTreeMap::new()) };
        gaps.add(area.start(), area.end());
        gaps
    }

    fn add(&mut self, start: u64, end: u64) {
        if start < end {
            self.all.insert(start, end);
            self.classes[class_of(end - start)].insert(start, end);
        }
    }

    fn take(&mut self, start: u64) -> Option<u64> {
        let end = self.all.remove(&start)?;
        self.classes[class_of(end - start)].remove(&start);
        Some(end)
    }

    /// Whether all of `range` is free.
    pub(crate) fn is_free(&self, range: PageRange) -> bool {
        self.all.range(..=range.start()).next_back().is_some_and(|(_, &end)| end >= range.end())
    }

    /// `range`, which is free, is in use from now on.
    pub(crate) fn occupy(&mut self, range: PageRange) {
        let gap = self.all.range(..=range.start()).next_back().map(|(&start, _)| start);
        let Some(start) = gap else { return };
        let Some(end) = self.take(start) else { return };
        debug_assert!(end >= range.end());
        self.add(start, range.start());
        self.add(range.end(), end);
    }

    /// `range`, wholly in use, is free from now on.
    pub(crate) fn release(&mut self, range: PageRange) {
        let before = self.all.range(..range.start()).next_back().map(|(&s, &e)| (s, e));
        let start = match before {
            Some((start, end)) if end == range.start() => {
                self.take(start);
                start
            }
            _ => range.start(),
        };
        let end = self.take(range.end()).unwrap_or(range.end());
        self.add(start, end);
    }

    /// The highest place that `want` allows.
    pub(crate) fn find_top_down(&self, want: Want) -> Option<u64> {
        let mut best = None;
        for class in self.classes[class_of(want.len)..].iter().rev() {
            for (tried, (&start, &end)) in class.range(..want.high).rev().enumerate() {
                let hopeless = best.is_some_and(|b| end <= b || tried >= SCAN_LIMIT);
                if hopeless || end <= want.low {
                    break;
                }
                if let Some(at) = want.highest_in(start, end) {
                    best = best.max(Some(at));
                    break;
                }
            }
        }
        best
    }

    /// The place nearest to `addr` that `want` allows, outside of `keep_out`.
    pub(crate) fn find_near(&self, addr: u64, want: Want, keep_out: PageRange) -> Option<u64> {
        let below = Want { high: want.high.min(keep_out.start()), ..want };
        let above = Want { low: want.low.max(keep_out.end()), ..want };
        let candidates = [below, above].into_iter().flat_map(|part| {
            let down = self.find_top_down(Want { high: part.high.min(addr), ..part });
            let up = self.find_bottom_up(Want { low: part.low.max(addr), ..part });
            [down, up].into_iter().flatten()
        });
        candidates.min_by_key(|&at| at.abs_diff(addr))
    }

    /// The lowest place that `want` allows.
    fn find_bottom_up(&self, want: Want) -> Option<u64> {
        if want.low >= want.high {
            return None;
        }
        let around = self.all.range(..=want.low).next_back();
        if let Some(at) = around.and_then(|(&s, &e)| want.lowest_in(s, e)) {
            return Some(at);
        }
        let mut best: Option<u64> = None;
        for class in self.classes[class_of(want.len)..].iter().rev() {
            for (tried, (&start, &end)) in class.range(want.low..want.high).enumerate() {
                if best.is_some_and(|b| start >= b || tried >= SCAN_LIMIT) {
                    break;
                }
                if let Some(at) = want.lowest_in(start, end) {
                    best = Some(best.map_or(at, |b| b.min(at)));
                    break;
                }
            }
        }
        best
    }
}
