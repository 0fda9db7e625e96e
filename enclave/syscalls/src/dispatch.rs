//! From the registers to the handler and back.

use enclave_core::{UserRegs, clear_reschedule, reschedule_wanted};
use enclave_hostcalls::Errno;
use enclave_threads::{check_events, yield_now};

use crate::{Sys, signal, stats, table};

pub(crate) use signal::interrupted;

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
        let result = handler(&mut Sys { args, regs });
        if result != Err(Errno::EINTR) {
            break result;
        }
        // The host may only have wanted attention: if there is no signal, the call goes on.
        check_events();
        if interrupted() {
            break result;
        }
    };
    match result {
        Ok(value) => regs.rax = value,
        Err(errno) => failed(regs, number, args, errno),
    }
}

#[cold]
fn failed(regs: &mut UserRegs, number: u64, args: [u64; 6], errno: Errno) {
    regs.rax = errno.as_result();
    match errno {
        Errno::EINTR => signal::deliver(regs),
        Errno::EPIPE => signal::broken_pipe(number, args),
        Errno::EFBIG => signal::file_too_large(number),
        _ => {}
    }
}

/// Called before each return to the program.
pub fn before_return(regs: &mut UserRegs) {
    if reschedule_wanted() {
        clear_reschedule();
        check_events();
        yield_now();
    }
    signal::before_return(regs);
}
