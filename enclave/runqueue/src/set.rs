//! Sets of enclave threads that all of them change.

use core::sync::atomic::{AtomicU64, Ordering};

/// A set of enclave threads, by index. All accesses are sequentially consistent.
#[derive(Debug, Default)]
pub(crate) struct Set(AtomicU64);

impl Set {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }

    pub(crate) fn contains(&self, index: usize) -> bool {
        self.0.load(Ordering::SeqCst) >> index & 1 != 0
    }

    pub(crate) fn insert(&self, index: usize) {
        self.0.fetch_or(1 << index, Ordering::SeqCst);
    }

    /// Whether it was there.
    pub(crate) fn remove(&self, index: usize) -> bool {
        self.0.fetch_and(!(1 << index), Ordering::SeqCst) >> index & 1 != 0
    }

    pub(crate) fn take_lowest(&self) -> Option<usize> {
        let lowest = |set: u64| (set != 0).then(|| set & (set - 1));
        let set = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lowest).ok()?;
        usize::try_from(set.trailing_zeros()).ok()
    }
}
