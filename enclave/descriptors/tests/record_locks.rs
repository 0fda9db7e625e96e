//! Record locks against a naive model: what each owner has of each byte.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::ops::Range;

use enclave_descriptors::{RecordLock, RecordLocks};
use proptest::prelude::*;

const BYTES: usize = 12;
const OWNERS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Set(usize, Range<u64>, bool),
    Clear(usize, Range<u64>),
    Release(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || (0..BYTES as u64, 1..BYTES as u64).prop_map(|(at, len)| at..at + len);
    prop_oneof![
        4 => (0..OWNERS, bytes(), any::<bool>()).prop_map(|(o, b, e)| Step::Set(o, b, e)),
        2 => (0..OWNERS, bytes()).prop_map(|(o, b)| Step::Clear(o, b)),
        1 => (0..OWNERS).prop_map(Step::Release),
    ]
}

/// What an owner has of a byte: whether it is for writing.
type Model = [[Option<bool>; 2 * BYTES]; OWNERS];

fn forbidden(model: &Model, owner: usize, bytes: &Range<u64>, exclusive: bool) -> bool {
    (0..OWNERS).filter(|other| *other != owner).any(|other| {
        bytes.clone().any(|at| {
            model[other][usize::try_from(at).unwrap()].is_some_and(|held| held || exclusive)
        })
    })
}

proptest! {
    #[test]
    fn locks_are_held_byte_by_byte(steps in proptest::collection::vec(step(), 1..60)) {
        let mut locks = RecordLocks::default();
        let mut model: Model = [[None; 2 * BYTES]; OWNERS];
        for step in steps {
            match step {
                Step::Set(owner, bytes, exclusive) => {
                    let lock = RecordLock { owner, bytes: bytes.clone(), exclusive };
                    let forbidden = forbidden(&model, owner, &bytes, exclusive);
                    prop_assert_eq!(locks.conflict(&lock).is_some(), forbidden);
                    if !forbidden {
                        locks.set(lock);
                        bytes.for_each(|at| {
                            model[owner][usize::try_from(at).unwrap()] = Some(exclusive);
                        });
                    }
                }
                Step::Clear(owner, bytes) => {
                    locks.clear(owner, &bytes);
                    bytes.for_each(|at| model[owner][usize::try_from(at).unwrap()] = None);
                }
                Step::Release(owner) => {
                    locks.release(owner);
                    model[owner] = [None; 2 * BYTES];
                }
            }
            let any = model.iter().flatten().any(Option::is_some);
            prop_assert_eq!(locks.is_empty(), !any);
            for at in 0..2 * BYTES as u64 {
                for exclusive in [false, true] {
                    let probe = RecordLock { owner: OWNERS, bytes: at..at + 1, exclusive };
                    let forbidden = forbidden(&model, OWNERS, &probe.bytes, exclusive);
                    prop_assert_eq!(locks.conflict(&probe).is_some(), forbidden);
                }
            }
        }
    }
}
