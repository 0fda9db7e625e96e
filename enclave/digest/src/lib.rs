//! SHA-256 of several messages side by side, which is how the verifier hashes pages.
//!
//! Principles:
//! - One round of SHA-256 waits for the one before. Three messages at once take half as long as one of
//!   the same length, with instructions that are made for it.
//! - Nothing here asks the processor what it can do: the caller says so.

#![cfg_attr(not(test), no_std)]
#![expect(
    unsafe_code,
    reason = "calls functions that use instructions which not every processor has"
)]

mod accelerated;
mod constants;
mod portable;
#[cfg(test)]
mod tests;

use hostcall_abi::{
    layout,
    manifest::{DIGEST_WORDS, LANES},
};

/// Bytes of a page.
const PAGE: usize = 4096;
const _: () = assert!(PAGE as u64 == layout::PAGE);
/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// A page to be hashed.
pub type Page = [u8; PAGE];

/// The eight words of a hash.
type State = [u32; 8];

/// How to hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By instructions that every processor has.
    Portable,
    /// By the instructions SHA256RNDS2, SHA256MSG1 and SHA256MSG2.
    Accelerated,
}

impl Method {
    /// Updates the hashes with as many whole blocks of their messages.
    fn update<const N: usize, const LEN: usize>(
        self,
        states: &mut [State; N],
        messages: [&[u8; LEN]; N],
    ) {
        match self {
            Self::Portable => {
                for (state, message) in states.iter_mut().zip(messages) {
                    portable::update(state, message);
                }
            }
            // SAFETY: the caller says that the processor has these instructions; on another, the first of them
            // ends the program.
            Self::Accelerated => unsafe { accelerated::update(states, messages) },
        }
    }
}

/// SHA-256 of the [`LANES`] messages of which `pages` are dealt in turn.
#[must_use]
pub fn digests<'p>(
    mut pages: impl Iterator<Item = &'p Page>,
    method: Method,
) -> [[u64; DIGEST_WORDS]; LANES] {
    let mut states = [constants::START; LANES];
    let mut lengths = [0_u64; LANES];
    while let Some(first) = pages.next() {
        let (second, third) = (pages.next(), pages.next());
        if let (Some(second), Some(third)) = (second, third) {
            method.update(&mut states, [first, second, third]);
            lengths = lengths.map(|length| length.wrapping_add(layout::PAGE));
            continue;
        }
        let last = [Some(first), second, third];
        for ((state, length), page) in states.iter_mut().zip(&mut lengths).zip(last) {
            let Some(page) = page else { break };
            method.update(core::array::from_mut(state), [page]);
            *length = length.wrapping_add(layout::PAGE);
        }
    }
    let ends = lengths.map(last_block);
    method.update(&mut states, [&ends[0], &ends[1], &ends[2]]);
    states.map(words)
}

/// What ends a message of `length` bytes, which is a multiple of [`BLOCK`].
fn last_block(length: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[0] = 0x80;
    block[BLOCK - 8..].copy_from_slice(&length.wrapping_mul(8).to_be_bytes());
    block
}

/// The bytes of a digest as words.
fn words([a, b, c, d, e, f, g, h]: State) -> [u64; DIGEST_WORDS] {
    [(a, b), (c, d), (e, f), (g, h)]
        .map(|(first, second)| u64::from(first.swap_bytes()) | u64::from(second.swap_bytes()) << 32)
}
