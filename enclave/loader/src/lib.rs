//! What a program needs to start, as pure logic: bytes in, decisions out.
//!
//! * [`elf`] turns the headers of an executable into an [`ElfPlan`]: which parts of the file go
//!   where. Nothing is mapped here.
//! * [`script`] reads the `#!` line of a script as `binfmt_script` does.
//! * [`stack`] lays out arguments, environment and auxiliary vector as the kernel does.
//! * [`vdso`] is the shared object that programs find through `AT_SYSINFO_EHDR`. Its functions
//!   enter the runtime exactly as rewritten system calls do.
//!
//! Every input is an allegation of the program's author, or of the host that stores the file:
//! a header is refused with the value that was wrong, and nothing here can panic on it.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod elf;
pub mod script;
pub mod stack;
pub mod vdso;

pub use elf::{ElfError, ElfKind, ElfPlan, Limits, Prot, Segment};
pub use script::{Script, ScriptError};
pub use stack::{AuxInput, StackError, StackImage, StackInput};

/// Size of a page in bytes.
pub const PAGE_SIZE: u64 = 4096;

/// `addr` rounded down to a page boundary.
const fn page_floor(addr: u64) -> u64 {
    addr & !(PAGE_SIZE - 1)
}

/// `addr` rounded up to a page boundary, or `None` when that overflows.
const fn page_ceil(addr: u64) -> Option<u64> {
    match addr.checked_add(PAGE_SIZE - 1) {
        Some(end) => Some(page_floor(end)),
        None => None,
    }
}
