//! Which enclave threads wait outside, and may be called in.

use crate::set::Set;

/// The set of enclave threads that wait outside in a call that can be made again: they are called in for
/// work that nobody else will do soon.
///
/// No work is forgotten: whoever is about to wait looks at the queues, and whether one searches, after
/// [`Self::enter`]; whoever has searched and found more than it can run looks here after it has ended its
/// search. Of two that do so at once, one sees the other, as all of these accesses are sequentially
/// consistent.
#[derive(Debug, Default)]
pub struct Outside {
    waiting: Set,
    /// Those that were called in, until they have asked.
    called: Set,
}

impl Outside {
    /// Nobody waits outside.
    #[must_use]
    pub const fn new() -> Self {
        Self { waiting: Set::new(), called: Set::new() }
    }

    /// Says that `index` is about to wait outside.
    pub fn enter(&self, index: usize) {
        self.waiting.insert(index);
    }

    /// Says that `index` is back, or did not go.
    pub fn leave(&self, index: usize) {
        if !self.waiting.remove(index) {
            self.called.insert(index);
        }
    }

    /// Whether `index` was called in since it last asked: there is work that it should not leave again.
    pub fn was_called_in(&self, index: usize) -> bool {
        self.called.contains(index) && self.called.remove(index)
    }

    /// Takes one of them, to call it in.
    pub fn call_in(&self) -> Option<usize> {
        self.waiting.take_lowest()
    }
}
