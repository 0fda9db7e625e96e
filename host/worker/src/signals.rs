//! Signals of the host process: masks, waiting, default actions.

use std::{mem, ptr, time::Duration};

use crate::kill_self;

/// A signal that was taken.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// Its number.
    pub signal: u32,
    /// `si_code`.
    pub code: i32,
    /// Sender's process id.
    pub pid: i32,
    /// Sender's user id.
    pub uid: u32,
    /// `si_value`, or the status of a child.
    pub value: u64,
}

/// Signals that glibc uses itself.
const INTERNAL: [i32; 2] = [32, 33];

fn sigset(set: u64) -> libc::sigset_t {
    // SAFETY: plain data, filled by the calls.
    unsafe {
        let mut sigset = mem::zeroed();
        libc::sigemptyset(&mut sigset);
        for signal in (1..=64).filter(|signal| set >> (signal - 1) & 1 != 0) {
            if !INTERNAL.contains(&signal) {
                libc::sigaddset(&mut sigset, signal);
            }
        }
        sigset
    }
}

/// The signals that this process ignores (a set, bit n-1 for signal n). SIGPIPE is left out:
/// Rust's runtime ignores it on its own account.
#[must_use]
pub fn ignored_signals() -> u64 {
    (1..=64)
        .filter(|&signal| signal != libc::SIGPIPE && !INTERNAL.contains(&signal))
        .filter(|&signal| {
            // SAFETY: the action is plain data, filled by the call.
            unsafe {
                let mut action: libc::sigaction = mem::zeroed();
                libc::sigaction(signal, ptr::null(), &mut action) == 0
                    && action.sa_sigaction == libc::SIG_IGN
            }
        })
        .fold(0, |set, signal| set | 1 << (signal - 1))
}

/// Blocks the signals of a set in the calling thread and those it will start. Returns what was
/// blocked before.
pub fn block_signals(set: u64) -> u64 {
    // SAFETY: both sets are valid; the old one is filled by the first call.
    unsafe {
        let mut old = mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, &sigset(set), &mut old);
        (1..=64)
            .filter(|&signal| libc::sigismember(&old, signal) == 1)
            .fold(0, |set, signal| set | 1 << (signal - 1))
    }
}

/// Takes a blocked signal of the set; waits for one, at most `timeout`.
#[must_use]
pub fn wait_signal(set: u64, timeout: Option<Duration>) -> Option<Arrived> {
    let time = timeout.map(|timeout| libc::timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let time = time.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: all pointers are to live values or null; what the fields of the union mean is known
    // to whoever gets them.
    unsafe {
        let mut info: libc::siginfo_t = mem::zeroed();
        let signal = libc::sigtimedwait(&sigset(set), &mut info, time);
        let child = signal == libc::SIGCHLD;
        (signal > 0).then(|| Arrived {
            signal: signal.unsigned_abs(),
            code: info.si_code,
            pid: info.si_pid(),
            uid: info.si_uid(),
            value: if child {
                info.si_status().cast_unsigned().into()
            } else {
                info.si_value().sival_ptr as u64
            },
        })
    }
}

/// Sets whether the kernel ignores a signal of this process, or has its default action for it.
pub fn ignore_signal(signal: i32, ignore: bool) {
    // SAFETY: the action is plain data without a handler.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
        libc::sigaction(signal, &action, ptr::null_mut());
    }
}

/// Does with this process what a blocked signal does by default.
pub fn default_action(signal: i32) {
    match signal {
        libc::SIGCHLD | libc::SIGCONT | libc::SIGURG | libc::SIGWINCH => {}
        libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => stop(signal),
        _ => kill_self(signal),
    }
}

/// Lets a stop signal through once.
fn stop(signal: i32) {
    let one = sigset(1 << (signal - 1));
    // SAFETY: the set is valid; the signal has its default action, which stops the process here.
    unsafe {
        libc::raise(signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &one, ptr::null_mut());
        libc::pthread_sigmask(libc::SIG_BLOCK, &one, ptr::null_mut());
    }
}
