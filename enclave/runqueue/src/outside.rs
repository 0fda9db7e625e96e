//! Which enclave threads wait outside, and may be called in.

use core::sync::atomic::{AtomicU64, Ordering};

/// The set of enclave threads that wait outside in a call that can be made again: they are called in for
/// work that nobody else will do soon.
///
/// No work is forgotten: whoever is about to wait looks at the queues, and whether one searches, after
/// [`Self::enter`]; whoever has searched and found more than it can run looks here after it has ended its
/// search. Of two that do so at once, one sees the other, as all of these accesses are sequentially
/// consistent.
#[derive(Debug, Default)]
pub struct Outside(AtomicU64);

impl Outside {
    /// Nobody waits outside.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Says that `index` is about to wait outside.
    pub fn enter(&self, index: usize) {
        self.0.fetch_or(1 << index, Ordering::SeqCst);
    }

    /// Says that `index` is back, or did not go.
    pub fn leave(&self, index: usize) {
        self.0.fetch_and(!(1 << index), Ordering::SeqCst);
    }

    /// Takes one of them, to call it in.
    pub fn call_in(&self) -> Option<usize> {
        let lowest = |set: u64| (set != 0).then(|| set & (set - 1));
        let set = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lowest).ok()?;
        usize::try_from(set.trailing_zeros()).ok()
    }
}
