//! Staging memory: pieces of the untrusted arena. The bookkeeping is inside.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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

/// Classes of which enclave threads keep free pieces for themselves, up to 64 KiB: beside the copying of more than
/// that, a lock is nothing.
const KEPT_CLASSES: usize = 9;
/// Most pieces of a class that an enclave thread keeps: they fill a cache line with their count. So each keeps less
/// than 1 MiB of the arena from the others.
const MOST: usize = 7;
/// Pieces that come from the arena, or go there, at once, if there are so many. A server that posts a call for each
/// of its connections holds more than a thread keeps: so not each of them takes the lock.
const BATCH: usize = 4;

/// Addresses of free pieces of one class that one enclave thread keeps for itself. Only that thread looks, and no
/// other thread of the program runs on it meanwhile: so it takes no atomic exchange, and no lock.
#[repr(align(64))]
struct Spares {
    count: AtomicUsize,
    pieces: [AtomicU64; MOST],
}

static SPARES: [[Spares; KEPT_CLASSES]; to_usize(TCS_COUNT)] =
    [const { [const { Spares::new() }; KEPT_CLASSES] }; to_usize(TCS_COUNT)];

impl Spares {
    const fn new() -> Self {
        Self { count: AtomicUsize::new(0), pieces: [const { AtomicU64::new(0) }; MOST] }
    }

    /// Those of this enclave thread, if it keeps pieces of that class.
    fn of(class: usize) -> Option<&'static Self> {
        SPARES.get(to_usize(tcs_index()))?.get(class)
    }

    /// Takes the last piece, of so many bytes.
    #[inline(always)]
    fn pop(&self, size: u64) -> Option<HostSlice> {
        let last = self.count.load(Ordering::Relaxed).checked_sub(1)?;
        let address = self.pieces.get(last)?.load(Ordering::Relaxed);
        self.count.store(last, Ordering::Relaxed);
        HostSlice::new(address, size).ok()
    }

    /// Returns whether there was room for the piece.
    #[inline(always)]
    fn push(&self, piece: HostSlice) -> bool {
        let count = self.count.load(Ordering::Relaxed);
        let place = self.pieces.get(count);
        if let Some(place) = place {
            place.store(piece.address(), Ordering::Relaxed);
            self.count.store(count + 1, Ordering::Relaxed);
        }
        place.is_some()
    }
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
        match Spares::of(class).and_then(|spares| spares.pop(size_of_class(class))) {
            Some(piece) => Ok(Self { piece, class }),
            None => Self::from_arena(class),
        }
    }

    #[cold]
    fn from_arena(class: usize) -> Result<Self, Errno> {
        let mut arena = ARENA.lock();
        let free = &mut arena.free[class];
        if let Some(piece) = free.pop() {
            if let Some(spares) = Spares::of(class) {
                let more = free.len().saturating_sub(BATCH - 1);
                free.drain(more..).for_each(|piece| assert!(spares.push(piece)));
            }
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
        let mut arena = ARENA.lock();
        let free = &mut arena.free[self.class];
        free.push(self.piece);
        if let Some(spares) = Spares::of(self.class) {
            free.extend((1..BATCH).map_while(|_| spares.pop(size_of_class(self.class))));
        }
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
        if !Spares::of(self.class).is_some_and(|spares| spares.push(self.piece)) {
            self.to_arena();
        }
    }
}
