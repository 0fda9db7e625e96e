//! Who runs next, and what is stolen.

use std::collections::BTreeSet;

use enclave_runqueue::{Class, FRESH, Queues, RunQueue, TURN, Turn, Waker};
use parking_lot::RawMutex;
use proptest::prelude::*;

#[test]
fn a_woken_thread_runs_before_those_that_compute() {
    let mut queue = RunQueue::new();
    queue.push(Class::Expired, "computes", 0);
    queue.push(Class::Preempted, "was interrupted", 1);
    queue.push(Class::Woken, "woken", 2);
    let order: Vec<_> = std::iter::from_fn(|| queue.pop(3)).collect();
    assert_eq!(order, ["woken", "was interrupted", "computes"]);
}

#[test]
fn threads_that_compute_get_a_turn_however_many_are_woken() {
    let mut queue = RunQueue::new();
    queue.push(Class::Expired, "first", 0);
    queue.push(Class::Expired, "second", 0);
    let mut turns = Vec::new();
    let step = TURN / 8;
    for at in (0..5 * TURN).step_by(usize::try_from(step).unwrap()) {
        queue.push(Class::Woken, "woken", at);
        let next = queue.pop(at).unwrap();
        if next != "woken" {
            turns.push((next, at / step));
            queue.push(Class::Expired, next, at);
        }
    }
    assert_eq!(turns, [("first", 8), ("second", 17), ("first", 26), ("second", 35)]);
}

#[test]
fn a_woken_thread_waits_for_one_turn_at_most() {
    let mut queue = RunQueue::new();
    for at in [0, 3 * TURN, 6 * TURN] {
        // The turns of the two are longer than they should be: the processor is not ours alone.
        queue.push(Class::Expired, "first", at);
        queue.push(Class::Expired, "second", at);
        assert_eq!(queue.pop(at), Some("first"));
        queue.push(Class::Woken, "woken", at);
        assert_eq!(queue.pop(at + 2 * TURN), Some("woken"));
        assert_eq!(queue.pop(at + 2 * TURN), Some("second"));
    }
}

#[test]
fn a_thread_that_yields_lets_one_other_run() {
    let mut queue = RunQueue::new();
    queue.push(Class::Expired, "first", 0);
    queue.push(Class::Expired, "second", 0);
    queue.push(Class::Yielded, "yields", 0);
    let order: Vec<_> = std::iter::from_fn(|| queue.pop(1)).collect();
    assert_eq!(order, ["first", "yields", "second"]);
}

#[test]
fn threads_that_yield_let_each_other_and_those_that_compute_run() {
    let mut queue = RunQueue::new();
    queue.push(Class::Expired, "computes", 0);
    for thread in ["first", "second"] {
        queue.push(Class::Yielded, thread, 0);
    }
    let mut order = Vec::new();
    for at in 0..9 {
        let next = queue.pop(at).unwrap();
        let class = if next == "computes" { Class::Expired } else { Class::Yielded };
        queue.push(class, next, at);
        order.push(next);
    }
    assert_eq!(order, ["computes", "first", "second"].repeat(3));
}

#[test]
fn a_lone_woken_thread_is_left_to_its_waker_for_a_while() {
    let queues = Queues::<RawMutex, _, 2>::new();
    queues.push(0, Class::Woken, "woken", 1000);
    let stale = 1000 + FRESH;
    assert!(!queues.may_steal(1, stale - 1));
    assert_eq!(queues.steal(1, stale - 1), None);
    assert!(queues.may_steal(1, stale));
    assert_eq!(queues.steal(1, stale), Some("woken"));
    queues.push(0, Class::Woken, "left", stale);
    assert!(!queues.may_steal(1, stale));
    queues.release(0);
    assert!(queues.may_steal(1, stale));
    assert_eq!(queues.steal(1, stale), Some("left"));
}

#[test]
fn two_woken_threads_are_shared_at_once() {
    let queues = Queues::<RawMutex, _, 2>::new();
    queues.push(0, Class::Woken, "first", 1000);
    queues.push(0, Class::Woken, "second", 1000);
    assert_eq!(queues.steal(1, 1000), Some("first"));
    assert_eq!(queues.steal(1, 1000), None);
    assert_eq!(queues.pop(0, 1000), Some("second"));
}

