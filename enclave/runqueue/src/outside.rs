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
pub struct Outside(Set);

impl Outside {
    /// Nobody waits outside.
    #[must_use]
    pub const fn new() -> Self {
        Self(Set::new())
    }

    /// Says that `index` is about to wait outside.
    pub fn enter(&self, index: usize) {
        self.0.insert(index);
    }

    /// Says that `index` is back, or did not go.
    pub fn leave(&self, index: usize) {
        self.0.remove(index);
    }

    /// Takes one of them, to call it in.
    pub fn call_in(&self) -> Option<usize> {
        self.0.take_lowest()
    }
}
