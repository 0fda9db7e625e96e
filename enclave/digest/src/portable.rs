//! SHA-256 (FIPS 180-4, 6.2.2) in plain integers.

use crate::{BLOCK, State, constants::ROUNDS};

/// Updates a hash with the whole blocks of a message.
pub(crate) fn update(state: &mut State, message: &[u8]) {
    for block in message.as_chunks::<BLOCK>().0 {
        one(state, block);
    }
}

fn one(state: &mut State, block: &[u8; BLOCK]) {
    let mut schedule = [0_u32; 16];
    for (word, bytes) in schedule.iter_mut().zip(block.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (round, constant) in ROUNDS.as_flattened().iter().enumerate() {
        // The words 2, 7, 15 and 16 rounds ago.
        let at = |ago: usize| schedule[round.wrapping_sub(ago) % 16];
        let word = if round < 16 {
            at(16)
        } else {
            let small0 = at(15).rotate_right(7) ^ at(15).rotate_right(18) ^ at(15) >> 3;
            let small1 = at(2).rotate_right(17) ^ at(2).rotate_right(19) ^ at(2) >> 10;
            at(16).wrapping_add(small0).wrapping_add(at(7)).wrapping_add(small1)
        };
        schedule[round % 16] = word;
        let big1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = e & f ^ !e & g;
        let first = [big1, choice, *constant, word].into_iter().fold(h, u32::wrapping_add);
        let big0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let majority = a & b ^ a & c ^ b & c;
        (h, g, f, e) = (g, f, e, d.wrapping_add(first));
        (d, c, b, a) = (c, b, a, first.wrapping_add(big0).wrapping_add(majority));
    }
    for (word, more) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(more);
    }
}
