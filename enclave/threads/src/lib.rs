//! User-level threads: M threads of the program on N enclave threads.
//!
//! Design principles:
//!
//! * A thread that waits inside costs no enclave thread: it is parked ([`park_until`]), and
//!   [`Thread::unpark`] makes it runnable again. A wake-up is never lost: one that comes before
//!   the thread is parked is remembered in the thread's state.
//! * A call that may block the host's thread is made in place only while another enclave thread
//!   stays free to run the rest ([`Blocking`]); otherwise it is handed over
//!   ([`handover()`]), and the thread is parked until the host has done it.
//! * Each enclave thread has its own run queue; what is in which order is decided in
//!   [`enclave_runqueue`], where it can be tested.
//! * Idle enclave threads sleep outside on a futex. One is woken when there is more to run than its
//!   waker will run itself soon.
//! * A thread that computes is called out by a tick of the host, and by an alarm when a timer is due.

#![no_std]

extern crate alloc;

mod blocking;
pub mod clock;
pub mod futex;
mod handover;
mod host;
mod idle;
mod leaving;
mod ring;
mod scheduler;
mod spinning;
mod thread;
mod timer;

pub use blocking::Blocking;
pub use handover::handover;
pub use host::{Control, SignalInfo, init, take_pending_signals};
pub use leaving::leave;
pub use ring::{Answered, Lane, Submitted, init_rings, submit};
pub use scheduler::{
    check_events, give_processor_away, interrupted, is_enough, live_threads, preempt, run,
    set_idle_hook, set_interrupted_hook, set_signal_hook, set_tick_hook, spawn, update_tick,
    yield_now,
};
pub use spinning::yield_to_all;
pub use thread::{Thread, Wake, current, exit_current, park, park_until};
pub use timer::{TimerId, cancel_timer, set_alarm, set_timer, timers_are_due};
