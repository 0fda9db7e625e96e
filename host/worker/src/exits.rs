//! Requests of system calls, executed right after EEXIT.
//!
//! The way from the enclave to the launcher's loop and back costs as much as a short system call. So
//! the exits with which the enclave asks for one do not take it: the backend calls
//! [`answer_exit`], which is all that it takes to make the call.

use std::{
    arch::naked_asm,
    mem::offset_of,
    sync::atomic::{AtomicU64, Ordering},
};

use hostcall_abi::{exit, request, service};

use crate::{
    Attention, Shared,
    execute::{EINTR, Site},
};

/// What belongs to one thread that answers exits.
#[derive(Debug)]
#[repr(C)]
pub struct Exits {
    /// First and last address of a request.
    first: u64,
    last: u64,
    /// Not 0 while a request is executed.
    outside: AtomicU64,
    attention: Attention,
}

impl Exits {
    /// For requests in `arena`.
    #[must_use]
    pub fn new(arena: Shared) -> Self {
        let (first, last) = (arena.address(), arena.address() + arena.len() - request::BYTES);
        Self { first, last, outside: AtomicU64::new(0), attention: Attention::new() }
    }

    /// The attention of the thread.
    #[must_use]
    pub fn attention(&self) -> &Attention {
        &self.attention
    }

    /// Whether the thread executes a request.
    #[must_use]
    pub fn outside(&self) -> bool {
        self.outside.load(Ordering::Relaxed) != 0
    }

    /// Executes a request in another way than by [`answer_exit`].
    pub fn while_outside<R>(&self, execute: impl FnOnce() -> R) -> R {
        self.outside.store(1, Ordering::Relaxed);
        let result = execute();
        self.outside.store(0, Ordering::Relaxed);
        result
    }
}

/// EENTER, as an answer.
const EENTER: u32 = 2;

unsafe extern "sysv64" {
    fn worker_exit_check();
    fn worker_exit_done();
    fn worker_exit_interrupted();
}

/// The system call of [`answer_exit`].
pub(crate) fn site() -> Site {
    Site { check: worker_exit_check, done: worker_exit_done, interrupted: worker_exit_interrupted }
}

