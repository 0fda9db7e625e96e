//! Memory of the host that was moved into ELRANGE: each stretch takes a mapping of its own for as long as it
//! is there.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::sys;

/// Stretches that may be there.
const MOST: usize = 8192;

/// Stretches by start: their end, and how far they were moved.
#[derive(Default)]
pub(crate) struct Moved(BTreeMap<u64, (u64, u64)>);

impl Moved {
    /// Whether there are as many as there may be.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// Memory came from `from` to `to`.
    pub(crate) fn note(&mut self, from: u64, to: &Range<u64>) {
        let by = to.start.wrapping_sub(from);
        match self.0.range_mut(..=to.start).next_back() {
            Some((_, (end, same))) if *end >= to.start && *same == by => *end = to.end.max(*end),
            _ => {
                self.0.insert(to.start, (to.end, by));
            }
        }
    }

    /// Pages go away: memory that was moved to them is not kept apart any more.
    pub(crate) fn forget(&mut self, range: &Range<u64>) {
        let before = self.0.range(..range.start).next_back().map(|(&start, _)| start);
        let first = before.unwrap_or(range.start);
        let touched: Vec<_> = self.0.range(first..range.end).map(|(&at, &to)| (at, to)).collect();
        for (at, (end, by)) in touched {
            let part = at.max(range.start)..end.min(range.end);
            if part.is_empty() || !sys::reserve_again(part.start, part.end - part.start) {
                continue;
            }
            sys::advise(part.start, part.end - part.start, libc::MADV_DONTDUMP);
            self.0.remove(&at);
            if at < part.start {
                self.0.insert(at, (part.start, by));
            }
            if part.end < end {
                self.0.insert(part.end, (end, by));
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
