//! The end of the process, and signals to its threads.

use std::io;

/// Ends the process at once, without destructors: the enclave's threads may still run.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

/// Ends the process by a signal, with its default action.
pub fn kill_self(signal: i32) -> ! {
    // SAFETY: plain system calls with valid pointers; if the signal does not end the process (it
    // was one that cannot), the exit status says what a shell would.
    unsafe {
        let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &no_core);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(signal, &action, std::ptr::null_mut());
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        libc::raise(signal);
        libc::_exit(128 + signal)
    }
}

/// Kernel id of the calling thread.
#[must_use]
pub fn thread_id() -> i32 {
    // SAFETY: takes nothing, always succeeds.
    unsafe { libc::gettid() }
}

/// Sends `signal` to a thread of this process; one that has ended is not an error.
pub fn kick_thread(thread: i32, signal: i32) {
    // SAFETY: a system call with plain numbers; the signal is one that has a handler.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) };
}

/// Makes the calling thread receive `signal` each `period` nanoseconds of processor time that it
/// uses: a thread that sleeps gets none.
///
/// # Errors
///
/// As timer_create(2).
pub fn start_tick(signal: i32, period: i64) -> io::Result<()> {
    // SAFETY: the structures are initialised before use and live through the calls.
    unsafe {
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = signal;
        event.sigev_notify_thread_id = thread_id();
        let mut timer = std::mem::zeroed();
        if libc::timer_create(libc::CLOCK_THREAD_CPUTIME_ID, &mut event, &mut timer) != 0 {
            return Err(io::Error::last_os_error());
        }
        let each = libc::timespec { tv_sec: 0, tv_nsec: period };
        let setting = libc::itimerspec { it_interval: each, it_value: each };
        if libc::timer_settime(timer, 0, &setting, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
