//! Signals: how the emulator learns of exceptions and interrupts inside.

use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Once, OnceLock};
use std::{mem, ptr};

use backend::{Kick, KickHandler};
use libc::{c_int, c_void, siginfo_t, ucontext_t};
use sgx_types::{PageFaultCode, SecInfoFlags, Vector};

use crate::asm::{self, reason};
use crate::audit;
use crate::context::{Context, Registers, mode};
use crate::enclave::{Inner, count};
use crate::enter::Fault;
use crate::leaves::{self, After};
use crate::ssa::{self, Event};
use crate::sys;
use crate::tcs::TcsState;

/// Signals by which the kernel reports exceptions.
const EXCEPTIONS: [c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];

/// `si_code` of a SIGSYS that Syscall User Dispatch raised.
const SYS_USER_DISPATCH: c_int = 2;

/// End of user space.
const USER_END: u64 = 1 << 47;

/// The instruction by which everything here began.
const ENCLU: [u8; 3] = [0x0f, 0x01, 0xd7];

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

/// Installs the handler of a kick; whether the signal may be used for one. `restart`: system calls that
/// it hits go on afterwards.
pub(crate) fn install_kick(signal: c_int, handler: KickHandler, restart: bool) -> bool {
    let reserved =
        EXCEPTIONS.contains(&signal) || signal == libc::SIGKILL || signal == libc::SIGSTOP;
    if reserved || !(1..65).contains(&signal) {
        return false;
    }
    KICKS[signal as usize].store(handler as *mut (), Ordering::Release);
    install(signal, if restart { libc::SA_RESTART } else { 0 });
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
    } else if asm::fast().contains(&at) {
        set(frame, libc::REG_RIP, asm::emu_leaf_slow as *const () as u64);
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
    if context.mode.load(Ordering::Relaxed) != mode::INSIDE || asm::all().contains(&rip(frame)) {
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

/// A thread that an exception stopped inside.
struct Stop<'a> {
    frame: &'a mut ucontext_t,
    context: &'a mut Context,
    fs: &'a mut u64,
    inner: &'a Inner,
    tcs: &'a TcsState,
}

impl Stop<'_> {
    fn reg(&self, index: c_int) -> u64 {
        self.frame.uc_mcontext.gregs[index as usize] as u64
    }

    fn set(&mut self, index: c_int, value: u64) {
        set(self.frame, index, value);
    }

    fn rip(&self) -> u64 {
        rip(self.frame)
    }

    /// Whether the code at RIP starts with `bytes`.
    fn code_is(&self, bytes: &[u8; 3]) -> bool {
        let mut code = [0u8; 3];
        // SAFETY: faults become a count.
        let left = unsafe { asm::emu_copy(code.as_mut_ptr() as u64, self.rip(), 3) };
        left == 0 && code == *bytes
    }

    /// Turns the kernel's report into the processor's, unless only the mapping lags behind.
    fn fault(&mut self) {
        let vector = self.reg(libc::REG_TRAPNO) as u8;
        let mut code = self.reg(libc::REG_ERR) as u32;
        let mut address = 0;
        if vector == Vector::PageFault as u8 {
            address = self.reg(libc::REG_CR2);
            if self.inner.mapping.range().contains(&address) {
                if self.inner.catch_up(address, wanted(code)) {
                    return;
                }
                self.inner.augment(address & !0xfff);
                code |= (PageFaultCode::P | PageFaultCode::SGX).bits();
            }
        }
        if vector == Vector::Breakpoint as u8 {
            // INT3 is fault-like in an enclave that is not debugged (SDM 43.3).
            let rip = self.rip().wrapping_sub(1);
            self.set(libc::REG_RIP, rip);
        }
        self.raise(vector, code, address);
    }

    /// AEX with an exception.
    fn raise(&mut self, vector: u8, error_code: u32, address: u64) {
        count(&self.inner.counters.exceptions);
        let event = Event { vector: Some(vector), error_code, address };
        self.context.exception = Some(self.inner.exception(&event));
        self.aex(event, reason::EXCEPTION);
    }

    /// AEX: saves the state, and sends the thread to the end of `emu_enter`.
    fn aex(&mut self, event: Event, reason: u64) {
        let regs = registers(self.frame, *self.fs);
        let vectors = self.frame.uc_mcontext.fpregs as u64;
        save_or_die(self.inner, self.tcs, &regs, vectors, event);
        self.tcs.release();
        self.leave(reason);
        clear_vectors(self.frame);
        self.set(libc::REG_RBX, self.tcs.address);
        self.set(libc::REG_RCX, asm::emu_aep as *const () as u64);
    }

    /// Makes the thread go on at the end of `emu_enter`.
    fn leave(&mut self, reason: u64) {
        self.context.mode.store(mode::TRANSIT, Ordering::Relaxed);
        self.set(libc::REG_RIP, asm::emu_finish as *const () as u64);
        self.set(libc::REG_RSP, self.context.host_rsp);
        let context = ptr::from_mut(self.context) as u64;
        self.set(libc::REG_R11, context);
        self.set(libc::REG_RAX, reason);
        self.set(libc::REG_EFL, 2);
        *self.fs = self.context.host_fs;
    }

    /// Executes the leaf at RIP.
    fn leaf(&mut self) {
        count(&self.inner.counters.trapped_leaves);
        self.context.regs = registers(self.frame, *self.fs);
        match leaves::execute(self.inner, self.context) {
            After::Continue => {
                let regs = self.context.regs;
                store(self.frame, &regs);
                let rip = self.rip() + ENCLU.len() as u64;
                self.set(libc::REG_RIP, rip);
            }
            After::Exit => self.leave(reason::EXIT),
            After::Fault(Fault { vector, error_code, address }) => {
                self.raise(vector as u8, error_code, address);
            }
        }
    }
}

