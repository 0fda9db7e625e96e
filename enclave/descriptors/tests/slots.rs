//! Descriptors against a naive model.

use std::collections::BTreeMap;

use enclave_descriptors::Slots;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(usize),
    Put(usize),
    Take(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_usize..40).prop_map(Step::Insert),
        (0_usize..40).prop_map(Step::Put),
        (0_usize..40).prop_map(Step::Take),
    ]
}

proptest! {
    #[test]
    fn the_lowest_free_number_is_given_out(steps in proptest::collection::vec(step(), 1..200)) {
        let mut slots = Slots::new();
        let mut model = BTreeMap::new();
        for (value, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert(from) => {
                    let lowest = (from..).find(|at| !model.contains_key(at)).unwrap();
                    prop_assert_eq!(slots.lowest_free(from), lowest);
                    prop_assert_eq!(slots.put(lowest, value), None);
                    model.insert(lowest, value);
                }
                Step::Put(at) => prop_assert_eq!(slots.put(at, value), model.insert(at, value)),
                Step::Take(at) => prop_assert_eq!(slots.take(at), model.remove(&at)),
            }
            let used: Vec<_> = slots.iter().map(|(at, value)| (at, *value)).collect();
            let expected: Vec<_> = model.iter().map(|(at, value)| (*at, *value)).collect();
            prop_assert_eq!(used, expected);
        }
    }
}

#[test]
fn a_number_far_away_leaves_the_low_ones_free() {
    let mut slots = Slots::new();
    assert_eq!(slots.put(100, 'x'), None);
    assert_eq!(slots.lowest_free(0), 0);
    assert_eq!(slots.lowest_free(100), 101);
    assert_eq!(slots.end(), 101);
    assert_eq!(slots.get(100), Some(&'x'));
    assert_eq!(slots.get(99), None);
    assert_eq!(slots.take(5000), None);
}
