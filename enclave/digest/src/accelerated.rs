//! SHA-256 by the instructions that are made for it, of several messages at once (SDM volume 2,
//! SHA256RNDS2).

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use crate::{BLOCK, State, constants::ROUNDS};

/// A hash as the instructions want it: the words A, B, E, F and C, D, G, H, the first on top.
type Halves = [__m128i; 2];

/// Updates the hashes with the whole blocks of their messages.
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub(crate) fn update<const N: usize, const LEN: usize>(
    states: &mut [State; N],
    messages: [&[u8; LEN]; N],
) {
    let mut halves = states.map(|state| into_halves(state));
    for index in 0..LEN / BLOCK {
        let before = halves;
        let mut words = [[_mm_setzero_si128(); 4]; N];
        for (words, message) in words.iter_mut().zip(messages) {
            let block = message.as_chunks::<16>().0.iter().skip(index * (BLOCK / 16));
            for (word, bytes) in words.iter_mut().zip(block) {
                *word = load(bytes);
            }
        }
        rounds(&mut halves, &mut words);
        for (half, before) in halves.as_flattened_mut().iter_mut().zip(before.as_flattened()) {
            *half = _mm_add_epi32(*half, *before);
        }
    }
    for (state, halves) in states.iter_mut().zip(halves) {
        *state = from_halves(halves);
    }
}

/// The 64 rounds, four at a time, each for all messages before the next.
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn rounds<const N: usize>(halves: &mut [Halves; N], words: &mut [[__m128i; 4]; N]) {
    for (four, constants) in ROUNDS.iter().enumerate() {
        let [k0, k1, k2, k3] = constants.map(u32::cast_signed);
        let constants = _mm_set_epi32(k3, k2, k1, k0);
        for ([abef, cdgh], words) in halves.iter_mut().zip(words.iter_mut()) {
            let [w0, w1, w2, w3] = [0, 1, 2, 3].map(|next| words[(four + next) % 4]);
            let terms = _mm_add_epi32(w0, constants);
            *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, terms);
            *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32::<0b1110>(terms));
            // The word for the round after the next three.
            if four < 12 {
                let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8::<4>(w3, w2));
                words[four % 4] = _mm_sha256msg2_epu32(sum, w3);
            }
        }
    }
}

/// Four words of a block, which are big-endian.
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn load(bytes: &[u8; 16]) -> __m128i {
    let order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let [low, high] = bytes.as_chunks::<8>().0 else { return order };
    let bytes = _mm_set_epi64x(i64::from_le_bytes(*high), i64::from_le_bytes(*low));
    _mm_shuffle_epi8(bytes, order)
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn into_halves(state: State) -> Halves {
    let [a, b, c, d, e, f, g, h] = state.map(u32::cast_signed);
    [_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h)]
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn from_halves([abef, cdgh]: Halves) -> State {
    [
        _mm_extract_epi32::<3>(abef),
        _mm_extract_epi32::<2>(abef),
        _mm_extract_epi32::<3>(cdgh),
        _mm_extract_epi32::<2>(cdgh),
        _mm_extract_epi32::<1>(abef),
        _mm_extract_epi32::<0>(abef),
        _mm_extract_epi32::<1>(cdgh),
        _mm_extract_epi32::<0>(cdgh),
    ]
    .map(i32::cast_unsigned)
}
