//! The end of the process, and signals to its threads.

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
