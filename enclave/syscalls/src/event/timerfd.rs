//! timerfd_create(2) and kin: timers of the host, whose clocks are its claim anyway.

use enclave_core::AppSlice;
use enclave_files::flag;
use enclave_hostcalls::Errno;

use super::records::{Kind, Records};
use crate::{
    Sys,
    args::{
        Arg::{In, Int, MaybeOut, Out},
        forward_zero, optional, uint,
    },
};

mod nr {
    pub(super) const TIMERFD_CREATE: u64 = 283;
    pub(super) const TIMERFD_SETTIME: u64 = 286;
    pub(super) const TIMERFD_GETTIME: u64 = 287;
}

/// `struct itimerspec` in bytes.
const TIME: u64 = 32;

pub(crate) fn timerfd_create(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [clock, flags] = [0, 1].map(|index: usize| uint(sys.args[index]));
    let args = [clock, flags | flag::CLOEXEC];
    super::make_as(Records::of(Kind::Timer), nr::TIMERFD_CREATE, args, flags)
}

pub(crate) fn timerfd_settime(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, flags, new, old, ..] = sys.args;
    let timer = Records::host_of(Kind::Timer, fd)?;
    let (new, old) = (AppSlice::new(new, TIME)?, optional(old, TIME)?);
    let args = [Int(timer.number()), Int(uint(flags)), In(new), MaybeOut(old)];
    forward_zero(nr::TIMERFD_SETTIME, args)
}

pub(crate) fn timerfd_gettime(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let timer = Records::host_of(Kind::Timer, sys.args[0])?;
    let now = AppSlice::new(sys.args[1], TIME)?;
    forward_zero(nr::TIMERFD_GETTIME, [Int(timer.number()), Out(now)])
}
