//! From the registers to the handler and back.

use enclave_core::{UserRegs, clear_reschedule, reschedule_wanted};
use enclave_hostcalls::Errno;
use enclave_threads::{check_events, yield_now};

use crate::{Sys, stats, table};

/// Executes the system call in `regs`.
pub fn syscall(regs: &mut UserRegs) {
    let number = regs.orig_rax;
    let args = regs.args();
    let Some(handler) = table::handler(number) else {
        stats::unknown(number);
        regs.rax = Errno::ENOSYS.as_result();
        return;
    };
    stats::count(number);
    let result = loop {
        match handler(&mut Sys { args, regs }) {
            Err(Errno::EINTR) if !interrupted() => check_events(),
            result => break result,
        }
    };
    regs.rax = match result {
        Ok(value) => value,
        Err(errno) => errno.as_result(),
    };
}

/// Whether a signal waits for the current thread, so that its call must end.
fn interrupted() -> bool {
    false
}

/// Called before each return to the program.
pub fn before_return(_: &mut UserRegs) {
    if reschedule_wanted() {
        clear_reschedule();
        check_events();
        yield_now();
    }
}
