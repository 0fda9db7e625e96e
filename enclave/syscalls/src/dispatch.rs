//! From the registers to the handler and back.

use enclave_core::{UserRegs, clear_reschedule, reschedule_wanted};
use enclave_hostcalls::{Errno, flush, worked};
use enclave_threads::{check_events, clock, preempt, update_tick};

use crate::{
    Sys, signal, stats,
    table::{self, Entry, Handler},
    trace,
};

pub(crate) use signal::interrupted;

/// Executes the system call in `regs`.
pub fn syscall(regs: &mut UserRegs) {
    let number = regs.orig_rax;
    let Some(Entry { handler, works }) = table::entry(number) else {
        return unknown(regs);
    };
    let sys = &mut Sys { args: regs.args(), regs };
    let result = if stats::wanted() || trace::wanted() {
        observed(handler, sys)
    } else {
        execute(handler, sys)
    };
    match result {
        Ok(value) => {
            sys.regs.rax = value;
            if works {
                worked();
            }
        }
        Err(errno) => failed(sys, number, errno),
    }
}

/// Refuses a call that is not there.
#[cold]
fn unknown(regs: &mut UserRegs) {
    let number = regs.orig_rax;
    stats::unknown(number);
    if trace::wanted() {
        trace::write(trace::describe(number, regs.args()), number, Err(Errno::ENOSYS), 0);
    }
    regs.rax = Errno::ENOSYS.as_result();
}

/// Executes a call, counted and traced.
#[cold]
fn observed(handler: Handler, sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let number = sys.regs.orig_rax;
    let line = trace::wanted().then(|| trace::describe(number, sys.args));
    let before = clock::monotonic();
    let result = execute(handler, sys);
    let took = clock::monotonic() - before;
    stats::count(number, took);
    if let Some(line) = line {
        trace::write(line, number, result, took);
    }
    result
}

#[inline(always)]
fn execute(handler: Handler, sys: &mut Sys<'_>) -> Result<u64, Errno> {
    with_restarts(|| handler(sys))
}

/// Does what may wait; it ends with `EINTR` only if there is a signal to deliver.
#[inline(always)]
pub(crate) fn with_restarts(mut attempt: impl FnMut() -> Result<u64, Errno>) -> Result<u64, Errno> {
    loop {
        let result = attempt();
        if result != Err(Errno::EINTR) {
            return result;
        }
        // The host may only have wanted attention: if there is no signal, the call goes on.
        check_events();
        if interrupted() {
            return result;
        }
    }
}

#[cold]
fn failed(sys: &mut Sys<'_>, number: u64, errno: Errno) {
    sys.regs.rax = errno.as_result();
    match errno {
        Errno::EINTR => signal::deliver(sys.regs),
        Errno::EPIPE => signal::broken_pipe(number, sys.args),
        Errno::EFBIG => signal::file_too_large(number),
        _ => {}
    }
}

/// Does what a tick is for.
pub(crate) fn tick() {
    check_events();
    flush();
    update_tick();
    preempt();
}

/// Called before each return to the program.
pub fn before_return(regs: &mut UserRegs) {
    if reschedule_wanted() {
        clear_reschedule();
        tick();
    }
    signal::before_return(regs);
}
