//! An independent witness that no system call instruction in ELRANGE reaches the kernel.
//!
//! Syscall User Dispatch is what keeps them out; this is a second, unrelated mechanism behind it: a
//! seccomp filter that kills the process when a system call comes from ELRANGE after all. Tests run
//! programs under it. It stays with the thread and its children for good, and makes each system call
//! dearer, so it is off otherwise.

use std::cell::Cell;
use std::io;

/// Offset of the high half of `instruction_pointer` in `struct seccomp_data`.
const POINTER_HIGH: u32 = 12;

/// Makes the kernel kill the process when the calling thread makes a system call from below `end`, a
/// multiple of 4 GiB.
///
/// # Errors
/// When seccomp is not to be had.
pub(crate) fn forbid_system_calls_below(end: u64) -> io::Result<()> {
    thread_local!(static FORBIDDEN: Cell<bool> = const { Cell::new(false) });
    if FORBIDDEN.get() {
        return Ok(());
    }
    let high = u32::try_from(end >> 32).map_err(|_| io::ErrorKind::InvalidInput)?;
    let step = |code: u32, jump_true: u8, jump_false: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt: jump_true,
        jf: jump_false,
        k,
    };
    let mut filter = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, POINTER_HIGH),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, high),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program lives until the calls return; they only restrict this thread.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1u64, 0u64, 0u64, 0u64) != 0
            || libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                &raw const program,
            ) != 0
    };
    if refused {
        return Err(io::Error::last_os_error());
    }
    FORBIDDEN.set(true);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::{env, mem};

    use super::*;
    use crate::sys;

    const CHILD: &str = "BACKEND_EMU_AUDIT_CHILD";

    /// The witness does see what it is there for: without Syscall User Dispatch, it kills.
    #[test]
    fn kills_system_calls_from_below() {
        if env::var_os(CHILD).is_some() {
            return call_from_below();
        }
        let child = Command::new(env::current_exe().expect("a path"))
            .args(["--exact", "audit::tests::kills_system_calls_from_below"])
            .env(CHILD, "1")
            .output()
            .expect("the test can run itself");
        assert_eq!(child.status.signal(), Some(libc::SIGSYS), "{child:?}");
    }

    /// Executes getpid at a low address: first without, then with the filter.
    fn call_from_below() {
        let page = sys::map(1 << 32, 4096, libc::PROT_READ | libc::PROT_WRITE).expect("free");
        // mov eax, 39; syscall; ret
        let code = [0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3];
        // SAFETY: the page is ours and large enough.
        unsafe { (page as *mut u8).copy_from_nonoverlapping(code.as_ptr(), code.len()) };
        sys::protect(page, 4096, libc::PROT_READ | libc::PROT_EXEC);
        // SAFETY: the code follows the C calling convention.
        let get_pid: extern "C" fn() -> u32 = unsafe { mem::transmute(page) };
        assert_eq!(get_pid(), std::process::id());
        forbid_system_calls_below(1 << 46).expect("seccomp");
        get_pid();
    }
}
