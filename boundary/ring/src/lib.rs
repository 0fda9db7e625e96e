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
//!   the hint and then looks for entries, each with a full fence in between.

#![cfg_attr(not(test), no_std)]

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
    tail: u64,
}

impl<W: Words> Producer<W> {
    /// Takes a ring that nobody has used yet.
    pub const fn new(words: W) -> Self {
        Self { words, tail: 0 }
    }

    /// Publishes an entry. Returns whether the consumer seems to sleep and must be woken.
    ///
    /// The caller makes sure that no more than [`CAPACITY`] entries are outstanding.
    #[must_use]
    pub fn push(&mut self, entry: u64) -> bool {
        self.words.store(slot(self.tail), entry);
        self.tail = self.tail.wrapping_add(1);
        fence(Ordering::Release);
        self.words.store(TAIL, self.tail);
        fence(Ordering::SeqCst);
        self.words.load(SLEEPING) != 0
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
        fence(Ordering::Acquire);
        let entry = self.words.load(slot(self.head));
        self.head = self.head.wrapping_add(1);
        Some(entry)
    }

    /// Says that the consumer is about to sleep on [`sleep_word`]. Returns whether it may: if not,
    /// there is an entry already.
    #[must_use]
    pub fn prepare_sleep(&mut self) -> bool {
        self.words.store(SLEEPING, 1);
        fence(Ordering::SeqCst);
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

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        thread,
    };

    use super::*;

    #[derive(Clone)]
    struct Memory(Arc<Vec<AtomicU64>>);

    impl Memory {
        fn new() -> Self {
            Self(Arc::new((0..WORDS).map(|_| AtomicU64::new(0)).collect()))
        }
    }

    impl Words for Memory {
        fn load(&self, index: u64) -> u64 {
            self.0[usize::try_from(index).unwrap()].load(Ordering::Acquire)
        }

        fn store(&self, index: u64, value: u64) {
            self.0[usize::try_from(index).unwrap()].store(value, Ordering::Release);
        }
    }

    #[test]
    fn entries_come_out_in_order_and_once() {
        let memory = Memory::new();
        let (mut producer, mut consumer) = (Producer::new(memory.clone()), Consumer::new(memory));
        for round in 0..1000 {
            for entry in 0..CAPACITY {
                assert!(!producer.push(round * CAPACITY + entry));
            }
            for entry in 0..CAPACITY {
                assert_eq!(consumer.pop(), Some(round * CAPACITY + entry));
            }
            assert_eq!(consumer.pop(), None);
        }
    }

    #[test]
    fn a_sleeping_consumer_is_seen() {
        let memory = Memory::new();
        let (mut producer, mut consumer) = (Producer::new(memory.clone()), Consumer::new(memory));
        assert!(consumer.prepare_sleep());
        assert!(producer.push(1), "the producer must wake the consumer");
        consumer.wake();
        assert!(!producer.push(2));
        assert!(!consumer.prepare_sleep(), "two entries wait");
        assert_eq!((consumer.pop(), consumer.pop(), consumer.pop()), (Some(1), Some(2), None));
    }

    #[test]
    fn no_wake_up_is_lost() {
        const ENTRIES: u64 = 200_000;
        let memory = Memory::new();
        let (mut producer, mut consumer) =
            (Producer::new(memory.clone()), Consumer::new(memory.clone()));
        let done = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&done);
        let host = thread::spawn(move || {
            for expected in 1..=ENTRIES {
                let entry = loop {
                    match consumer.pop() {
                        Some(entry) => break entry,
                        None if consumer.prepare_sleep() => {
                            // Only the producer ends this sleep: a lost wake-up hangs the test.
                            while memory.load(sleep_word()) == 1 {
                                thread::yield_now();
                            }
                        }
                        None => {}
                    }
                };
                assert_eq!(entry, expected);
                seen.store(expected, Ordering::Release);
            }
        });
        for entry in 1..=ENTRIES {
            while entry - done.load(Ordering::Acquire) > CAPACITY {
                thread::yield_now();
            }
            if producer.push(entry) {
                producer.words.store(SLEEPING, 0);
            }
        }
        host.join().unwrap();
    }

    /// Whatever the host writes, the producer stores only into its slots and the tail.
    #[test]
    fn hostile_contents_move_nothing() {
        for poison in [0, 1, u64::MAX, 1 << 63, CAPACITY, CAPACITY + 1] {
            let memory = Memory::new();
            for index in 0..WORDS {
                memory.store(index, poison);
            }
            let mut producer = Producer::new(memory.clone());
            for entry in 0..3 * CAPACITY {
                let woke = producer.push(!entry);
                assert_eq!(woke, poison != 0);
                assert_eq!(memory.load(slot(entry)), !entry);
                assert_eq!(memory.load(TAIL), entry + 1);
            }
            assert_eq!(memory.load(SLEEPING), poison);
        }
    }
}
