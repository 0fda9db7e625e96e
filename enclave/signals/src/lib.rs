//! Signals of one process, as Linux has them (signal(7)).
//!
//! Design principles:
//!
//! * **State only.** [`Signals`] is told what happens and answers what to do ([`Sent`], [`Next`]);
//!   waking threads, writing frames and asking the host is for its callers.
//! * **Layouts are data.** [`frame`] turns registers into the bytes of an `rt_sigframe` and back.
//! * Numbers, codes and orders are the kernel's (`kernel/signal.c`, `arch/x86/kernel/signal_64.c`).

#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod action;
mod altstack;
pub mod exception;
pub mod frame;
mod group;
mod info;
pub mod number;
mod pending;
mod set;

pub use action::{Action, Disposition, flags};
pub use altstack::{AltStack, AltStackError};
pub use group::{Delivery, Next, QueueFull, Sent, Signals, Target, UnknownThread};
pub use info::{SigInfo, code};
pub use pending::Pending;
pub use set::SigSet;
