//! Calls to the host.
//!
//! Design principles:
//!
//! * **Stage, commit, collect.** [`Call`] copies arguments to a staging buffer in untrusted
//!   memory, hands the request over, and gives back what the host answered only through checks.
//! * **A reply is a claim.** Results outside of what the request admits end the enclave
//!   ([`misbehaved`]): no guess, no repair. Buffers are copied in once, and at most as long as was
//!   asked for.
//! * **Whether a call leaves at once or is handed over is decided here**, by [`Wait`] and by what
//!   else there is to run; callers need not know.

#![no_std]

extern crate alloc;

mod arena;
mod bulk;
mod call;
mod errno;
mod pages;
mod posted;
mod way;

pub use arena::{Staging, init};
pub use bulk::{Direction, Moved, transfer_at};
pub use call::{Call, Wait};
pub use enclave_ways::{Comparisons, Costs, Rings, Way};
pub use errno::Errno;
pub use pages::{remove, restrict, trim};
pub use posted::{
    Kind, Queue, Sender, can_hold, can_post, change_last, connect_by, connects, flush,
    has_both_ends, is_any_posted, take_back,
};
pub use way::{
    Left, are_posted, calls_made, changed, comparisons, init_ways, left, posted, worked,
};

/// Ends the enclave because the host broke the contract.
pub fn misbehaved(what: &'static str) -> ! {
    enclave_core::fatal(what)
}
