//! Futex queues, against a list that is searched from the front.

use enclave_runqueue::{Ticket, Waiters};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Add(u64, u32),
    Remove(usize),
    Take(u64, u32, u32),
    Move(u64, u64, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let address = 0..4_u64;
    let bitset = prop_oneof![Just(u32::MAX), 1..8_u32];
    prop_oneof![
        4 => (address.clone(), bitset.clone()).prop_map(|(at, bitset)| Step::Add(at, bitset)),
        1 => (0..40_usize).prop_map(Step::Remove),
        2 => (address.clone(), 0..4_u32, bitset).prop_map(|(at, count, bitset)| {
            Step::Take(at, count, bitset)
        }),
        1 => (address.clone(), address, 0..4_u32).prop_map(|(from, to, count)| {
            Step::Move(from, to, count)
        }),
    ]
}

/// What [`Waiters`] should do, for `(ticket, bitset)`; kept in the order of tickets.
fn take(list: &mut Vec<(Ticket, u32)>, address: u64, count: u32, bitset: u32) -> Vec<Ticket> {
    let mut taken = Vec::new();
    list.retain(|(ticket, own)| {
        let wanted = ticket.address == address && own & bitset != 0 && taken.len() < count as usize;
        if wanted {
            taken.push(*ticket);
        }
        !wanted
    });
    taken
}

proptest! {
    #[test]
    fn waiters_are_woken_in_order(steps in proptest::collection::vec(step(), 0..200)) {
        let mut waiters = Waiters::new();
        let mut list: Vec<(Ticket, u32)> = Vec::new();
        for (since, step) in (0_u64..).zip(steps) {
            match step {
                Step::Add(address, bitset) => {
                    let tid = u32::try_from(since).unwrap();
                    let ticket = Ticket { address, since: since / 2, tid };
                    waiters.add(ticket, bitset, ticket.tid);
                    list.push((ticket, bitset));
                }
                Step::Remove(index) => {
                    let gone = Ticket { address: 9, since: 0, tid: 0 };
                    prop_assert_eq!(waiters.remove(&gone), None);
                    if index < list.len() {
                        let (ticket, _) = list.remove(index);
                        prop_assert_eq!(waiters.remove(&ticket), Some(ticket.tid));
                    }
                }
                Step::Take(address, count, bitset) => {
                    let taken: Vec<_> = waiters.take(address, count, bitset).collect();
                    prop_assert!(taken.iter().all(|(ticket, _, tid)| ticket.tid == *tid));
                    let taken: Vec<_> = taken.into_iter().map(|(ticket, ..)| ticket).collect();
                    prop_assert_eq!(taken, take(&mut list, address, count, bitset));
                }
                Step::Move(from, to, count) => {
                    let moved: Vec<_> = waiters.take(from, count, u32::MAX).collect();
                    take(&mut list, from, count, u32::MAX);
                    for (ticket, bitset, tid) in moved {
                        let ticket = Ticket { address: to, ..ticket };
                        waiters.add(ticket, bitset, tid);
                        list.push((ticket, bitset));
                    }
                    list.sort();
                }
            }
        }
    }
}
