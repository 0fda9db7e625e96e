//! Who waits on which futex.

use alloc::collections::BTreeMap;

/// The place of a waiter in the queue of its futex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    /// Address of the futex.
    pub address: u64,
    /// When the wait began: the order in which waiters are woken.
    pub since: u64,
    /// Thread id, for those that began at once: a thread waits on one futex at a time.
    pub tid: u32,
}

/// The waiters of some futexes, in the order in which they are woken. All operations take time that
/// grows with the logarithm of how many there are.
#[derive(Debug)]
pub struct Waiters<T>(BTreeMap<Ticket, (u32, T)>);

impl<T> Waiters<T> {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a waiter that is woken by sets which have a bit in common with `bitset`.
    pub fn add(&mut self, ticket: Ticket, bitset: u32, waiter: T) {
        self.0.insert(ticket, (bitset, waiter));
    }

    /// Takes a waiter out; `None` if it is not there.
    pub fn remove(&mut self, ticket: &Ticket) -> Option<T> {
        self.0.remove(ticket).map(|(_, waiter)| waiter)
    }

    /// Takes out up to `count` of those that wait on `address` and have a bit in common with
    /// `bitset`, with their tickets and bitsets.
    pub fn take(
        &mut self,
        address: u64,
        count: u32,
        bitset: u32,
    ) -> impl Iterator<Item = (Ticket, u32, T)> {
        let first = Ticket { address, since: 0, tid: 0 };
        let last = Ticket { address, since: u64::MAX, tid: u32::MAX };
        self.0
            .extract_if(first..=last, move |_, (own, _)| *own & bitset != 0)
            .take(usize::try_from(count).unwrap_or(usize::MAX))
            .map(|(ticket, (own, waiter))| (ticket, own, waiter))
    }
}

impl<T> Default for Waiters<T> {
    fn default() -> Self {
        Self::new()
    }
}
