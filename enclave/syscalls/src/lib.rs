//! The system calls of the program.
//!
//! Design principles:
//!
//! * **A table, not a match.** `table.rs` maps numbers to handlers; what a call is (name, class,
//!   note) is plain data in `hostcall_abi::syscalls`, from which the documentation is made.
//! * **A handler returns; it does not unwind the thread.** `Err(EINTR)` from a host call is
//!   restarted here if there is no signal to deliver.
//! * **No lock is held across a call outside that may wait, or across a copy from or to the
//!   program** (which may fault and needs the address space).

#![no_std]

extern crate alloc;

mod aio;
mod args;
mod attributes;
mod boot;
mod coherence;
mod cpuid;
mod descriptor;
mod dir;
mod dispatch;
mod ephemeral;
mod epoll;
mod event;
mod exception;
mod exec;
mod file;
mod futex;
mod identity;
mod ids;
mod ioctl;
mod ipc;
mod limits;
mod memory;
mod names;
mod nr;
mod oneself;
mod open;
mod pages;
mod path;
mod pipe;
mod poll;
mod prctl;
mod process;
mod procfs;
mod rewrite;
mod sched;
mod select;
mod sigevent;
mod signal;
mod socket;
mod stat;
mod stats;
mod system;
mod table;
mod task;
mod thread;
mod through;
mod time;
mod timer;
mod trace;
mod transfer;
mod twins;
mod wait;
mod xattr;

pub use boot::start;
pub use dispatch::{before_return, syscall};
pub use exception::{exception, fault};
pub use through::mapped;

use enclave_core::UserRegs;

/// A system call that is being executed.
pub(crate) struct Sys<'a> {
    /// Its six arguments.
    pub(crate) args: [u64; 6],
    /// The registers of the program.
    pub(crate) regs: &'a mut UserRegs,
}

/// First code of the other enclave threads.
pub fn thread_start() -> ! {
    enclave_threads::run()
}
