//! The calls of one sender in the list.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Where the calls of a sender stand in the list: a part of the sender, so that nobody has to search for them.
///
/// They leave the list in the order in which they came, but for the last one, which may be taken back. So two
/// counters say which is the first and how many there are, as those of a ticket lock do.
///
/// Only the list touches it, with its lock held; what is in it is atomic because senders are shared.
#[derive(Debug, Default)]
pub struct Queue {
    /// Ticket of the next call.
    next: AtomicU64,
    /// Ticket of the first call that is in the list.
    first: AtomicU64,
    /// Number of the last piece, 0 for none. It may have left the list.
    piece: AtomicU64,
    /// The last carrier that took calls of it along.
    carrier: AtomicU64,
}

impl Queue {
    /// A call comes. Returns its ticket.
    pub(super) fn push(&self) -> u64 {
        let ticket = self.next.load(Relaxed);
        self.next.store(ticket + 1, Relaxed);
        ticket
    }

    /// The first call leaves.
    pub(super) fn pop(&self) {
        self.first.store(self.first.load(Relaxed) + 1, Relaxed);
    }

    /// The last call, a piece, is taken back. `before` is the number of the piece before it.
    pub(super) fn take_back(&self, before: u64) {
        self.next.store(self.next.load(Relaxed) - 1, Relaxed);
        self.piece.store(before, Relaxed);
    }

    pub(super) fn is_first(&self, ticket: u64) -> bool {
        self.first.load(Relaxed) == ticket
    }

    pub(super) fn is_last(&self, ticket: u64) -> bool {
        self.next.load(Relaxed) == ticket + 1
    }

    /// Calls in the list.
    pub(super) fn len(&self) -> u64 {
        self.next.load(Relaxed) - self.first.load(Relaxed)
    }

    /// Number of the last piece, 0 for none.
    pub(super) fn piece(&self) -> u64 {
        self.piece.load(Relaxed)
    }

    pub(super) fn set_piece(&self, number: u64) {
        self.piece.store(number, Relaxed);
    }

    /// Whether `carrier` takes calls of it along.
    pub(super) fn is_taken_by(&self, carrier: u64) -> bool {
        self.carrier.load(Relaxed) == carrier
    }

    pub(super) fn take_by(&self, carrier: u64) {
        self.carrier.store(carrier, Relaxed);
    }
}
