//! Actions, masks and alternate stacks.

use enclave_core::AppPtr;
use enclave_hostcalls::Errno;
use enclave_signals::{
    Action, AltStack, AltStackError, SigSet,
    number::{UNBLOCKABLE, is_valid},
};
use enclave_threads::current;

use super::{host, look, with};
use crate::{Sys, exec::MIN_SIGNAL_STACK};

/// Bytes of the kernel's `sigset_t`.
pub(super) const SET_SIZE: u64 = 8;

pub(super) fn signal_number(arg: u64) -> Result<u32, Errno> {
    u32::try_from(arg & 0xffff_ffff).ok().filter(|&number| is_valid(number)).ok_or(Errno::EINVAL)
}

pub(crate) fn rt_sigaction(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [number, new, old, size, ..] = sys.args;
    if size != SET_SIZE {
        return Err(Errno::EINVAL);
    }
    let number = signal_number(number)?;
    let (new, old) = (AppPtr::<Action>::new(new), AppPtr::<Action>::new(old));
    let before = if new.is_null() {
        look(|state| state.signals.action(number))
    } else {
        let action = new.read()?;
        if UNBLOCKABLE.contains(number) {
            return Err(Errno::EINVAL);
        }
        let thread = current();
        let before = look(|state| {
            let before = state.signals.set_action(number, action);
            state.refresh(&thread);
            before
        });
        host::update();
        before
    };
    if !old.is_null() {
        old.write(&before)?;
    }
    Ok(0)
}

pub(crate) fn rt_sigprocmask(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const BLOCK: u64 = 0;
    const UNBLOCK: u64 = 1;
    const SETMASK: u64 = 2;
    let [how, new, old, size, ..] = sys.args;
    if size != SET_SIZE {
        return Err(Errno::EINVAL);
    }
    let thread = current();
    let before = look(|state| state.signals.blocked(thread.tid()));
    if new != 0 {
        let set = SigSet(AppPtr::<u64>::new(new).read()?);
        let set = match how {
            BLOCK => before | set,
            UNBLOCK => before.without(set),
            SETMASK => set,
            _ => return Err(Errno::EINVAL),
        };
        host::hold(set);
        with(|state| {
            let others = state.signals.set_blocked(thread.tid(), set);
            state.refresh(&thread);
            ((), others)
        });
    }
    if old != 0 {
        AppPtr::<u64>::new(old).write(&before.0)?;
    }
    Ok(0)
}

pub(crate) fn rt_sigpending(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [set, size, ..] = sys.args;
    if size > SET_SIZE {
        return Err(Errno::EINVAL);
    }
    let tid = current().tid();
    let pending = look(|state| state.signals.pending(tid) & state.signals.blocked(tid));
    let bytes = pending.0.to_le_bytes();
    let bytes = &bytes[..enclave_core::to_usize(size)];
    enclave_core::AppSlice::new(set, size)?.write_bytes(bytes)?;
    Ok(0)
}

pub(crate) fn sigaltstack(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [new, old, ..] = sys.args;
    let (new, old) = (AppPtr::<AltStack>::new(new), AppPtr::<AltStack>::new(old));
    let wanted = if new.is_null() { None } else { Some(new.read()?) };
    let rsp = sys.regs.rsp;
    let tid = current().tid();
    let before = look(|state| {
        let stack = state.signals.altstack(tid).ok_or(Errno::ESRCH)?;
        let before = stack.shown(rsp);
        if let Some(wanted) = wanted {
            *stack =
                stack.replaced(wanted, rsp, MIN_SIGNAL_STACK).map_err(|error| match error {
                    AltStackError::InUse => Errno::EPERM,
                    AltStackError::Flags => Errno::EINVAL,
                    AltStackError::TooSmall => Errno::ENOMEM,
                })?;
        }
        Ok::<_, Errno>(before)
    })?;
    if !old.is_null() {
        old.write(&before)?;
    }
    Ok(0)
}
