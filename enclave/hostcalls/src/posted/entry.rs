//! One call in the list.

use alloc::sync::Arc;

use enclave_threads::Thread;
use hostcall_abi::request::{self, state};

use super::{Kind, Sender, has_both_ends};
use crate::Call;

/// For whom a call was posted.
pub(super) struct Of {
    pub(super) sender: Arc<dyn Sender>,
    pub(super) kind: Kind,
}

impl Of {
    pub(super) fn has_sender_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.sender, &other.sender)
    }

    pub(super) const fn is_piece(&self) -> bool {
        matches!(self.kind, Kind::Piece(_) | Kind::Write(_))
    }
}

/// Who posted a call; nobody, on a scheduler's stack.
pub(super) type Poster = Option<Arc<Thread>>;

/// Whether both are the same.
pub(super) fn same(one: &Poster, other: &Poster) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// A call, and where it stands.
pub(super) struct Entry {
    pub(super) call: Call,
    pub(super) of: Option<Of>,
    /// Entries are counted for ever.
    pub(super) number: u64,
    pub(super) by: Poster,
    /// The piece before, which may be done.
    pub(super) after: Option<u64>,
    /// Who takes it along, 0 for nobody yet.
    pub(super) carrier: u64,
    /// Whether it was made, as its carrier has seen.
    pub(super) done: bool,
}

impl Entry {
    pub(super) fn has_sender_of(&self, other: &Self) -> bool {
        matches!((&self.of, &other.of), (Some(of), Some(other)) if of.has_sender_of(other))
    }

    fn kind(&self) -> Option<Kind> {
        self.of.as_ref().map(|of| of.kind)
    }

    pub(super) fn is_taking(&self) -> bool {
        matches!(self.kind(), Some(Kind::Taking(_)))
    }

    /// Whether no call of any thread may overtake it, for another thread or process may know of it.
    pub(super) fn is_for_all(&self) -> bool {
        match self.kind() {
            Some(Kind::Taking(_) | Kind::Write(_)) => true,
            Some(Kind::Piece(_)) => has_both_ends(),
            Some(Kind::Question) | None => false,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        let made = || self.call.memory().word(request::STATE).read() == state::DONE;
        self.done || self.carrier != 0 && made()
    }
}
