//! A ring between two threads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use scone_ring::{CAPACITY, Consumer, Producer, WORDS, Words, sleep_word};

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
    entries_come_out(Memory::new());
}

/// What lies in the words that nobody uses changes nothing.
#[test]
fn words_of_nobody_do_not_matter() {
    let memory = Memory::new();
    let used = |index| index == 0 || index == sleep_word() || (16..16 + CAPACITY).contains(&index);
    let others: Vec<_> = (0..WORDS).filter(|&index| !used(index)).collect();
    assert!(!others.is_empty());
    others.iter().for_each(|&index| memory.store(index, u64::MAX));
    entries_come_out(memory.clone());
    assert!(others.iter().all(|&index| memory.load(index) == u64::MAX));
}

fn entries_come_out(memory: Memory) {
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
    let hint = memory.clone();
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
            hint.store(sleep_word(), 0);
        }
    }
    host.join().unwrap();
}