/// Executes the request at `argument` if it is one of a Linux system call that comes alone, and says that the
/// enclave shall be entered again; else changes nothing and returns 0.
///
/// The segment bases may be the enclave's: the code uses neither, and no Rust.
///
/// # Safety
///
/// For a backend, right after the measured runtime has left the enclave.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn answer_exit(
    reason: u64,
    argument: u64,
    _: u64,
    exits: *const Exits,
) -> i64 {
    naked_asm!(
        "cmp rdi, {CALL}",
        "jne 3f",
        "cmp rsi, [rcx + {FIRST}]",
        "jb 3f",
        "cmp rsi, [rcx + {LAST}]",
        "ja 3f",
        "test sil, 7",
        "jnz 3f",
        "cmp qword ptr [rsi + 8 * {NUMBER}], {SERVICES}",
        "jae 3f",
        "mov rax, [rsi + 8 * {POSTED}]",
        "or rax, [rsi + 8 * {LOOKS}]",
        "or rax, [rsi + 8 * {THEN}]",
        "or rax, [rsi + 8 * {EXPECTED}]",
        "jnz 3f",
        "push rsi",
        "push rcx",
        "push rbx",
        "mov qword ptr [rcx + {OUTSIDE}], 1",
        "lea rbx, [rcx + {ATTENTION}]",
        "mov rcx, rsi",
        "mov rax, [rcx + 8 * {NUMBER}]",
        "mov rdi, [rcx + 8 * {ARGS}]",
        "mov rsi, [rcx + 8 * {ARGS} + 8]",
        "mov rdx, [rcx + 8 * {ARGS} + 16]",
        "mov r10, [rcx + 8 * {ARGS} + 24]",
        "mov r8, [rcx + 8 * {ARGS} + 32]",
        "mov r9, [rcx + 8 * {ARGS} + 40]",
        // As in `worker_syscall`, without a call: some kernels leave nothing of the processor's
        // predictions of returns.
        ".global worker_exit_check",
        "worker_exit_check:",
        "cmp qword ptr [rbx], 0",
        "jne worker_exit_interrupted",
        "syscall",
        ".global worker_exit_done",
        "worker_exit_done:",
        "pop rbx",
        "pop rcx",
        "pop rsi",
        "mov [rsi + 8 * {RESULT}], rax",
        "mov qword ptr [rcx + {OUTSIDE}], 0",
        // The runtime looks for events when it sees these.
        "cmp rax, {EINTR}",
        "je 1f",
        "cmp rax, {CALLED_OFF}",
        "je 1f",
        "2:",
        "mov eax, {EENTER}",
        "ret",
        "1:",
        "mov qword ptr [rcx + {ATTENTION}], 0",
        "jmp 2b",
        ".global worker_exit_interrupted",
        "worker_exit_interrupted:",
        "mov rax, {CALLED_OFF}",
        "jmp worker_exit_done",
        "3:",
        "xor eax, eax",
        "ret",
        CALL = const exit::CALL,
        FIRST = const offset_of!(Exits, first),
        LAST = const offset_of!(Exits, last),
        OUTSIDE = const offset_of!(Exits, outside),
        ATTENTION = const offset_of!(Exits, attention),
        NUMBER = const request::NUMBER,
        POSTED = const request::POSTED,
        LOOKS = const request::LOOKS,
        THEN = const request::THEN,
        EXPECTED = const request::EXPECTED,
        ARGS = const request::ARGS,
        RESULT = const request::RESULT,
        SERVICES = const service::FIRST,
        EINTR = const EINTR.cast_signed(),
        CALLED_OFF = const request::CALLED_OFF.cast_signed(),
        EENTER = const EENTER,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GETPPID: u64 = 110;

    fn answer(exits: &Exits, reason: u64, argument: u64) -> i64 {
        // SAFETY: the requests in these tests are harmless.
        unsafe { answer_exit(reason, argument, 0, exits) }
    }

    fn staged(arena: Shared, index: u64, number: u64) -> u64 {
        arena.word(index + request::NUMBER).store(number, Ordering::Relaxed);
        arena.word(index + request::RESULT).store(77, Ordering::Relaxed);
        arena.address() + index * 8
    }

    #[test]
    fn system_calls_are_made() {
        let arena = Shared::new(4096).unwrap();
        let exits = Exits::new(arena);
        for index in [0, 1, 512 - request::WORDS] {
            let request = staged(arena, index, GETPPID);
            assert_eq!(answer(&exits, exit::CALL, request), EENTER.into());
            let parent = u64::from(std::os::unix::process::parent_id());
            assert_eq!(arena.word(index + request::RESULT).load(Ordering::Relaxed), parent);
        }
        assert!(!exits.outside());
    }

    #[test]
    fn all_else_is_left_to_the_launcher() {
        let arena = Shared::new(4096).unwrap();
        let exits = Exits::new(arena);
        let good = staged(arena, 0, GETPPID);
        let untouched = || arena.word(request::RESULT).load(Ordering::Relaxed) == 77;
        for argument in [good - 8, good + 4, good + 4096 - request::BYTES + 8, 0, u64::MAX - 7] {
            assert_eq!(answer(&exits, exit::CALL, argument), 0, "{argument:#x}");
        }
        for reason in [exit::RESUME, exit::REFUSED, u64::MAX] {
            assert_eq!(answer(&exits, reason, good), 0);
        }
        for number in [service::FIRST, service::IDLE, u64::MAX] {
            assert_eq!(answer(&exits, exit::CALL, staged(arena, 0, number)), 0);
        }
        for with in [request::POSTED, request::LOOKS, request::THEN, request::EXPECTED] {
            let request = staged(arena, 0, GETPPID);
            arena.word(with).store(request, Ordering::Relaxed);
            assert_eq!(answer(&exits, exit::CALL, request), 0, "word {with}");
            arena.word(with).store(0, Ordering::Relaxed);
        }
        assert!(untouched());
    }

    #[test]
    fn wanted_attention_calls_off() {
        let arena = Shared::new(4096).unwrap();
        let exits = Exits::new(arena);
        exits.attention().want();
        let request = staged(arena, 0, GETPPID);
        assert_eq!(answer(&exits, exit::CALL, request), EENTER.into());
        let result = arena.word(request::RESULT).load(Ordering::Relaxed);
        assert_eq!(result, request::CALLED_OFF);
        assert!(!exits.attention().wanted());
    }
}
