//! Which thread runs next, on which enclave thread, and which of those that sleep is woken for it;
//! how threads wait, and who waits on which futex.
//!
//! Design principles:
//!
//! * Each enclave thread has a queue of its own ([`RunQueue`]); one that has nothing left takes
//!   half of another's ([`Queues::steal`]).
//! * A thread that waited for something runs before those that only compute ([`Class`]), which
//!   nevertheless get a turn after [`TURN`].
//! * A woken thread is queued where its waker runs, and is left there while it is alone and
//!   [`FRESH`]: the waker is most likely about to wait, and then a switch is all it costs.
//! * Waking an enclave thread that sleeps outside costs an exit, so one is woken at a time: it
//!   searches for work, and wakes the next when it has found some and there is more ([`Sleepers`]).
//! * One that waits outside in a call is called in when there is more than the others run
//!   ([`Outside`]).
//!
//! Times are in ticks of the processor's counter, of which there are 2 to 4 in a nanosecond.

#![no_std]

extern crate alloc;

mod outside;
mod queue;
mod queues;
mod run_state;
mod set;
mod sleepers;
mod turn;
mod waiters;

pub use outside::Outside;
pub use queue::{Class, FRESH, RunQueue, TURN};
pub use queues::Queues;
pub use run_state::{Left, RunState, Word};
pub use sleepers::Sleepers;
pub use turn::{Turn, Waker};
pub use waiters::{Ticket, Waiters};
