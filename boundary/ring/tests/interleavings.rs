//! All interleavings of a producer and a consumer, by Loom.

use loom::{
    sync::{
        Arc, Notify,
        atomic::{AtomicU64, Ordering, fence},
    },
    thread,
};
use scone_ring::{Consumer, Producer, Words, sleep_word};

/// The words that two or three entries use, and whether the fence is one.
struct Memory<const FENCE: bool>(Vec<AtomicU64>);

impl<const FENCE: bool> Memory<FENCE> {
    fn new() -> Arc<Self> {
        Arc::new(Self((0..5).map(|_| AtomicU64::new(0)).collect()))
    }

    fn word(&self, index: u64) -> &AtomicU64 {
        let place = match index {
            0 => 0,
            at if at == sleep_word() => 1,
            entry => entry - 16 + 2,
        };
        &self.0[usize::try_from(place).unwrap()]
    }
}

struct Shared<const FENCE: bool>(Arc<Memory<FENCE>>);

impl<const FENCE: bool> Words for Shared<FENCE> {
    fn load(&self, index: u64) -> u64 {
        self.0.word(index).load(Ordering::Acquire)
    }

    fn store(&self, index: u64, value: u64) {
        self.0.word(index).store(value, Ordering::Release);
    }

    fn fence(&self) {
        if FENCE {
            fence(Ordering::SeqCst);
        }
    }
}

/// Hands `batches` over to a consumer that sleeps whenever it may: if a wake-up is lost, it sleeps
/// for ever, which Loom reports.
fn hand_over<const FENCE: bool>(batches: &'static [u64]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let memory = Memory::<FENCE>::new();
        let bell = Arc::new(Notify::new());
        let mut consumer = Consumer::new(Shared(Arc::clone(&memory)));
        let asleep = Arc::clone(&bell);
        let host = thread::spawn(move || {
            for expected in 1..=batches.iter().sum() {
                let entry = loop {
                    if let Some(entry) = consumer.pop() {
                        break entry;
                    }
                    if consumer.prepare_sleep() {
                        asleep.wait();
                        consumer.wake();
                    }
                };
                assert_eq!(entry, expected);
            }
        });
        let mut producer = Producer::new(Shared(memory));
        let mut entry = 0;
        for &batch in batches {
            for _ in 0..batch {
                entry += 1;
                producer.stage(entry);
            }
            if producer.publish() {
                bell.notify();
            }
        }
        host.join().unwrap();
    });
}

#[test]
fn entries_arrive_in_order_and_no_wake_up_is_lost() {
    hand_over::<true>(&[1, 1]);
}

#[test]
fn batches_arrive_whole() {
    hand_over::<true>(&[2, 1]);
}

/// Whether there is an interleaving in which the consumer sleeps on an entry, and the producer
/// does not know that it must wake it.
fn can_lose_a_wake_up<const FENCE: bool>() -> bool {
    let lost = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let found = std::sync::Arc::clone(&lost);
    loom::model(move || {
        let memory = Memory::<FENCE>::new();
        let mut consumer = Consumer::new(Shared(Arc::clone(&memory)));
        let host = thread::spawn(move || consumer.pop().is_none() && consumer.prepare_sleep());
        let woken = Producer::new(Shared(memory)).push(1);
        if host.join().unwrap() && !woken {
            lost.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    });
    found.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn it_takes_the_fence() {
    assert!(!can_lose_a_wake_up::<true>());
    assert!(can_lose_a_wake_up::<false>(), "a store passes a load, and the consumer sleeps on");
}
