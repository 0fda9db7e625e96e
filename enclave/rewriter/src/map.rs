//! Where displaced code went, and back.

use alloc::vec::Vec;
use core::ops::Range;

use crate::relocate::jump;

/// Moves of one or more rewritings.
#[derive(Clone, Debug, Default)]
pub struct Moved {
    /// Pieces of trampolines and caves.
    pub(crate) pieces: Vec<Piece>,
    /// Instructions inside patches.
    pub(crate) inside: Vec<Inside>,
}

/// An instruction that stood where a patch is now, behind its begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inside {
    /// Where it stood.
    pub original: u64,
    /// Where it is now.
    pub now: u64,
    /// Where the patch begins.
    pub patch: u64,
    /// Where its jump leads.
    pub(crate) entry: u64,
}

impl Inside {
    /// Bytes of the jump.
    pub const JUMP: usize = crate::surroundings::JUMP;

    /// Whether the patch is still there, as the bytes at its begin tell: the program may have unmapped the
    /// code, or changed it.
    #[must_use]
    pub fn is_there(&self, bytes: &[u8; Self::JUMP]) -> bool {
        jump(self.entry, self.patch).is_ok_and(|jump| jump == *bytes)
    }
}

/// A piece of new code that stands for one original instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) original: u64,
}

/// All moves of an address space.
#[derive(Clone, Debug, Default)]
pub struct AddressMap {
    all: Moved,
    /// Pieces and instructions inside patches are in order, as looking for them needs.
    sorted: bool,
}

impl AddressMap {
    /// An empty map.
    #[must_use]
    pub const fn new() -> Self {
        let all = Moved { pieces: Vec::new(), inside: Vec::new() };
        Self { all, sorted: true }
    }

    /// Adds the moves of a rewriting.
    pub fn add(&mut self, moved: Moved) {
        self.all.pieces.extend(moved.pieces);
        self.all.inside.extend(moved.inside);
        self.sorted = false;
    }

    /// The original instruction that is executed when `rip` is in a trampoline or cave. To show to
    /// the program in place of `rip`.
    #[must_use]
    pub fn original(&mut self, rip: u64) -> Option<u64> {
        self.sort();
        let after = self.all.pieces.partition_point(|piece| piece.start <= rip);
        let piece = self.all.pieces.get(after.checked_sub(1)?)?;
        (rip < piece.end).then_some(piece.original)
    }

    /// The original instruction at `rip`, when it is now inside a patch: where a saved `rip` of the program
    /// is resumed, it goes on there, if the patch [is there](Inside::is_there).
    #[must_use]
    pub fn inside(&mut self, rip: u64) -> Option<Inside> {
        self.sort();
        let index = self.all.inside.binary_search_by_key(&rip, |inside| inside.original).ok()?;
        self.all.inside.get(index).copied()
    }

    /// Forgets the code at `range`, which was unmapped or overwritten. Trampolines for it may still
    /// be executing, so the caller decides when their memory can be used again.
    pub fn remove(&mut self, range: Range<u64>) {
        self.all.pieces.retain(|piece| !range.contains(&piece.original));
        self.all.inside.retain(|inside| !range.contains(&inside.original));
    }

    /// Most programs start without ever asking where code went.
    fn sort(&mut self) {
        if !self.sorted {
            self.all.pieces.sort_unstable();
            self.all.inside.sort_unstable();
            self.sorted = true;
        }
    }
}
