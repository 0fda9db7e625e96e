//! A queue over untrusted memory: one producer in the enclave, one consumer on the host.
//!
//! Design principles:
//!
//! * **Whole 64-bit words only**, through [`Words`]: neither side ever has a reference to the
//!   shared memory, so no contents of it can break an invariant of the language.
//! * **Nothing in it is trusted.** The producer keeps its index to itself and never reads what the
//!   consumer writes, except for the hint that the consumer sleeps; a wrong hint costs a wake-up or
//!   delays one, no more. How many entries are outstanding, the producer must know by other means
//!   (it waits for the replies), and never pushes more than [`CAPACITY`] at a time.
//! * **No wake-up is lost**: the producer publishes and then looks at the hint, the consumer sets
//!   the hint and then looks for entries, each with a full fence in between. All interleavings are
//!   tried by a test (with [Loom](https://docs.rs/loom)), which also shows that it takes the fence.
//! * **What is staged is published at once**: several entries cost one store that the consumer
//!   waits for, and one look at the hint.

#![no_std]

use core::sync::atomic::{Ordering, fence};

/// Most entries that may be outstanding.
pub const CAPACITY: u64 = 256;
/// Word that holds the number of entries pushed so far.
const TAIL: u64 = 0;
/// Word that is 1 while the consumer sleeps, on another cache line than the tail.
const SLEEPING: u64 = 8;
/// First word of the entries.
const ENTRIES: u64 = 16;
/// Words of a ring, rounded up to whole pages.
pub const WORDS: u64 = 512;

const _: () = assert!(ENTRIES + CAPACITY <= WORDS && CAPACITY.is_power_of_two());

/// Shared memory, by the index of its words. Loads and stores must be atomic, with at least
/// acquire and release ordering.
pub trait Words {
    /// Reads a word once.
    fn load(&self, index: u64) -> u64;
    /// Writes a word once.
    fn store(&self, index: u64, value: u64);
    /// Orders what comes before it, stores too, before all that comes after it.
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

/// The index of the word on which the consumer sleeps (1 while it does).
#[must_use]
pub const fn sleep_word() -> u64 {
    SLEEPING
}

fn slot(index: u64) -> u64 {
    ENTRIES + index % CAPACITY
}

/// The end in the enclave.
#[derive(Debug)]
pub struct Producer<W> {
    words: W,
    /// Entries that were staged so far.
    tail: u64,
}

impl<W: Words> Producer<W> {
    /// Takes a ring that nobody has used yet.
    pub const fn new(words: W) -> Self {
        Self { words, tail: 0 }
    }

    /// Writes an entry that the consumer does not see yet.
    ///
    /// The caller makes sure that no more than [`CAPACITY`] entries are outstanding.
    pub fn stage(&mut self, entry: u64) {
        self.words.store(slot(self.tail), entry);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Publishes what was staged. Returns whether the consumer seems to sleep and must be woken.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        self.words.store(TAIL, self.tail);
        self.words.fence();
        self.words.load(SLEEPING) != 0
    }

    /// Stages one entry and publishes it.
    #[must_use]
    pub fn push(&mut self, entry: u64) -> bool {
        self.stage(entry);
        self.publish()
    }
}

/// The end on the host.
#[derive(Debug)]
pub struct Consumer<W> {
    words: W,
    head: u64,
}

impl<W: Words> Consumer<W> {
    /// Takes a ring that nobody has used yet.
    pub const fn new(words: W) -> Self {
        Self { words, head: 0 }
    }

    /// Takes the next entry, if there is one.
    pub fn pop(&mut self) -> Option<u64> {
        if self.words.load(TAIL) == self.head {
            return None;
        }
        let entry = self.words.load(slot(self.head));
        self.head = self.head.wrapping_add(1);
        Some(entry)
    }

    /// Says that the consumer is about to sleep on [`sleep_word`]. Returns whether it may: if not,
    /// there is an entry already.
    #[must_use]
    pub fn prepare_sleep(&mut self) -> bool {
        self.words.store(SLEEPING, 1);
        self.words.fence();
        let may = self.words.load(TAIL) == self.head;
        if !may {
            self.wake();
        }
        may
    }

    /// Says that the consumer is awake.
    pub fn wake(&mut self) {
        self.words.store(SLEEPING, 0);
    }
}
