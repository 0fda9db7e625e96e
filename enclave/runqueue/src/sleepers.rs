//! Which enclave threads sleep, and which one searches for work.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::set::Set;

/// The set of enclave threads that sleep outside, and whether one of them is on its way back.
///
/// No wake-up is lost: whoever queues a thread looks here afterwards, and whoever falls asleep looks
/// at the queues after [`Self::fall_asleep`]. Of two that do so at once, one sees the other, as all
/// of these accesses are sequentially consistent.
#[derive(Debug, Default)]
pub struct Sleepers {
    asleep: Set,
    searching: AtomicBool,
}

impl Sleepers {
    /// Nobody sleeps.
    #[must_use]
    pub const fn new() -> Self {
        Self { asleep: Set::new(), searching: AtomicBool::new(false) }
    }

    /// Whether anybody sleeps.
    #[must_use]
    pub fn any(&self) -> bool {
        !self.asleep.is_empty()
    }

    /// Whether `index` sleeps.
    #[must_use]
    pub fn contains(&self, index: usize) -> bool {
        self.asleep.contains(index)
    }

    /// Becomes the one that searches; `false` if there is one.
    pub fn begin_search(&self) -> bool {
        !self.searching.load(Ordering::SeqCst) && !self.searching.swap(true, Ordering::SeqCst)
    }

    /// Ends the search: work was found. If there is more, another one is to be woken for it.
    pub fn end_search(&self) {
        self.searching.store(false, Ordering::SeqCst);
    }

    /// Whether one searches: what is queued now will be found by it.
    #[must_use]
    pub fn searching(&self) -> bool {
        self.searching.load(Ordering::SeqCst)
    }

    /// Says that `index` is about to sleep, and ends its search if it was `searching`. It must look
    /// at the queues once more afterwards.
    pub fn fall_asleep(&self, index: usize, searching: bool) {
        self.asleep.insert(index);
        if searching {
            self.end_search();
        }
    }

    /// Says that `index` is awake. If it was claimed ([`Self::claim`]) it is searching now: `true`.
    pub fn wake_up(&self, index: usize) -> bool {
        !self.asleep.remove(index)
    }

    /// Takes one that sleeps, to wake it: it will search. `None` if nobody sleeps, or one searches
    /// already.
    pub fn claim(&self) -> Option<usize> {
        if !self.any() || !self.begin_search() {
            return None;
        }
        let claimed = self.asleep.take_lowest();
        if claimed.is_none() {
            self.end_search();
        }
        claimed
    }
}
