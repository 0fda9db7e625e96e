//! Waiting for signals.

use enclave_core::AppPtr;
use enclave_hostcalls::Errno;
use enclave_signals::{SigInfo, SigSet, number::UNBLOCKABLE};
use enclave_threads::{Wake, current, park};

use super::{calls::SET_SIZE, host, interrupted, keep_deadline, look, resume_deadline, take, with};
use crate::{Sys, time, wait};

fn until_interrupted() -> Errno {
    while !interrupted() {
        park();
    }
    Errno::EINTR
}

pub(crate) fn pause(_: &mut Sys<'_>) -> Result<u64, Errno> {
    Err(until_interrupted())
}

/// Only an interrupted call could ask for it, and those are made again by their own number.
pub(crate) fn restart_syscall(_: &mut Sys<'_>) -> Result<u64, Errno> {
    Err(Errno::EINTR)
}

/// Reads a signal mask of the program.
fn read_mask(pointer: u64, size: u64) -> Result<SigSet, Errno> {
    if size != SET_SIZE {
        return Err(Errno::EINVAL);
    }
    Ok(SigSet(AppPtr::<u64>::new(pointer).read()?))
}

fn block_for_now(set: SigSet) {
    host::hold(set);
    let thread = current();
    with(|state| {
        let others = state.signals.block_for_now(thread.tid(), set.without(UNBLOCKABLE));
        state.refresh(&thread);
        ((), others)
    });
}

pub(crate) fn rt_sigsuspend(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [pointer, size, ..] = sys.args;
    block_for_now(read_mask(pointer, size)?);
    Err(until_interrupted())
}

/// Calls `action` while the set of blocked signals is the one at `address` (`size` bytes; null to
/// leave it), as the `p` variants of the waiting calls do.
pub(crate) fn with_mask<R>(
    address: u64,
    size: u64,
    action: impl FnOnce() -> Result<R, Errno>,
) -> Result<R, Errno> {
    if address == 0 {
        return action();
    }
    block_for_now(read_mask(address, size)?);
    let result = action();
    // If a signal ended the call, it is delivered under this mask first.
    if !matches!(result, Err(Errno::EINTR)) {
        let thread = current();
        with(|state| {
            let others = state.signals.settle(thread.tid());
            state.refresh(&thread);
            ((), others)
        });
    }
    result
}

pub(crate) fn rt_sigtimedwait(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [set, info, timeout, size, ..] = sys.args;
    let set = read_mask(set, size)?.without(UNBLOCKABLE);
    let deadline = if timeout == 0 {
        None
    } else {
        let time = time::read_timespec(timeout)?.duration()?;
        Some(resume_deadline(|| time::after(time)))
    };
    host::hold(set);
    let found = wait_for(set, deadline)?;
    if info != 0 {
        AppPtr::<SigInfo>::new(info).write(&found)?;
    }
    Ok(found.signal().into())
}

fn wait_for(set: SigSet, deadline: Option<u64>) -> Result<SigInfo, Errno> {
    let tid = current().tid();
    // A signal that comes from here on wakes us although it is blocked.
    look(|state| state.signals.wait_for(tid, set));
    let result = loop {
        if let Some(info) = take(set) {
            break Ok(info);
        }
        if interrupted() {
            deadline.into_iter().for_each(keep_deadline);
            break Err(Errno::EINTR);
        }
        if wait::sleep(deadline) == Wake::TimedOut {
            break take(set).ok_or(Errno::EAGAIN);
        }
    };
    let thread = current();
    look(|state| {
        state.signals.wait_for(tid, SigSet::EMPTY);
        state.refresh(&thread);
    });
    result
}
