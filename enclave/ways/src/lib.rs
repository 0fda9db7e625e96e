//! Which way a call leaves the enclave, chosen from what calls have cost.
//!
//! Design principles:
//!
//! * **Nothing is assumed about a machine.** What an exit costs, and how long it takes until
//!   another processor sees an entry of a ring, differs by a factor of ten between machines, and
//!   between two minutes of one. So each kind of call is tried both ways ([`Chooser`]), and goes
//!   the way that was cheaper.
//! * **Trying is cheap**: what trials have lost is paid back before the next one begins
//!   ([`PAYBACK`]), so that choosing never costs more than 2 %.
//! * **The host's clock is a claim**: a wrong choice costs time, and nothing else.
//! * Only counters with relaxed ordering: two threads that race lose a sample.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod chooser;
mod kind;

pub use chooser::{Chooser, Decision};
pub use kind::{Costs, Way};

/// A trial is followed by at least this many times what it has lost without another one.
pub const PAYBACK: u64 = 64;
