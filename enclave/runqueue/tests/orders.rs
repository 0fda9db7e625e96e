//! No wake-up is lost: what wakers and sleepers do, step by step, in every order there is.

use std::cell::Cell;

use enclave_runqueue::{Class, FRESH, Outside, Queues, Sleepers};
use parking_lot::RawMutex;

const ENCLAVE_THREADS: usize = 4;
/// Late enough that nothing is left to its waker.
const NOW: u64 = 2 * FRESH;

#[derive(Default)]
struct World {
    queues: Queues<RawMutex, u32, ENCLAVE_THREADS>,
    sleepers: Sleepers,
    outside: Outside,
    /// Found work, or will look again.
    awake: [Cell<bool>; ENCLAVE_THREADS],
}

type Step = Box<dyn Fn(&World)>;

/// Queues a thread on `own`, and wakes another enclave thread for it.
fn waker(own: usize) -> Vec<Step> {
    vec![
        Box::new(move |world| {
            world.queues.push(own, Class::Woken, 7, 0);
        }),
        Box::new(|world| {
            if let Some(claimed) = world.sleepers.claim() {
                world.awake[claimed].set(true);
            }
        }),
    ]
}

/// Looks for work and falls asleep if there is none. One that `searches` was woken for something
/// that others have taken.
fn sleeper(own: usize, searches: bool) -> Vec<Step> {
    vec![
        Box::new(move |world| {
            if world.queues.steal(own, NOW).is_some() {
                world.awake[own].set(true);
                if searches {
                    world.sleepers.end_search();
                }
                if world.queues.waiting(own) != 0
                    && let Some(claimed) = world.sleepers.claim()
                {
                    world.awake[claimed].set(true);
                }
            }
        }),
        Box::new(move |world| {
            if !world.awake[own].get() {
                world.sleepers.fall_asleep(own, searches);
            }
        }),
        Box::new(move |world| {
            if !world.awake[own].get() && world.queues.may_steal(own, NOW) {
                world.sleepers.wake_up(own);
                world.awake[own].set(true);
            }
        }),
    ]
}

/// Queues a thread on `own`, and then waits outside, unless nobody would run that.
fn one_that_leaves(own: usize) -> Vec<Step> {
    vec![
        Box::new(move |world| {
            world.queues.push(own, Class::Woken, 7, 0);
        }),
        Box::new(move |world| world.outside.enter(own)),
        Box::new(move |world| {
            let stays =
                world.queues.may_steal(ENCLAVE_THREADS - 1, NOW) && !world.sleepers.searching();
            world.awake[own].set(stays || world.awake[own].get());
        }),
    ]
}

/// Searches, and runs the first thread that it finds for ever; calls one in if there is another.
fn one_that_searches(own: usize) -> Vec<Step> {
    let found = std::rc::Rc::new(Cell::new(false));
    let (finds, found_it) = (found.clone(), found.clone());
    vec![
        Box::new(move |world| finds.set(world.queues.steal(own, NOW).is_some())),
        Box::new(move |world| {
            // One that finds nothing goes on to search.
            if found_it.get() {
                world.sleepers.end_search();
            }
        }),
        Box::new(move |world| {
            if !found.get() {
                world.awake[own].set(true);
            } else if world.queues.may_steal(own, NOW)
                && let Some(called) = world.outside.call_in()
            {
                world.awake[called].set(true);
            }
        }),
    ]
}

/// Calls `check` for each order of the actors' steps: a list of whose turn it is.
fn each_order(left: &mut [usize], order: &mut Vec<usize>, check: &mut impl FnMut(&[usize])) {
    if left.iter().all(|&steps| steps == 0) {
        return check(order);
    }
    for actor in 0..left.len() {
        if left[actor] != 0 {
            left[actor] -= 1;
            order.push(actor);
            each_order(left, order, check);
            order.pop();
            left[actor] += 1;
        }
    }
}

/// Runs the actors in each order, and checks that nobody sleeps while there is work that no other
/// one looks for.
fn no_wake_up_is_lost(searching: bool, actors: impl Fn() -> Vec<Vec<Step>>, sleepers: &[usize]) {
    let mut orders = 0;
    let mut steps: Vec<_> = actors().iter().map(Vec::len).collect();
    each_order(&mut steps, &mut Vec::new(), &mut |order| {
        orders += 1;
        let world = World::default();
        if searching {
            assert!(world.sleepers.begin_search());
        }
        let actors = actors();
        let mut next = vec![0; actors.len()];
        for &actor in order {
            actors[actor][next[actor]](&world);
            next[actor] += 1;
        }
        let work = world.queues.may_steal(ENCLAVE_THREADS - 1, NOW);
        let anybody = sleepers.iter().any(|&index| world.awake[index].get());
        assert!(!work || anybody, "all sleep, and there is work, after {order:?}");
    });
    assert!(orders > 1);
}

#[test]
fn one_waker_and_one_sleeper() {
    no_wake_up_is_lost(false, || vec![waker(0), sleeper(1, false)], &[1]);
}

#[test]
fn one_waker_and_one_that_searches() {
    no_wake_up_is_lost(true, || vec![waker(0), sleeper(1, true)], &[1]);
}

#[test]
fn two_wakers_and_two_sleepers() {
    let actors = || vec![waker(0), waker(0), sleeper(1, false), sleeper(2, false)];
    no_wake_up_is_lost(false, actors, &[1, 2]);
}

#[test]
fn two_wakers_and_two_sleepers_one_of_which_searches() {
    let actors = || vec![waker(0), waker(0), sleeper(1, true), sleeper(2, false)];
    no_wake_up_is_lost(true, actors, &[1, 2]);
}

#[test]
fn nobody_waits_outside_while_one_that_searched_leaves_work_behind() {
    let actors = || vec![one_that_leaves(0), one_that_searches(1)];
    no_wake_up_is_lost(true, actors, &[0, 1]);
    let actors = || vec![one_that_leaves(0), one_that_leaves(2), one_that_searches(1)];
    no_wake_up_is_lost(true, actors, &[0, 1, 2]);
}

#[test]
fn one_is_woken_at_a_time() {
    let sleepers = Sleepers::new();
    sleepers.fall_asleep(1, false);
    sleepers.fall_asleep(2, false);
    assert_eq!(sleepers.claim(), Some(1));
    assert!(sleepers.searching());
    assert_eq!(sleepers.claim(), None);
    assert!(sleepers.wake_up(1));
    sleepers.end_search();
    assert_eq!(sleepers.claim(), Some(2));
    sleepers.end_search();
    assert_eq!(sleepers.claim(), None);
    assert!(!sleepers.searching());
}

#[test]
fn one_that_wakes_by_itself_does_not_search() {
    let sleepers = Sleepers::new();
    sleepers.fall_asleep(3, false);
    assert!(sleepers.contains(3));
    assert!(!sleepers.wake_up(3));
    assert!(!sleepers.any());
}

#[test]
fn whoever_was_called_in_is_told_once() {
    let outside = Outside::new();
    let there_and_back = |called| {
        outside.enter(2);
        assert_eq!(called && outside.call_in() == Some(2), called);
        outside.leave(2);
        [outside.was_called_in(2), outside.was_called_in(2)]
    };
    assert_eq!(there_and_back(false), [false, false]);
    assert_eq!(there_and_back(true), [true, false]);
}
