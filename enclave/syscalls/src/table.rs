//! Number to handler. What each call is, is in `hostcall_abi::syscalls`; that the two lists agree
//! is checked when this is compiled.

use enclave_hostcalls::Errno;
use hostcall_abi::syscalls::SYSCALLS;

use crate::{Sys, identity, memory, thread};

/// Executes a system call.
pub(crate) type Handler = fn(&mut Sys<'_>) -> Result<u64, Errno>;

/// All handlers, by number.
#[rustfmt::skip]
static HANDLERS: &[(u16, Handler)] = &[
    (9, memory::mmap),
    (10, memory::mprotect),
    (11, memory::munmap),
    (12, memory::brk),
    (24, thread::sched_yield),
    (25, memory::mremap),
    (26, memory::msync),
    (27, memory::mincore),
    (28, memory::madvise),
    (39, identity::getpid),
    (56, thread::clone),
    (60, thread::exit),
    (110, identity::getppid),
    (149, memory::mlock),
    (150, memory::munlock),
    (151, memory::mlockall),
    (152, memory::munlockall),
    (158, thread::arch_prctl),
    (186, identity::gettid),
    (202, thread::futex),
    (218, thread::set_tid_address),
    (231, thread::exit_group),
    (273, thread::set_robust_list),
    (274, thread::get_robust_list),
    (325, memory::mlock),
    (334, denied),
    (435, thread::clone3),
];

/// Calls that are refused on purpose.
fn denied(_: &mut Sys<'_>) -> Result<u64, Errno> {
    Err(Errno::ENOSYS)
}

/// One more than the largest number.
const END: usize = 512;

/// Handlers by number.
static BY_NUMBER: [Option<Handler>; END] = {
    let mut table: [Option<Handler>; END] = [None; END];
    let mut index = 0;
    assert!(HANDLERS.len() == SYSCALLS.len(), "a system call lacks its handler or its description");
    while index < HANDLERS.len() {
        let (number, handler) = HANDLERS[index];
        assert!(number == SYSCALLS[index].number, "the lists of system calls differ");
        assert!(index == 0 || HANDLERS[index - 1].0 < number, "the list is not sorted");
        table[number as usize] = Some(handler);
        index += 1;
    }
    table
};

/// The handler of a system call.
#[inline]
pub(crate) fn handler(number: u64) -> Option<Handler> {
    BY_NUMBER.get(usize::try_from(number).ok()?).copied().flatten()
}
