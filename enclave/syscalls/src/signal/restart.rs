//! System calls that a signal has interrupted: made again, or ended with EINTR (signal(7)).

use core::sync::atomic::Ordering;

use enclave_core::{AppSlice, UserRegs};
use enclave_hostcalls::Errno;
use enclave_threads::current;

use crate::{socket::ends_in_time, task};

/// What the rewriter puts in place of a system call: `lea rcx, [rip + 8]`, `jmp gs:[0x40]`.
const STUB: [u8; 15] = [0x48, 0x8d, 0x0d, 8, 0, 0, 0, 0x65, 0xff, 0x24, 0x25, 0x40, 0, 0, 0];
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// Whether an interrupted call is made again after a handler with SA_RESTART. The others end with
/// EINTR whenever a handler has run.
fn restarts_after_handlers(number: u64, args: &[u64; 6]) -> bool {
    match number {
        // poll, select, pause, nanosleep, semop, msgsnd, msgrcv
        7 | 23 | 34 | 35 | 65 | 69 | 70 => false,
        // rt_sigtimedwait, rt_sigsuspend, io_getevents, semtimedop, clock_nanosleep, epoll_wait
        128 | 130 | 208 | 220 | 230 | 232 => false,
        // pselect6, ppoll, epoll_pwait, io_pgetevents, epoll_pwait2
        270 | 271 | 281 | 333 | 441 => false,
        // futex: a wait with a timeout ends.
        202 => args[3] == 0,
        _ => true,
    }
}

/// Whether an interrupted call is made again after any handler: FUTEX_LOCK_PI and FUTEX_LOCK_PI2.
fn restarts_always(number: u64, args: &[u64; 6]) -> bool {
    number == 202 && matches!(args[1] & 0x7f, 6 | 13)
}

/// Whether the registers are those of a call that was interrupted.
pub(super) fn is_interrupted(regs: &UserRegs) -> bool {
    regs.orig_rax != u64::MAX && regs.rax == Errno::EINTR.as_result()
}

/// Before a handler runs: makes the call be made again after it, if that is what Linux does.
pub(super) fn before_handler(regs: &mut UserRegs, restart: bool) {
    if is_interrupted(regs) {
        let (number, args) = (regs.orig_rax, &regs.args());
        let restarts = || restarts_after_handlers(number, args) && !ends_in_time(number, args);
        if restart && restarts() || restarts_always(number, args) {
            rewind(regs);
        } else {
            task::of(&current()).signals.deadline.store(0, Ordering::Relaxed);
        }
    }
    regs.orig_rax = u64::MAX;
}

/// No handler runs: the call is made again, with what is left of its timeout.
pub(super) fn without_handler(regs: &mut UserRegs) {
    if is_interrupted(regs) {
        rewind(regs);
        regs.orig_rax = u64::MAX;
    }
}

/// Puts the program back to right before its system call.
fn rewind(regs: &mut UserRegs) {
    let back = if reads(regs.rip, STUB) {
        STUB.len() as u64
    } else if reads(regs.rip, SYSCALL) {
        SYSCALL.len() as u64
    } else {
        // An entry that is neither: the call ends with EINTR.
        return;
    };
    regs.rip -= back;
    regs.rax = regs.orig_rax;
}

/// Whether these bytes end at `end`.
fn reads<const N: usize>(end: u64, expected: [u8; N]) -> bool {
    let mut found = [0; N];
    AppSlice::new(end.wrapping_sub(N as u64), N as u64)
        .and_then(|slice| slice.read_bytes(&mut found))
        .is_ok()
        && found == expected
}

/// The deadline of a call that may have been interrupted before: the old one if it is made again,
/// else `compute`.
pub(crate) fn resume_deadline(compute: impl FnOnce() -> u64) -> u64 {
    match task::of(&current()).signals.deadline.swap(0, Ordering::Relaxed) {
        0 => compute(),
        deadline => deadline,
    }
}

/// Keeps the deadline of a call that ends with EINTR, for when it is made again.
pub(crate) fn keep_deadline(deadline: u64) {
    task::of(&current()).signals.deadline.store(deadline.max(1), Ordering::Relaxed);
}
