//! Staging memory: pieces of the untrusted arena. The bookkeeping is inside.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{HostSlice, Mutex, tcs_index, to_usize};
use hostcall_abi::layout::TCS_COUNT;

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

/// Addresses of free pieces that one enclave thread keeps for itself, one of each class; 0 for none.
/// Only that thread looks, and no other thread of the program runs on it meanwhile: so it takes no
/// atomic exchange, and no lock.
#[repr(align(64))]
struct Spares([AtomicU64; CLASSES]);

static SPARES: [Spares; to_usize(TCS_COUNT)] =
    [const { Spares([const { AtomicU64::new(0) }; CLASSES]) }; to_usize(TCS_COUNT)];

fn spare(class: usize) -> Option<&'static AtomicU64> {
    SPARES.get(to_usize(tcs_index()))?.0.get(class)
}

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

const fn size_of_class(class: usize) -> u64 {
    1 << (SMALLEST as usize + class)
}

impl Staging {
    /// Largest piece in bytes.
    pub const LARGEST: u64 = size_of_class(CLASSES - 1);

    /// Takes a piece of at least `bytes` bytes.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if it is larger than [`Self::LARGEST`] or the arena is used up.
    #[inline(always)]
    pub fn new(bytes: u64) -> Result<Self, Errno> {
        let class = class_of(bytes).ok_or(Errno::ENOMEM)?;
        let Some(spare) = spare(class) else { return Self::from_arena(class) };
        match HostSlice::new(spare.load(Ordering::Relaxed), size_of_class(class)) {
            Ok(piece) => {
                spare.store(0, Ordering::Relaxed);
                Ok(Self { piece, class })
            }
            Err(_) => Self::from_arena(class),
        }
    }

    #[cold]
    fn from_arena(class: usize) -> Result<Self, Errno> {
        let mut arena = ARENA.lock();
        if let Some(piece) = arena.free[class].pop() {
            return Ok(Self { piece, class });
        }
        let size = size_of_class(class);
        let rest = arena.rest.ok_or(Errno::ENOMEM)?;
        let skip = rest.address().next_multiple_of(128) - rest.address();
        if rest.len() < skip || rest.len() - skip < size {
            return Err(Errno::ENOMEM);
        }
        let piece = rest.part(skip, size);
        arena.rest = Some(rest.part(skip + size, rest.len() - skip - size));
        Ok(Self { piece, class })
    }

    #[cold]
    fn to_arena(&self) {
        ARENA.lock().free[self.class].push(self.piece);
    }

    /// The host memory.
    #[must_use]
    pub fn memory(&self) -> HostSlice {
        self.piece
    }
}

impl Drop for Staging {
    #[inline]
    fn drop(&mut self) {
        match spare(self.class) {
            Some(spare) if spare.load(Ordering::Relaxed) == 0 => {
                spare.store(self.piece.address(), Ordering::Relaxed);
            }
            _ => self.to_arena(),
        }
    }
}
