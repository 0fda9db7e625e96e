//! Signals: how the emulator learns of exceptions and interrupts inside.

use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Once, OnceLock};
use std::{mem, ptr};

use backend::{Kick, KickHandler};
use libc::{c_int, c_void, siginfo_t, ucontext_t};
use sgx_types::Vector;

use crate::audit;
use crate::context::{Context, mode};
use crate::enclave::{Inner, count};
use crate::exit;
use crate::frame::{rip, set};
use crate::reason;
use crate::ssa::Event;
use crate::stop::{ENCLU, Stop};
use crate::sys;
use crate::{accept, asm};

/// Signals by which the kernel reports exceptions.
const EXCEPTIONS: [c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];

/// `si_code` of a SIGSYS that Syscall User Dispatch raised.
const SYS_USER_DISPATCH: c_int = 2;

/// End of user space.
const USER_END: u64 = 1 << 47;

static FORMER: [OnceLock<libc::sigaction>; 65] = [const { OnceLock::new() }; 65];
static KICKS: [AtomicPtr<()>; 65] = [const { AtomicPtr::new(ptr::null_mut()) }; 65];

/// Makes the calling thread ready to enter: its system calls must come from outside of ELRANGE.
pub(crate) fn attach_thread(inner: &Inner) {
    thread_local!(static ALLOWED_FROM: Cell<u64> = const { Cell::new(0) });
    static HANDLERS: Once = Once::new();
    let end = inner.base() + inner.secs.size;
    if ALLOWED_FROM.get() == end {
        return;
    }
    HANDLERS
        .call_once(|| EXCEPTIONS.into_iter().for_each(|signal| install(signal, libc::SA_NODEFER)));
    assert!(sys::dispatch_syscalls(Some(end..USER_END)), "Syscall User Dispatch is refused");
    if inner.audit {
        audit::forbid_system_calls_below(end).expect("seccomp is there");
    }
    ALLOWED_FROM.set(end);
}

/// Installs the handler of a kick; whether the signal may be used for one.
pub(crate) fn install_kick(signal: c_int, handler: KickHandler) -> bool {
    let reserved =
        EXCEPTIONS.contains(&signal) || signal == libc::SIGKILL || signal == libc::SIGSTOP;
    if reserved || !(1..65).contains(&signal) {
        return false;
    }
    KICKS[signal as usize].store(handler as *mut (), Ordering::Release);
    install(signal, 0);
    true
}

/// Calls the launcher's handler of a kick.
pub(crate) fn tell(kick: &Kick) {
    let handler = KICKS[kick.signal as usize].load(Ordering::Acquire);
    if !handler.is_null() {
        // SAFETY: only `install_kick` stores here, and it stores functions of this type.
        let handler: KickHandler = unsafe { mem::transmute(handler) };
        handler(kick);
    }
}

/// Installs `emu_signal`. It may be interrupted by exceptions only.
fn install(signal: c_int, flags: c_int) {
    // SAFETY: the structures are plain data, and the handler has the kernel's calling convention.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        let mut former: libc::sigaction = mem::zeroed();
        action.sa_sigaction = asm::emu_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | flags;
        libc::sigfillset(&mut action.sa_mask);
        for exception in EXCEPTIONS {
            libc::sigdelset(&mut action.sa_mask, exception);
        }
        assert_eq!(libc::sigaction(signal, &action, &mut former), 0, "sigaction({signal})");
        FORMER[signal as usize].get_or_init(|| former);
    }
}

/// What `emu_signal` calls, with the host's FS base in force. `context` is null on threads that never
/// entered; `fs` is what FS will be when the interrupted code goes on.
///
/// # Safety
/// Only for `emu_signal`, with the kernel's arguments.
pub(crate) unsafe extern "C" fn handle(
    signal: c_int,
    info: *mut siginfo_t,
    frame: *mut ucontext_t,
    context: *mut Context,
    fs: *mut u64,
) {
    // SAFETY: the kernel passes valid structures, which are ours until we return.
    let (info_ref, frame_ref) = unsafe { (&*info, &mut *frame) };
    let handled = if EXCEPTIONS.contains(&signal) {
        repair(frame_ref)
            || !context.is_null()
                // SAFETY: the context belongs to this thread, which is stopped in the enclave.
                && unsafe { exception(signal, info_ref, frame_ref, context, fs) }
    } else {
        // SAFETY: as above.
        unsafe { kicked(signal, frame_ref, context, fs) };
        true
    };
    if !handled {
        // SAFETY: the arguments are passed on as they came.
        unsafe { pass_on(signal, info, frame.cast()) };
    }
}