#[test]
fn threads_that_compute_take_turns_on_all_enclave_threads() {
    let queues = Queues::<RawMutex, _, 2>::new();
    // Three threads, two of which run: at each tick of the one that is alone, it takes the third.
    queues.push(0, Class::Expired, 2, 0);
    let mut running = [0, 1];
    let mut turns = [0; 3];
    for tick in 1..=300 {
        for own in [1, 0] {
            turns[running[own]] += 1;
            let now = tick * TURN;
            if queues.waiting(own) != 0 || queues.balance(own, now) {
                queues.push(own, Class::Expired, running[own], now);
                running[own] = queues.pop(own, now).unwrap();
            }
        }
    }
    assert_eq!(turns, [200; 3]);
}

#[test]
fn what_is_balanced_keeps_its_class() {
    let queues = Queues::<RawMutex, _, 2>::new();
    queues.push(1, Class::Expired, "own", 0);
    for thread in ["first", "second"] {
        queues.push(0, Class::Woken, thread, 0);
    }
    assert!(queues.balance(1, FRESH));
    assert_eq!(queues.pop(1, FRESH), Some("first"));
    assert_eq!(queues.pop(1, FRESH), Some("own"));
}

#[test]
fn a_waker_is_judged_by_what_it_did_last() {
    let turn = Turn::default();
    turn.begin(0);
    assert_eq!(turn.wakes(10), Waker::Unknown);
    turn.end(1000);
    turn.begin(2000);
    assert_eq!(turn.wakes(2000), Waker::Waits);
    turn.end(2000 + TURN);
    assert!(turn.computes());
    turn.begin(0);
    assert_eq!(turn.wakes(0), Waker::Lingers);
    turn.end(1000);
    assert!(!turn.computes());
    turn.begin(0);
    assert_eq!(turn.wakes(0), Waker::Waits);
    assert!(!turn.is_over(1000));
    assert!(turn.is_over(TURN));
    assert!(turn.computes());
    assert_eq!(turn.wakes(TURN), Waker::Lingers);
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize, Class),
    Pop(usize),
    Steal(usize),
    Balance(usize),
}

const QUEUES: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let class = prop_oneof![
        Just(Class::Woken),
        Just(Class::Preempted),
        Just(Class::Yielded),
        Just(Class::Expired)
    ];
    prop_oneof![
        3 => (0..QUEUES, class).prop_map(|(index, class)| Step::Push(index, class)),
        2 => (0..QUEUES).prop_map(Step::Pop),
        1 => (0..QUEUES).prop_map(Step::Steal),
        1 => (0..QUEUES).prop_map(Step::Balance),
    ]
}

proptest! {
    #[test]
    fn no_thread_is_lost_or_runs_twice(
        steps in proptest::collection::vec((step(), 0..2 * FRESH), 0..300),
    ) {
        let queues = Queues::<RawMutex, _, QUEUES>::new();
        let mut queued = BTreeSet::new();
        let mut now = 0;
        for (thread, (step, passed)) in steps.into_iter().enumerate() {
            now += passed;
            let taken = match step {
                Step::Push(index, class) => {
                    queued.insert(thread);
                    queues.push(index, class, thread, now);
                    None
                }
                Step::Pop(index) => {
                    let waiting = queues.waiting(index);
                    let taken = queues.pop(index, now);
                    prop_assert_eq!(taken.is_some(), waiting != 0);
                    taken
                }
                Step::Steal(index) => {
                    let may = queues.may_steal(index, now);
                    let taken = queues.steal(index, now);
                    prop_assert_eq!(taken.is_some(), may);
                    taken
                }
                Step::Balance(index) => {
                    queues.balance(index, now);
                    None
                }
            };
            if let Some(thread) = taken {
                prop_assert!(queued.remove(&thread));
            }
            let waiting: usize = (0..QUEUES).map(|index| queues.waiting(index)).sum();
            prop_assert_eq!(waiting, queued.len());
        }
        let left: Vec<_> =
            (0..QUEUES).flat_map(|index| std::iter::from_fn({
                let queues = &queues;
                move || queues.pop(index, now)
            })).collect();
        prop_assert_eq!(left.len(), queued.len());
        prop_assert_eq!(left.into_iter().collect::<BTreeSet<_>>(), queued);
    }
}
