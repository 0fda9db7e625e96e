//! Both methods against an independent implementation.

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use crate::{LANES, Method, Page, digests};

/// What the manifest holds of `pages`, by the other implementation.
fn expected(pages: &[Page]) -> Vec<u8> {
    let message = |lane| pages.iter().skip(lane).step_by(LANES);
    let digest = |lane| message(lane).fold(Sha256::new(), Sha256::chain_update).finalize();
    (0..LANES).flat_map(digest).collect()
}

fn found(pages: &[Page], method: Method) -> Vec<u8> {
    digests(pages.iter(), method).iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
}

/// A page with another word everywhere.
fn page(seed: u64) -> Page {
    let mut word = seed;
    std::array::from_fn(|_| {
        word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        word.to_be_bytes()[0]
    })
}

proptest! {
    #[test]
    fn messages_are_dealt_and_hashed(seeds in prop::collection::vec(any::<u64>(), 0..12)) {
        let pages: Vec<_> = seeds.into_iter().map(page).collect();
        prop_assert_eq!(found(&pages, Method::Portable), expected(&pages));
        if is_x86_feature_detected!("sha") {
            prop_assert_eq!(found(&pages, Method::Accelerated), expected(&pages));
        }
    }

    #[test]
    fn any_bit_counts(count in 1_usize..8, bit in any::<prop::sample::Index>()) {
        let mut pages: Vec<_> = (0..count).map(|index| page(index as u64)).collect();
        let before = found(&pages, Method::Portable);
        let bit = bit.index(count * 4096 * 8);
        pages.as_flattened_mut()[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(found(&pages, Method::Portable), before);
    }
}
