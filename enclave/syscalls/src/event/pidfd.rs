//! pidfds: descriptors of processes of the host.

use alloc::format;

use enclave_core::AppPtr;
use enclave_files::{Directory, OpenFile, flag};
use enclave_hostcalls::{Call, Errno, Wait};
use enclave_signals::{SigInfo, Target};
use zerocopy::IntoBytes;

use crate::{
    Sys,
    args::{file, uint},
    ids,
    process::process,
    procfs, signal,
};

mod nr {
    pub(super) const PIDFD_SEND_SIGNAL: u64 = 424;
    pub(super) const PIDFD_OPEN: u64 = 434;
}

/// Flags of pidfd_send_signal(2): who gets the signal.
const THREAD: u64 = 1;
const THREAD_GROUP: u64 = 2;

pub(crate) fn pidfd_open(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [pid, flags] = [0, 1].map(|index: usize| uint(sys.args[index]));
    if u32::try_from(pid).is_ok_and(ids::is_later_thread) {
        return Err(Errno::EINVAL);
    }
    super::make(nr::PIDFD_OPEN, [pid, flags], flags)
}

pub(crate) fn pidfd_send_signal(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, signal, info, flags, ..] = sys.args;
    let target = match uint(flags) {
        0 | THREAD_GROUP => Some(Target::Process),
        THREAD => Some(Target::Thread(process().pid)),
        _ => None,
    };
    let file = file(fd)?;
    if file.status() & flag::PATH != 0 {
        return Err(Errno::EBADF);
    }
    match target {
        Some(target) if is_own(&file) => return signal::send_to_own(target, signal, info),
        _ => {}
    }
    let process = file.host().ok_or(Errno::EBADF)?;
    let mut call = Call::new(nr::PIDFD_SEND_SIGNAL, size_of::<SigInfo>() as u64)?;
    let info = match info {
        0 => 0,
        _ => call.bytes(AppPtr::<SigInfo>::new(info).read()?.for_others().as_bytes()),
    };
    call.args([process.number(), uint(signal), info, uint(flags)]).zero(Wait::No)?;
    Ok(0)
}

/// Whether a descriptor stands for this process: a pidfd, as the host says, or the directory `/proc/PID`.
fn is_own(file: &OpenFile) -> bool {
    if let Some(directory) = file.object().downcast_ref::<Directory>() {
        return procfs::is_own(directory.path());
    }
    let Some(host) = file.host() else { return false };
    let info = procfs::of_host(format!("/proc/self/fdinfo/{}", host.number()).as_bytes());
    info.lines().any(|line| line.strip_prefix("Pid:\t") == Some(&format!("{}", process().pid)))
}