/// Ends a copy that faulted, or a short cut.
fn repair(frame: &mut ucontext_t) -> bool {
    let at = rip(frame);
    if asm::copying().contains(&at) {
        set(frame, libc::REG_RIP, asm::emu_copy_failed as *const () as u64);
    } else if accept::all().contains(&at) {
        set(frame, libc::REG_RIP, accept::after_fault(at));
    } else if exit::fast().contains(&at) {
        set(frame, libc::REG_RIP, exit::emu_again_failed as *const () as u64);
    } else {
        return false;
    }
    true
}

/// Handles an exception; whether it was one of the enclave.
///
/// # Safety
/// `context` and `fs` as in [`handle`].
unsafe fn exception(
    signal: c_int,
    info: &siginfo_t,
    frame: &mut ucontext_t,
    context: *mut Context,
    fs: *mut u64,
) -> bool {
    // SAFETY: the thread is stopped, so nobody else uses its context.
    let context = unsafe { &mut *context };
    if context.mode.load(Ordering::Relaxed) != mode::INSIDE || asm::contains(rip(frame)) {
        return false;
    }
    // SAFETY: a thread that is inside holds its enclave and TCS.
    let (inner, tcs) = unsafe { (&*context.enclave, &*context.tcs) };
    // SAFETY: `fs` is valid when there is a context.
    let mut stop = unsafe { Stop { frame, context, fs: &mut *fs, inner, tcs } };
    let stub = inner.stubs.get().filter(|stubs| stubs.contains(stop.rip()));
    if let Some(stubs) = stub {
        let at = stubs.undo(stop.rip(), stop.reg(libc::REG_RSP));
        stop.set(libc::REG_RIP, at.site);
        stop.set(libc::REG_RSP, at.rsp);
        stop.leaf();
        return true;
    }
    match signal {
        libc::SIGILL if stop.code_is(&ENCLU) => stop.leaf(),
        libc::SIGBUS if info.si_code == libc::BUS_ADRALN && stop.is_at_patch() => stop.leaf(),
        libc::SIGSYS if info.si_code == SYS_USER_DISPATCH => {
            count(&inner.counters.system_calls);
            let rip = stop.rip().wrapping_sub(2);
            stop.set(libc::REG_RIP, rip);
            stop.raise(Vector::InvalidOpcode as u8, 0, 0);
        }
        libc::SIGSYS => return false,
        _ => stop.fault(),
    }
    true
}

/// Handles a kick: at once if the thread is in the enclave's code or wholly outside, else soon.
///
/// # Safety
/// `context` and `fs` as in [`handle`].
unsafe fn kicked(signal: c_int, frame: &mut ucontext_t, context: *mut Context, fs: *mut u64) {
    // SAFETY: the thread is stopped, so nobody else uses its context.
    let Some(context) = (unsafe { context.as_mut() }) else {
        return outside(signal, frame);
    };
    let at = rip(frame);
    let state = context.mode.load(Ordering::Relaxed);
    if context.telling.load(Ordering::Relaxed) != 0 {
        context.deferred.fetch_or(1 << (signal - 1), Ordering::Relaxed);
        return;
    }
    if state == mode::OUTSIDE {
        return outside(signal, frame);
    }
    context.pending.fetch_or(1 << (signal - 1), Ordering::Relaxed);
    if let Some(start) = context.window_at(at) {
        set(frame, libc::REG_R11, ptr::from_mut(context) as u64);
        set(frame, libc::REG_RIP, start);
        return;
    }
    if state != mode::INSIDE || asm::contains(at) {
        return;
    }
    // SAFETY: a thread that is inside holds its enclave and TCS.
    let (inner, tcs) = unsafe { (&*context.enclave, &*context.tcs) };
    if !inner.stubs.get().is_some_and(|stubs| stubs.contains(at)) {
        // SAFETY: `fs` is valid when there is a context.
        let mut stop = unsafe { Stop { frame, context, fs: &mut *fs, inner, tcs } };
        stop.aex(Event::INTERRUPT, reason::KICK);
    }
}

fn outside(signal: c_int, frame: &mut ucontext_t) {
    let context = ptr::from_mut(frame).cast::<c_void>();
    tell(&Kick { signal, tcs: None, context });
}

/// Does what would have been done without the emulator.
///
/// # Safety
/// With the kernel's arguments only.
unsafe fn pass_on(signal: c_int, info: *mut siginfo_t, frame: *mut c_void) {
    let former = FORMER[signal as usize].get();
    // SAFETY: the former action was installed by someone who expects these arguments.
    unsafe {
        match former {
            Some(action) if action.sa_sigaction > libc::SIG_IGN => {
                if action.sa_flags & libc::SA_SIGINFO != 0 {
                    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                        mem::transmute(action.sa_sigaction);
                    handler(signal, info, frame);
                } else {
                    let handler: extern "C" fn(c_int) = mem::transmute(action.sa_sigaction);
                    handler(signal);
                }
            }
            _ => {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}
