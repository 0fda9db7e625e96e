//! Which way a call leaves the enclave, chosen from what calls have cost.
//!
//! Design principles:
//!
//! * **Nothing is assumed about a machine.** What an exit costs, and how long it takes until
//!   another processor sees an entry of a ring, differs by a factor of ten between machines, and
//!   between two minutes of one. So each kind of call is tried both ways ([`Chooser`]), and goes
//!   the way that was cheaper.
//! * **What a call costs others counts**: whether rings, and posting, let the program get more done at all is
//!   compared from time to time, on whatever the program does (`Referee`).
//! * **Trying is cheap**: what trials have lost is paid back before the next one begins
//!   ([`PAYBACK`]), so that choosing costs 2 % at most, and comparing 1.5 % more in the long run.
//! * **The host's clock is a claim**: a wrong choice costs time, and nothing else.
//! * Only counters with relaxed ordering: two threads that race lose a sample.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod chooser;
mod kind;
mod referee;

pub use chooser::{Chooser, Decision};
pub use kind::{Costs, Way};
pub use referee::{Comparisons, Regime, Rings};

/// A trial is followed by at least this many times what it has lost without another one.
pub const PAYBACK: u64 = 64;
