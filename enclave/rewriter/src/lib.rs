//! Replaces `syscall` instructions in mapped code by jumps to trampolines that enter the runtime.
//!
//! Pure logic: [`scan`] finds the sites of an executable mapping, or [`Parts`] those of a part of one,
//! [`rewrite`] decides on patches and lays out trampolines, and the caller writes both. What isn't certain is left alone: the
//! instruction then traps, which is slow and correct.
//!
//! A trampoline leaves the stack (and so the red zone) and all registers but `rcx` alone, which
//! `syscall` clobbers anyway:
//!
//! ```text
//!         [instructions that stood before the syscall]
//!         lea rcx, [rip + resume]
//!         jmp qword ptr gs:[ENTRY_SLOT]
//! resume: [instructions that stood behind it]
//!         jmp back
//! ```
//!
//! A site gets its jump in the first of these ways that is possible:
//!
//! 1. [`Kind::Following`]: five bytes from the `syscall` on, instructions behind it are displaced.
//! 2. [`Kind::Preceding`]: instructions before it are displaced, usually `mov eax, NUMBER`.
//! 3. [`Kind::Cave`]: a two-byte jump to nearby padding, which holds the long one.
//!
//! What a jump overwrites may be entered elsewhere than at its begin. A displaced instruction that began
//! two bytes behind that, as the one behind a `syscall` does, is *guarded*: the trampoline lies where the
//! jump's third byte is an opcode that raises #UD. So is one that began behind the jump, where breakpoints
//! are. A thread that comes there traps, and [`AddressMap::inside`] tells where it goes on. That is slow, so no
//! place is chosen that a branch nearby may lead to; since branches can't be told from data, every byte
//! counts as the begin of one. Where an instruction that can't be guarded would be displaced, branches
//! within 32 KiB are looked for, and indirect ones aren't excluded: that is for the few sites that leave
//! no other way.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod decode;
mod length;
mod map;
mod parts;
mod place;
mod relocate;
mod room;
mod sites;
mod surroundings;
mod targets;
mod trampoline;

use alloc::vec::Vec;

pub use map::{AddressMap, Inside, Moved};
pub use parts::Parts;
pub use place::rewrite;
pub use sites::{Sites, scan};

/// Offset from `gs` of the runtime's entry address in the per-thread data.
pub const ENTRY_SLOT: u32 = 0x40;

/// One executable mapping.
#[derive(Clone, Copy, Debug)]
pub struct Code<'a> {
    /// All its bytes.
    pub bytes: &'a [u8],
    /// Address of the first byte; the last one's must not overflow.
    pub addr: u64,
}

impl Code<'_> {
    /// Address of the byte at `offset`.
    const fn at(&self, offset: usize) -> u64 {
        self.addr.wrapping_add(offset as u64)
    }

    /// Bytes from `offset` on.
    fn from(&self, offset: usize) -> &[u8] {
        self.bytes.get(offset..).unwrap_or_default()
    }
}

/// Free memory for trampolines.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    /// Its first address, within 2 GiB of the code.
    pub addr: u64,
    /// Its size in bytes.
    pub size: usize,
}

/// Bytes to write over code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Address of the first byte.
    pub addr: u64,
    len: usize,
    bytes: [u8; Patch::MAX],
}

impl Patch {
    /// Longest patch in bytes.
    const MAX: usize = 24;

    /// A patch of `len` bytes that begins with `code`; breakpoints fill the rest.
    fn new(addr: u64, code: &[u8], len: usize) -> Option<Self> {
        let mut bytes = [0xcc; Self::MAX];
        bytes.get_mut(..code.len())?.copy_from_slice(code);
        (code.len() <= len && len <= Self::MAX).then_some(Self { addr, len, bytes })
    }

    /// What to write.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Address after the last byte.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.addr + self.len as u64
    }
}

/// How a site was rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Instructions behind the `syscall` were displaced.
    Following,
    /// Instructions before it were displaced.
    Preceding,
    /// A short jump leads to a long one in padding.
    Cave,
}

/// Why a site was left to trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It returns from a signal: unwinders know such frames by the bytes of this code.
    SignalReturn,
    /// Instructions around it can't be moved, and no padding is near.
    NoPlace,
    /// The trampoline, or what a displaced instruction refers to, is out of reach.
    OutOfReach,
    /// The area for trampolines is full.
    NoRoom,
}

/// Counts of sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Byte pairs that weren't taken for instructions.
    pub unconfirmed: usize,
    /// Rewritten with [`Kind::Following`].
    pub following: usize,
    /// Rewritten with [`Kind::Preceding`].
    pub preceding: usize,
    /// Rewritten with [`Kind::Cave`].
    pub cave: usize,
    /// [`Left::SignalReturn`].
    pub signal_return: usize,
    /// [`Left::NoPlace`].
    pub no_place: usize,
    /// [`Left::OutOfReach`].
    pub out_of_reach: usize,
    /// [`Left::NoRoom`].
    pub no_room: usize,
}

impl Stats {
    /// All sites that were rewritten.
    #[must_use]
    pub const fn rewritten(&self) -> usize {
        self.following + self.preceding + self.cave
    }

    /// All sites that were left to trap, without the unconfirmed ones.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.signal_return + self.no_place + self.out_of_reach + self.no_room
    }

    /// Adds the counts of another mapping.
    pub const fn add(&mut self, other: &Self) {
        self.unconfirmed += other.unconfirmed;
        self.following += other.following;
        self.preceding += other.preceding;
        self.cave += other.cave;
        self.signal_return += other.signal_return;
        self.no_place += other.no_place;
        self.out_of_reach += other.out_of_reach;
        self.no_room += other.no_room;
    }

    const fn count(&mut self, result: Result<Kind, Left>) {
        let counter = match result {
            Ok(Kind::Following) => &mut self.following,
            Ok(Kind::Preceding) => &mut self.preceding,
            Ok(Kind::Cave) => &mut self.cave,
            Err(Left::SignalReturn) => &mut self.signal_return,
            Err(Left::NoPlace) => &mut self.no_place,
            Err(Left::OutOfReach) => &mut self.out_of_reach,
            Err(Left::NoRoom) => &mut self.no_room,
        };
        *counter += 1;
    }
}

/// What became of a mapping.
#[derive(Clone, Debug, Default)]
pub struct Rewritten {
    /// To write over the code, in no particular order. They don't overlap.
    pub patches: Vec<Patch>,
    /// To write at the begin of the area.
    pub trampolines: Vec<u8>,
    /// Which address went where, for [`AddressMap::add`].
    pub moved: Moved,
    /// What became of each site: its address and the outcome.
    pub sites: Vec<(u64, Result<Kind, Left>)>,
    /// Counts.
    pub stats: Stats,
}
