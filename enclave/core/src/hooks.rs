//! What the upper layers give to the core: one table, defined by the image.

use alloc::vec::Vec;

use crate::{AppSlice, Exception, HostSlice, UserRegs};

/// The functions of the upper layers that the core calls.
pub struct Hooks {
    /// Starts the runtime on the first enclave thread, given the host's boot parameters.
    pub start: fn(HostSlice) -> !,
    /// Starts the scheduler on another enclave thread.
    pub thread_start: fn() -> !,
    /// Executes a system call; the result goes into `rax`.
    pub syscall: fn(&mut UserRegs),
    /// Second stage of an exception of the program, in the context of its thread.
    pub exception: fn(&mut UserRegs, Exception),
    /// Called before each return to the program: signals, preemption.
    pub before_return: fn(&mut UserRegs),
    /// Makes the page at a program address accessible (for writing if the flag is set); `false`
    /// if the program has no right to it. Called with no lock of the core held.
    pub fault: fn(u64, bool) -> bool,
    /// What a range of the program's memory shows, if that is known without its pages: of a file that
    /// is mapped, but whose pages are not there. Called where `fault` is.
    pub mapped: fn(AppSlice) -> Option<Vec<u8>>,
}

unsafe extern "Rust" {
    /// Defined by the image with [`crate::hooks!`].
    safe static ENCLAVE_HOOKS: Hooks;
}

/// Defines the image's table of hooks.
#[macro_export]
macro_rules! hooks {
    ($hooks:expr) => {
        #[unsafe(no_mangle)]
        static ENCLAVE_HOOKS: $crate::Hooks = $hooks;
    };
}

pub(crate) fn hooks() -> &'static Hooks {
    &ENCLAVE_HOOKS
}
