//! Delivery: on the way back to the program.

use core::sync::atomic::Ordering;

use enclave_core::{UserRegs, exit_forever, own_call};
use enclave_hostcalls::{Errno, changed, flush};
use enclave_signals::{Delivery, Next, SigInfo, flags, number::UNBLOCKABLE};
use enclave_threads::current;
use hostcall_abi::service;

use super::{WANTED, frame, interrupted, look, restart, with};
use crate::{
    Sys,
    process::{process, settle},
    stats, task,
};

/// Delivers signals if there are any for the current thread.
#[inline]
pub(crate) fn before_return(regs: &mut UserRegs) {
    if WANTED.load(Ordering::Relaxed) != 0 && interrupted() {
        deliver(regs);
    }
}

/// Delivers the signals that wait for the current thread, and decides what becomes of the call
/// that they have interrupted.
#[cold]
pub(crate) fn deliver(regs: &mut UserRegs) {
    let thread = current();
    let tid = thread.tid();
    loop {
        let next = look(|state| {
            let next = state.signals.next(tid);
            state.refresh(&thread);
            next
        });
        match next {
            Some(Next::Deliver(delivery)) => call_handler(regs, delivery),
            Some(Next::Terminate(signal)) => die(signal),
            Some(Next::Stop(signal)) => stop(signal),
            None => break,
        }
    }
    restart::without_handler(regs);
    with(|state| {
        let others = state.signals.settle(tid);
        state.refresh(&thread);
        ((), others)
    });
}

fn call_handler(regs: &mut UserRegs, mut delivery: Delivery) {
    let others = core::mem::take(&mut delivery.others);
    if !others.is_empty() {
        with(|_| ((), others));
    }
    delivery.info = crate::timer::taken(delivery.info);
    restart::before_handler(regs, delivery.action.has(flags::RESTART));
    if frame::push(regs, &delivery).is_err() {
        let (thread, signal) = (current(), delivery.info.signal());
        look(|state| {
            state.signals.frame_failed(thread.tid(), signal);
            state.refresh(&thread);
        });
    }
}

/// Ends the process by a signal.
pub(super) fn die(signal: u32) -> ! {
    settle();
    stats::report();
    exit_forever(service::KILL, signal.into())
}

/// Stops the process on the host; returns when it goes on.
fn stop(_: u32) {
    const KILL: u64 = 62;
    const SIGSTOP: u64 = 19;
    flush();
    own_call(KILL, [process().pid.into(), SIGSTOP]);
    changed();
}

/// The current thread has caused a fault: `vector`, `error` and `address` are what the processor
/// said of it. The signal is delivered before the thread goes on.
#[cold]
pub(crate) fn fault(info: SigInfo, vector: u64, error: u64, address: u64) {
    let thread = current();
    let words = &task::of(&thread).signals.fault;
    for (word, value) in words.iter().zip([vector, error, address]) {
        word.store(value, Ordering::Relaxed);
    }
    look(|state| {
        state.signals.force(thread.tid(), info);
        state.refresh(&thread);
    });
}

pub(crate) fn rt_sigreturn(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let thread = current();
    match frame::pop(sys.regs) {
        Ok(restored) => with(|state| {
            let mask = restored.mask.without(UNBLOCKABLE);
            let others = state.signals.set_blocked(thread.tid(), mask);
            if let Some(stack) = state.signals.altstack(thread.tid()) {
                // What cannot be restored stays, as in the kernel.
                *stack = stack.replaced(restored.altstack, sys.regs.rsp, 0).unwrap_or(*stack);
            }
            state.refresh(&thread);
            ((), others)
        }),
        Err(_) => look(|state| {
            state.signals.force(thread.tid(), SigInfo::kernel(enclave_signals::number::SIGSEGV));
            state.refresh(&thread);
        }),
    }
    sys.regs.orig_rax = u64::MAX;
    Ok(sys.regs.rax)
}
