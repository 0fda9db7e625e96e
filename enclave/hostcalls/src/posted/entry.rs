//! One call in the list.

use alloc::sync::Arc;

use hostcall_abi::request::{self, state};

use super::{Kind, Queue, Sender, has_both_ends};
use crate::Call;

/// For whom a call was posted.
pub(super) struct Of {
    pub(super) sender: Arc<dyn Sender>,
    pub(super) kind: Kind,
}

impl Of {
    pub(super) const fn is_piece(&self) -> bool {
        matches!(self.kind, Kind::Piece(_) | Kind::Write(_))
    }
}

/// A call, and where it stands.
pub(super) struct Entry {
    pub(super) call: Call,
    pub(super) of: Option<Of>,
    /// Entries are counted for ever, from 1 on.
    pub(super) number: u64,
    /// Its place among the calls of its sender.
    pub(super) ticket: u64,
    /// Whose it is among the posters.
    pub(super) by: usize,
    /// Number of the piece before, which may be done; 0 for none.
    pub(super) after: u64,
    /// Number of the piece behind, 0 for none. It may have been taken back.
    pub(super) behind: u64,
    /// Who takes it along, 0 for nobody yet.
    pub(super) carrier: u64,
    /// Whether it was made, as its carrier has seen.
    pub(super) done: bool,
}

impl Entry {
    pub(super) fn queue(&self) -> Option<&Queue> {
        self.of.as_ref().map(|of| of.sender.queue())
    }

    /// Whether no other call of its sender is before it.
    pub(super) fn is_first(&self) -> bool {
        self.queue().is_none_or(|queue| queue.is_first(self.ticket))
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
