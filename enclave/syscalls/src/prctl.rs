//! prctl(2): properties of threads and of the process. Few of them mean anything outside.

use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{AppPtr, AppSlice};
use enclave_hostcalls::{Errno, Wait};
use enclave_threads::current;

use crate::{
    Sys,
    args::{self, Arg::Int, forward, int},
    task,
};

/// Operations of prctl(2).
mod operation {
    pub(super) const SET_PDEATHSIG: i32 = 1;
    pub(super) const GET_PDEATHSIG: i32 = 2;
    pub(super) const GET_DUMPABLE: i32 = 3;
    pub(super) const SET_DUMPABLE: i32 = 4;
    pub(super) const GET_KEEPCAPS: i32 = 7;
    pub(super) const SET_KEEPCAPS: i32 = 8;
    pub(super) const GET_TIMING: i32 = 13;
    pub(super) const SET_NAME: i32 = 15;
    pub(super) const GET_NAME: i32 = 16;
    pub(super) const GET_SECCOMP: i32 = 21;
    pub(super) const CAPBSET_READ: i32 = 23;
    pub(super) const CAPBSET_DROP: i32 = 24;
    pub(super) const GET_TSC: i32 = 25;
    pub(super) const GET_SECUREBITS: i32 = 27;
    pub(super) const SET_TIMERSLACK: i32 = 29;
    pub(super) const GET_TIMERSLACK: i32 = 30;
    pub(super) const SET_MM: i32 = 35;
    pub(super) const SET_CHILD_SUBREAPER: i32 = 36;
    pub(super) const GET_CHILD_SUBREAPER: i32 = 37;
    pub(super) const SET_NO_NEW_PRIVS: i32 = 38;
    pub(super) const GET_NO_NEW_PRIVS: i32 = 39;
    pub(super) const GET_TID_ADDRESS: i32 = 40;
    pub(super) const SET_THP_DISABLE: i32 = 41;
    pub(super) const GET_THP_DISABLE: i32 = 42;
    pub(super) const SET_VMA: i32 = 0x5356_4d41;
    pub(super) const SET_PTRACER: i32 = 0x5961_6d61;
}

/// Properties of the process that are only remembered.
#[derive(Clone, Copy)]
enum Property {
    ParentDeathSignal,
    Dumpable,
    KeepCapabilities,
    TimerSlack,
    ChildSubreaper,
    NoNewPrivileges,
    NoHugePages,
}

/// Nanoseconds by which timers may be late at first.
const TIMER_SLACK: u64 = 50_000;

static PROPERTIES: [AtomicU64; 7] = {
    let mut properties = [const { AtomicU64::new(0) }; 7];
    properties[Property::Dumpable as usize] = AtomicU64::new(1);
    properties[Property::TimerSlack as usize] = AtomicU64::new(TIMER_SLACK);
    properties
};

impl Property {
    fn get(self) -> u64 {
        PROPERTIES[self as usize].load(Ordering::Relaxed)
    }

    /// Sets it if the value is at most `limit`.
    fn set(self, value: u64, limit: u64) -> Result<u64, Errno> {
        if value > limit {
            return Err(Errno::EINVAL);
        }
        PROPERTIES[self as usize].store(value, Ordering::Relaxed);
        Ok(0)
    }

    /// Writes it as an `int`.
    fn write(self, address: u64) -> Result<u64, Errno> {
        AppPtr::new(address).write(&u32::try_from(self.get()).unwrap_or(0))?;
        Ok(0)
    }
}

fn set_name(address: u64) -> Result<u64, Errno> {
    // As Linux: up to the NUL, at most fifteen bytes.
    let mut name = [0; 15];
    for (index, byte) in (0..).zip(&mut name) {
        *byte = AppPtr::<u8>::new(address).at(index).read()?;
        if *byte == 0 {
            break;
        }
    }
    task::of(&current()).set_name(&name);
    Ok(0)
}

fn get_name(address: u64) -> Result<u64, Errno> {
    let mut name = task::of(&current()).name();
    name.resize(16, 0);
    AppSlice::new(address, 16)?.write_bytes(&name)?;
    Ok(0)
}

fn set_timer_slack(value: u64) -> Result<u64, Errno> {
    Property::TimerSlack.set(if value == 0 { TIMER_SLACK } else { value }, u64::MAX)
}

/// What only the host knows.
fn on_host(sys: &Sys<'_>) -> Result<u64, Errno> {
    let [number, second, third, ..] = sys.args;
    let result = forward(sys.regs.orig_rax, Wait::No, [Int(number), Int(second), Int(third)])?;
    args::at_most(result, i32::MAX.unsigned_abs().into())
}

pub(crate) fn prctl(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const SIGNALS: u64 = 64;
    let value = sys.args[1];
    match int(sys.args[0]) {
        operation::SET_PDEATHSIG => Property::ParentDeathSignal.set(value, SIGNALS),
        operation::GET_PDEATHSIG => Property::ParentDeathSignal.write(value),
        operation::GET_DUMPABLE => Ok(Property::Dumpable.get()),
        operation::SET_DUMPABLE => Property::Dumpable.set(value, 1),
        operation::GET_KEEPCAPS => Ok(Property::KeepCapabilities.get()),
        operation::SET_KEEPCAPS => Property::KeepCapabilities.set(value, 1),
        operation::GET_TIMING | operation::GET_SECCOMP | operation::GET_SECUREBITS => Ok(0),
        operation::SET_NAME => set_name(value),
        operation::GET_NAME => get_name(value),
        operation::CAPBSET_READ => on_host(sys),
        operation::CAPBSET_DROP | operation::SET_MM => Err(Errno::EPERM),
        operation::GET_TSC => {
            const ENABLED: u32 = 1;
            AppPtr::new(value).write(&ENABLED)?;
            Ok(0)
        }
        operation::SET_TIMERSLACK => set_timer_slack(value),
        operation::GET_TIMERSLACK => Ok(Property::TimerSlack.get()),
        operation::SET_CHILD_SUBREAPER => Property::ChildSubreaper.set(u64::from(value != 0), 1),
        operation::GET_CHILD_SUBREAPER => Property::ChildSubreaper.write(value),
        operation::SET_NO_NEW_PRIVS if value == 1 => Property::NoNewPrivileges.set(1, 1),
        operation::GET_NO_NEW_PRIVS => Ok(Property::NoNewPrivileges.get()),
        operation::GET_TID_ADDRESS => {
            let thread = current();
            let address = task::of(&thread).clear_tid.load(Ordering::Relaxed);
            AppPtr::new(value).write(&address)?;
            Ok(0)
        }
        operation::SET_THP_DISABLE => Property::NoHugePages.set(u64::from(value != 0), 1),
        operation::GET_THP_DISABLE => Ok(Property::NoHugePages.get()),
        operation::SET_VMA | operation::SET_PTRACER => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}
