//! pidfds: descriptors of processes of the host.

use enclave_core::AppSlice;
use enclave_hostcalls::Errno;

use crate::{
    Sys,
    args::{
        Arg::{Int, MaybeIn},
        forward_zero, host, optional, uint,
    },
};

mod nr {
    pub(super) const PIDFD_SEND_SIGNAL: u64 = 424;
    pub(super) const PIDFD_OPEN: u64 = 434;
}

/// `siginfo_t` in bytes.
const SIGINFO: u64 = 128;

pub(crate) fn pidfd_open(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [pid, flags] = [0, 1].map(|index: usize| uint(sys.args[index]));
    super::make(nr::PIDFD_OPEN, [pid, flags], flags)
}

/// The signal takes the way over the host, also to this process itself.
pub(crate) fn pidfd_send_signal(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, signal, info, flags, ..] = sys.args;
    let process = host(fd)?;
    let info: Option<AppSlice> = optional(info, SIGINFO)?;
    let args = [Int(process.number()), Int(uint(signal)), MaybeIn(info), Int(uint(flags))];
    forward_zero(nr::PIDFD_SEND_SIGNAL, args)
}
