//! The core of the enclave runtime: all of its `unsafe` and all of its assembler.
//!
//! Design principles:
//!
//! * **Everything above is safe Rust.** The other crates of the runtime deny `unsafe_code`; what
//!   they need of the machine is here, behind types whose soundness is argued here.
//! * **Foreign memory is an allegation.** [`HostPtr`] lies wholly outside of ELRANGE, [`AppPtr`]
//!   wholly inside the program's area; neither ever becomes a reference. Host memory is read and
//!   written in aligned 64-bit words only; program memory by copies that survive a page fault.
//! * **Exceptions have two stages.** The first stage ([`exception`]) runs at CSSA 1, decides by
//!   the SSA's contents alone, takes no lock, and only edits the interrupted state. All work is
//!   done in the second stage, which is ordinary code of the interrupted thread.
//! * **The program's state is on the thread's runtime stack** ([`UserRegs`]) whenever the runtime
//!   runs; the runtime itself uses no vector registers beyond the low halves of xmm0-15.

#![no_std]
#![expect(unsafe_code, reason = "this is the crate that holds the enclave's unsafe code")]

extern crate alloc;

mod app;
mod asm;
mod call;
mod clock;
mod copies;
mod current;
mod data;
pub mod exception;
mod heap;
mod hooks;
mod host;
mod libc_symbols;
mod missing;
pub mod pages;
mod panic;
mod passed_on;
mod rand;
mod regs;
mod report;
mod stacks;
mod start;
mod switch;
mod sync;
mod tsc;
mod wide;
pub mod xstate;

pub use app::{AppPtr, AppSlice, CStrError, Fault, to_usize};
pub use asm::syscall_entry_address;
pub use call::{exit_call, exit_forever, own_call};
pub use clock::{CLOCK, CLOCK_CODE_SIZE, ClockBase, GETTIMEOFDAY_AT, clock_code};
pub use current::{current, current_number, has_current, set_current};
pub use data::{
    clear_reschedule, fs_base, reschedule_wanted, set_fs_base, tcs_index, want_reschedule,
};
pub use exception::Exception;
pub use hooks::Hooks;
pub use host::{HostError, HostPtr, HostSlice};
pub use missing::{Missing, with_pages, with_pages_for};
pub use panic::fatal;
pub use rand::{fill_random, random_u64};
pub use regs::UserRegs;
pub use report::attributes;
pub use stacks::{STACK_BYTES, Stack};
pub use start::{prepare_thread, ready};
pub use switch::{Context, abandon, enter_user, leave, run};
pub use sync::{Mutex, MutexGuard, Once, RawSpin, RwLock, locks_held};
pub use tsc::timestamp;
