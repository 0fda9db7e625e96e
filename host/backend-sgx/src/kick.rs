//! Kicks: signals that arrive while a thread is inside.
//!
//! An interrupt makes an AEX; when the kernel delivers the signal, the thread stands at the vDSO's
//! ENCLU with RAX = ERESUME and RBX = TCS, on the host's stack and with the host's FS. So this is
//! an ordinary handler; it may enter the same TCS, and when it returns, ENCLU resumes.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::{mem, ptr};

use backend::{Errno, Kick, KickHandler, Operation, Refused};
use libc::{c_int, c_void, siginfo_t, ucontext_t};

use crate::vdso::{ERESUME, Vdso};

const ENCLU: [u8; 3] = [0x0f, 0x01, 0xd7];

static HANDLERS: [AtomicPtr<()>; 65] = [const { AtomicPtr::new(ptr::null_mut()) }; 65];
static VDSO: OnceLock<Range<u64>> = OnceLock::new();

/// Installs a handler.
pub(crate) fn install(vdso: &Vdso, signal: c_int, handler: KickHandler) -> Result<(), Refused> {
    let refuse = || {
        let reason = format!("signal {signal} cannot be used");
        Refused::new(Operation::InstallKick, Errno::EINVAL, reason)
    };
    let slot = usize::try_from(signal).ok().and_then(|signal| HANDLERS.get(signal));
    let slot = slot.ok_or_else(refuse)?;
    VDSO.get_or_init(|| vdso.range());
    slot.store(handler as *mut (), Ordering::Release);
    // SAFETY: the structure is plain data, and the handler has the kernel's calling convention.
    let installed = unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigfillset(&mut action.sa_mask);
        libc::sigaction(signal, &action, ptr::null_mut()) == 0
    };
    if installed { Ok(()) } else { Err(refuse()) }
}

extern "C" fn on_signal(signal: c_int, _info: *mut siginfo_t, frame: *mut ucontext_t) {
    let handler = HANDLERS[signal as usize].load(Ordering::Acquire);
    if handler.is_null() {
        return;
    }
    // SAFETY: only `install` stores here, and it stores functions of this type.
    let handler: KickHandler = unsafe { mem::transmute(handler) };
    // SAFETY: the kernel passes a valid context.
    let tcs = VDSO.get().and_then(|vdso| interrupted_tcs(unsafe { &*frame }, vdso));
    let context = if tcs.is_some() { ptr::null_mut() } else { frame.cast::<c_void>() };
    handler(&Kick { signal, tcs, context });
}

/// The TCS in which the signal interrupted the thread.
fn interrupted_tcs(frame: &ucontext_t, vdso: &Range<u64>) -> Option<u64> {
    let reg = |index: c_int| frame.uc_mcontext.gregs[index as usize] as u64;
    let rip = reg(libc::REG_RIP);
    if reg(libc::REG_RAX) != ERESUME.into() || !(vdso.start..vdso.end - 2).contains(&rip) {
        return None;
    }
    // SAFETY: the vDSO is readable, and three bytes from there on lie in it.
    let code = unsafe { *(rip as *const [u8; 3]) };
    (code == ENCLU).then(|| reg(libc::REG_RBX))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    static SEEN: AtomicU64 = AtomicU64::new(0);

    fn on_kick(kick: &Kick) {
        assert!(kick.tcs.is_none() && !kick.context.is_null());
        SEEN.fetch_add(kick.signal.unsigned_abs().into(), Ordering::SeqCst);
    }

    #[test]
    fn kicks_outside_are_told() {
        let vdso = Vdso::find().expect("Linux has one");
        install(&vdso, libc::SIGUSR2, on_kick).expect("SIGUSR2 can be used");
        // SAFETY: raise has no preconditions.
        unsafe { libc::raise(libc::SIGUSR2) };
        assert_eq!(SEEN.load(Ordering::SeqCst), 12);
        for signal in [libc::SIGKILL, 0, 65, -1] {
            let refused = install(&vdso, signal, on_kick).expect_err("no such signal");
            assert_eq!(refused.errno, Errno::EINVAL);
        }
    }

    #[test]
    fn an_interrupted_thread_is_recognised() {
        let code = [0x90u8, 0x0f, 0x01, 0xd7, 0x90];
        let start = code.as_ptr() as u64;
        let range = start..start + 5;
        // SAFETY: the structure is plain data.
        let mut frame: ucontext_t = unsafe { mem::zeroed() };
        let mut at = |rip: u64, rax: i64| {
            frame.uc_mcontext.gregs[libc::REG_RIP as usize] = rip as i64;
            frame.uc_mcontext.gregs[libc::REG_RAX as usize] = rax;
            frame.uc_mcontext.gregs[libc::REG_RBX as usize] = 0x3000;
            interrupted_tcs(&frame, &range)
        };
        assert_eq!(at(range.start + 1, 3), Some(0x3000));
        assert_eq!(at(range.start + 1, 2), None, "EENTER");
        assert_eq!(at(range.start, 3), None, "another instruction");
        assert_eq!(at(range.end, 3), None, "outside");
    }
}
