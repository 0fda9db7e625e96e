//! The system calls that the runtime knows, as plain data: the coverage page, `scone syscalls` and
//! the names in traces come from here; `enclave/syscalls/table.rs` gives each its handler and
//! refuses to build if the two lists differ.

/// What becomes of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Done inside, without the host.
    Local,
    /// Done inside as far as possible; the host only stores.
    Shielded,
    /// Made by the host, arguments staged and replies checked.
    Forwarded,
    /// Refused on purpose; the note says with which error and why.
    Denied,
}

/// A system call that the runtime knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syscall {
    /// Number on x86-64.
    pub number: u16,
    /// Name as in the manual.
    pub name: &'static str,
    /// What becomes of it.
    pub class: Class,
    /// What differs from Linux, if anything.
    pub note: &'static str,
}

const fn row(number: u16, name: &'static str, class: Class, note: &'static str) -> Syscall {
    Syscall { number, name, class, note }
}

use Class::{Denied, Forwarded, Local};

/// All system calls that the runtime knows, by number.
#[rustfmt::skip]
pub static SYSCALLS: &[Syscall] = &[
    row(9, "mmap", Local, "contents of files are read from the host on first use"),
    row(10, "mprotect", Local, ""),
    row(11, "munmap", Local, ""),
    row(12, "brk", Local, ""),
    row(24, "sched_yield", Local, ""),
    row(25, "mremap", Local, ""),
    row(26, "msync", Forwarded, "writes the whole range back"),
    row(27, "mincore", Local, ""),
    row(28, "madvise", Local, ""),
    row(39, "getpid", Local, ""),
    row(56, "clone", Local, "threads only"),
    row(60, "exit", Local, ""),
    row(110, "getppid", Local, ""),
    row(149, "mlock", Local, "accepted: enclave memory is never written to swap in the clear"),
    row(150, "munlock", Local, ""),
    row(151, "mlockall", Local, ""),
    row(152, "munlockall", Local, ""),
    row(158, "arch_prctl", Local, "ARCH_SET_GS is refused: GS belongs to the runtime"),
    row(186, "gettid", Local, ""),
    row(202, "futex", Local, "no priority inheritance"),
    row(218, "set_tid_address", Local, ""),
    row(231, "exit_group", Local, ""),
    row(273, "set_robust_list", Local, ""),
    row(274, "get_robust_list", Local, ""),
    row(325, "mlock2", Local, ""),
    row(334, "rseq", Denied, "ENOSYS: threads are scheduled inside, glibc falls back"),
    row(435, "clone3", Local, "threads only"),
];

/// Finds a system call by number.
#[must_use]
pub fn find(number: u64) -> Option<&'static Syscall> {
    let at = SYSCALLS.binary_search_by_key(&number, |syscall| syscall.number.into()).ok()?;
    SYSCALLS.get(at)
}
