//! What the verifier checks before it enters the runtime: one measured page of little-endian words.
//!
//! The pages that it names are not measured by EEXTEND, but by SHA-256 inside the enclave: those with the
//! indices 0, 3, 6 ... of all of them, in the order of the ranges, are one message, those with 1, 4, 7 ...
//! the next, and those with 2, 5, 8 ... the last.
//!
//! At the first entry, RSI is zero if the processor has no instructions for SHA-256. If the host says so
//! where it has, verifying takes longer; if it does not where it has none, the enclave ends.

/// Words of a manifest.
pub const WORDS: usize = 512;
/// Messages that are hashed side by side.
pub const LANES: usize = 3;
/// Words of a digest, whose bytes they hold in order.
pub const DIGEST_WORDS: usize = 4;

/// Word index of the address at which the runtime is entered.
pub const ENTRY: usize = 0;
/// Word index of the digests of all messages.
pub const DIGESTS: usize = 1;
/// Word index of the ranges: the address of the first page, and the number of pages. Behind the last
/// stands zero.
pub const RANGES: usize = DIGESTS + LANES * DIGEST_WORDS;
