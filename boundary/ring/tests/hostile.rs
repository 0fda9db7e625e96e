//! A host that writes to the ring what it likes, when it likes.

use std::{cell::RefCell, rc::Rc};

use proptest::prelude::*;
use scone_ring::{CAPACITY, Producer, WORDS, Words, sleep_word};

/// Memory whose every load is answered by the host, and which remembers the producer's stores.
#[derive(Clone, Default)]
struct Hostile(Rc<RefCell<Log>>);

#[derive(Default)]
struct Log {
    answers: Vec<u64>,
    loads: Vec<u64>,
    stores: Vec<(u64, u64)>,
}

impl Words for Hostile {
    fn load(&self, index: u64) -> u64 {
        let mut log = self.0.borrow_mut();
        log.loads.push(index);
        log.answers.pop().unwrap_or(0)
    }

    fn store(&self, index: u64, value: u64) {
        self.0.borrow_mut().stores.push((index, value));
    }
}

const INTERESTING: [u64; 8] = [0, 1, 2, CAPACITY - 1, CAPACITY, CAPACITY + 1, 1 << 63, u64::MAX];

/// What the producer does, entry by entry, whatever it is answered: the slot, then the tail; and
/// the only word that it loads is the hint.
fn check(answers: Vec<u64>, batches: &[u64]) {
    let memory = Hostile::default();
    memory.0.borrow_mut().answers = answers.iter().rev().copied().collect();
    let mut producer = Producer::new(memory.clone());
    let mut expected = vec![];
    let mut pushed = 0;
    for (answer, &batch) in answers.iter().zip(batches) {
        for _ in 0..batch {
            producer.stage(!pushed);
            expected.push((16 + pushed % CAPACITY, !pushed));
            pushed += 1;
        }
        assert_eq!(producer.publish(), *answer != 0);
        expected.push((0, pushed));
    }
    let log = memory.0.borrow();
    assert_eq!(log.stores, expected);
    assert!(log.stores.iter().all(|&(index, _)| index < WORDS && index != sleep_word()));
    assert_eq!(log.loads, vec![sleep_word(); batches.len()]);
}

/// All sequences of four answers out of those that could matter, with batches of one to three.
#[test]
fn no_answer_moves_the_producer() {
    for code in 0..INTERESTING.len().pow(4) {
        let answer = |place: u32| INTERESTING[code / INTERESTING.len().pow(place) % 8];
        check((0..4).map(answer).collect(), &[1, 2, 3, 1]);
    }
}

proptest! {
    #[test]
    fn no_sequence_of_answers_moves_the_producer(
        answers in prop::collection::vec(any::<u64>(), 1..400),
        batch in 0_u64..5,
    ) {
        let batches: Vec<_> = (0..answers.len() as u64).map(|n| (n + batch) % 5).collect();
        check(answers, &batches);
    }
}