/// AEX, or the end: an enclave whose state is lost cannot go on.
pub(crate) fn save_or_die(
    inner: &Inner,
    tcs: &TcsState,
    regs: &Registers,
    vectors: u64,
    event: Event,
) {
    if let Err(fault) = ssa::aex(inner, tcs, regs, vectors, event) {
        eprintln!("the state save area at {:#x} is gone: the enclave is lost", fault.address);
        std::process::abort();
    }
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
    if context.in_window(at) {
        set(frame, libc::REG_R11, ptr::from_mut(context) as u64);
        set(frame, libc::REG_RIP, asm::emu_window as *const () as u64);
        return;
    }
    if state != mode::INSIDE || asm::all().contains(&at) {
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

/// The access that a page fault was about.
fn wanted(code: u32) -> SecInfoFlags {
    let code = PageFaultCode::from_bits_retain(code);
    if code.contains(PageFaultCode::I) {
        SecInfoFlags::X
    } else if code.contains(PageFaultCode::W) {
        SecInfoFlags::W
    } else {
        SecInfoFlags::R
    }
}

fn rip(frame: &ucontext_t) -> u64 {
    frame.uc_mcontext.gregs[libc::REG_RIP as usize] as u64
}

fn set(frame: &mut ucontext_t, index: c_int, value: u64) {
    frame.uc_mcontext.gregs[index as usize] = value as i64;
}

/// The kernel's indices of registers, in the order of [`Registers`].
const ORDER: [c_int; 18] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
    libc::REG_EFL,
    libc::REG_RIP,
];

/// Registers of the interrupted code.
fn registers(frame: &ucontext_t, fs_base: u64) -> Registers {
    let mut words = [0; 20];
    for (word, index) in words.iter_mut().zip(ORDER) {
        *word = frame.uc_mcontext.gregs[index as usize] as u64;
    }
    (words[18], words[19]) = (fs_base, sys::gs_base());
    // SAFETY: both are twenty words.
    unsafe { mem::transmute(words) }
}

/// Puts registers back, except for RIP and the segment bases.
fn store(frame: &mut ucontext_t, regs: &Registers) {
    // SAFETY: both are twenty words.
    let words: [u64; 20] = unsafe { mem::transmute(*regs) };
    for (word, index) in words.into_iter().zip(ORDER).filter(|(_, index)| *index != libc::REG_RIP) {
        set(frame, index, word);
    }
}

/// Gives the interrupted code the initial vector state, as AEX does.
fn clear_vectors(frame: &mut ucontext_t) {
    const HEADER: usize = 512;
    const MXCSR: usize = 24;
    let image = frame.uc_mcontext.fpregs.cast::<u8>();
    // SAFETY: the kernel saved an XSAVE image there, which sigreturn will load.
    unsafe {
        image.add(HEADER).cast::<u64>().write(0);
        image.add(MXCSR).cast::<u32>().write(0x1f80);
    }
}
