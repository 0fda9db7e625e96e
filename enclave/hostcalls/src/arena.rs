//! Staging memory: pieces of the untrusted arena. The bookkeeping is inside.

use alloc::vec::Vec;

use enclave_core::{HostSlice, Mutex};

use crate::Errno;

/// Smallest piece is 2^8 bytes, the largest 2^(8 + CLASSES - 1).
const SMALLEST: u32 = 8;
const CLASSES: usize = 20;

struct Arena {
    rest: Option<HostSlice>,
    free: [Vec<HostSlice>; CLASSES],
}

static ARENA: Mutex<Arena> =
    Mutex::new(Arena { rest: None, free: [const { Vec::new() }; CLASSES] });

/// Takes the arena.
pub fn init(arena: HostSlice) {
    ARENA.lock().rest = Some(arena);
}

/// A piece of staging memory, aligned to 128 bytes; given back when dropped.
#[derive(Debug)]
pub struct Staging {
    piece: HostSlice,
    class: usize,
}

fn class_of(bytes: u64) -> Option<usize> {
    let bits = bytes.max(1).checked_next_power_of_two()?.trailing_zeros().max(SMALLEST);
    usize::try_from(bits - SMALLEST).ok().filter(|&class| class < CLASSES)
}

impl Staging {
    /// Largest piece in bytes.
    pub const LARGEST: u64 = 1 << (SMALLEST as usize + CLASSES - 1);

    /// Takes a piece of at least `bytes` bytes.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if it is larger than [`Self::LARGEST`] or the arena is used up.
    pub fn new(bytes: u64) -> Result<Self, Errno> {
        let class = class_of(bytes).ok_or(Errno::ENOMEM)?;
        let mut arena = ARENA.lock();
        if let Some(piece) = arena.free[class].pop() {
            return Ok(Self { piece, class });
        }
        let size = 1_u64 << (u64::from(SMALLEST) + class as u64);
        let rest = arena.rest.ok_or(Errno::ENOMEM)?;
        let skip = rest.address().next_multiple_of(128) - rest.address();
        if rest.len() < skip || rest.len() - skip < size {
            return Err(Errno::ENOMEM);
        }
        let piece = rest.part(skip, size);
        arena.rest = Some(rest.part(skip + size, rest.len() - skip - size));
        Ok(Self { piece, class })
    }

    /// The host memory.
    #[must_use]
    pub fn memory(&self) -> HostSlice {
        self.piece
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        ARENA.lock().free[self.class].push(self.piece);
    }
}
