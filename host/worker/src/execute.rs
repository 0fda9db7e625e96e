//! Raw system calls that a kick can call off.

use std::{
    arch::global_asm,
    ffi::c_void,
    sync::atomic::{AtomicU64, Ordering},
};

use hostcall_abi::request;

use crate::{Request, exits, watch};

global_asm!(
    // extern "sysv64" fn worker_syscall(number, args: *const [u64; 6], attention: *const u64)
    ".global worker_syscall",
    ".type worker_syscall, @function",
    "worker_syscall:",
    "push rbx",
    "mov rax, rdi",
    "mov rbx, rdx",
    "mov rcx, rsi",
    "mov rdi, [rcx]",
    "mov rsi, [rcx + 8]",
    "mov rdx, [rcx + 16]",
    "mov r10, [rcx + 24]",
    "mov r8, [rcx + 32]",
    "mov r9, [rcx + 40]",
    ".global worker_syscall_check",
    "worker_syscall_check:",
    "cmp qword ptr [rbx], 0",
    "jne worker_syscall_interrupted",
    "syscall",
    ".global worker_syscall_done",
    "worker_syscall_done:",
    "pop rbx",
    "ret",
    ".global worker_syscall_interrupted",
    "worker_syscall_interrupted:",
    "mov rax, {called_off}",
    "jmp worker_syscall_done",
    called_off = const request::CALLED_OFF.cast_signed(),
);

unsafe extern "sysv64" {
    fn worker_syscall(number: u64, args: *const u64, attention: *const u64) -> u64;
    fn worker_syscall_check();
    fn worker_syscall_done();
    fn worker_syscall_interrupted();
}

/// `-EINTR` as a system call returns it.
pub(crate) const EINTR: u64 = 4_u64.wrapping_neg();

/// Tells a thread that somebody wants its attention: its next system call is called off
/// ([`request::CALLED_OFF`]), or the one that it blocks in returns `EINTR`.
#[derive(Debug, Default)]
pub struct Attention(AtomicU64);

/// The attention of threads that nobody calls off, since they never wait in a call.
pub static NOBODY: Attention = Attention::new();

impl Attention {
    /// No attention wanted.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Wants the thread's attention. It must be kicked as well, if it may be in a system call.
    pub fn want(&self) {
        self.0.store(1, Ordering::SeqCst);
    }

    /// Whether attention is wanted.
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.0.load(Ordering::SeqCst) != 0
    }

    /// Attention was paid.
    pub fn clear(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    /// Executes a request of a Linux system call, unless attention is wanted.
    pub fn execute(&self, request: &Request) {
        let result = self.call(request.number(), request.args());
        if result == EINTR || result == request::CALLED_OFF {
            // The runtime looks for events when it sees this.
            self.clear();
        }
        request.set_result(result);
    }

    /// Makes the system call of a request, as it stands or with arguments that suit it as well.
    pub fn call(&self, number: u64, args: [u64; request::ARG_COUNT]) -> u64 {
        // SAFETY: the request was staged by the measured runtime: its pointers are host memory
        // that it owns (the arena). What the call does is the program's will; it cannot touch this
        // process's Rust objects except by the runtime's mistake, which is inside of the TCB.
        unsafe { worker_syscall(number, args.as_ptr(), self.0.as_ptr()) }
    }
}

/// A system call that can be called off: between `check` and `done`, RBX holds the address of the
/// thread's [`Attention`]. The kernel leaves it alone, also when it has the call made once more: then
/// a kick hits before the same instruction, but with R11 and RCX as the first time has left them.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    pub(crate) check: unsafe extern "sysv64" fn(),
    pub(crate) done: unsafe extern "sysv64" fn(),
    pub(crate) interrupted: unsafe extern "sysv64" fn(),
}

const SITE: Site = Site {
    check: worker_syscall_check,
    done: worker_syscall_done,
    interrupted: worker_syscall_interrupted,
};

/// For the handler of a kick that hit outside of the enclave: if the thread's attention is wanted
/// and it was about to make a system call, the call is called off. One that the thread only tries
/// is called off by any kick.
pub fn interrupt(context: *mut c_void) {
    watch::look_at_the_time();
    if context.is_null() {
        return;
    }
    // SAFETY: the kernel passed this context to the handler that calls us, on this thread.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let attention = registers[libc::REG_RBX as usize] as *const AtomicU64;
    let rip = &mut registers[libc::REG_RIP as usize];
    for Site { check, done, interrupted } in [SITE, exits::site()] {
        if !(check as usize as i64..done as usize as i64).contains(rip) {
            continue;
        }
        // SAFETY: between these labels RBX holds the address of the thread's flag, which outlives it.
        if unsafe { (*attention).load(Ordering::SeqCst) } != 0 {
            *rip = interrupted as usize as i64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a thread goes on that a kick hits right before the system call itself, which was made before.
    fn after_a_kick(site: Site, attention: &Attention) -> i64 {
        /// `uc_mcontext` in words.
        const REGISTERS: usize = 5;
        const FLAGS: i64 = 0x246;
        let mut context = [0_i64; size_of::<libc::ucontext_t>() / 8];
        let mut set = |register, value| context[REGISTERS + register as usize] = value;
        set(libc::REG_RIP, site.done as usize as i64 - 2);
        set(libc::REG_RBX, std::ptr::from_ref(attention) as i64);
        set(libc::REG_R11, FLAGS);
        interrupt(context.as_mut_ptr().cast());
        context[REGISTERS + libc::REG_RIP as usize]
    }

    #[test]
    fn a_call_that_is_made_once_more_is_called_off() {
        for site in [SITE, exits::site()] {
            let attention = Attention::new();
            let before = site.done as usize as i64 - 2;
            assert_eq!(after_a_kick(site, &attention), before, "nobody wants it");
            attention.want();
            assert_eq!(after_a_kick(site, &attention), site.interrupted as usize as i64);
        }
    }
}
