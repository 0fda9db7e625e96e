//! Sending signals.

use enclave_core::AppPtr;
use enclave_hostcalls::{Call, Errno, Wait};
use enclave_signals::{
    SigInfo, Target, code,
    number::{SIGPIPE, SIGXFSZ},
};
use enclave_threads::current;

use super::{calls::signal_number, find_thread, is_own, send};
use crate::{Sys, ids, nr, process::process};

/// A thread or process id, or the negative of a group.
fn id(arg: u64) -> i32 {
    u32::try_from(arg & 0xffff_ffff).unwrap_or(0).cast_signed()
}

fn forward<const N: usize>(number: u64, args: [u64; N]) -> Result<u64, Errno> {
    Call::new(number, 0)?.args(args).zero(Wait::No)?;
    Ok(0)
}

/// The number of a signal, or zero to find out whether there is such a process.
fn number_or_probe(arg: u64) -> Result<Option<u32>, Errno> {
    if arg & 0xffff_ffff == 0 { Ok(None) } else { signal_number(arg).map(Some) }
}

fn own(target: Target, number: Option<u32>, code: i32) -> Result<u64, Errno> {
    if let Some(number) = number {
        send(target, SigInfo::sent(number, code, process().pid, ids::real_user()));
    }
    Ok(0)
}

pub(crate) fn kill(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const KILL: u64 = 62;
    let [pid, signal, ..] = sys.args;
    let number = number_or_probe(signal)?;
    if is_own(id(pid).cast_unsigned()) {
        return own(Target::Process, number, code::USER);
    }
    // All processes of the host: none is the program's own, and many programs take what a fork that failed
    // has returned for a child's id.
    if id(pid) == -1 {
        return Err(Errno::EPERM);
    }
    forward(KILL, [pid, signal])
}

fn to_thread(tid: u64, signal: u64) -> Result<u64, Errno> {
    let number = number_or_probe(signal)?;
    let tid = id(tid).cast_unsigned();
    find_thread(tid).ok_or(Errno::ESRCH)?;
    own(Target::Thread(tid), number, code::TKILL)
}

pub(crate) fn tkill(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [tid, signal, ..] = sys.args;
    if id(tid) <= 0 { Err(Errno::EINVAL) } else { to_thread(tid, signal) }
}

pub(crate) fn tgkill(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const TGKILL: u64 = 234;
    let [pid, tid, signal, ..] = sys.args;
    if id(pid) <= 0 || id(tid) <= 0 {
        return Err(Errno::EINVAL);
    }
    if id(pid).cast_unsigned() == process().pid {
        return to_thread(tid, signal);
    }
    forward(TGKILL, [pid, tid, signal])
}

fn read_info(signal: u64, pointer: u64) -> Result<SigInfo, Errno> {
    let number = number_or_probe(signal)?.unwrap_or(0);
    let info = AppPtr::<SigInfo>::new(pointer).read()?;
    Ok(SigInfo { signo: number.cast_signed(), ..info })
}

fn queue(target: Target, info: SigInfo) -> Result<u64, Errno> {
    if info.signo == 0 || send(target, info) { Ok(0) } else { Err(Errno::EAGAIN) }
}

fn forward_info(number: u64, ids: &[u64], signal: u64, info: &SigInfo) -> Result<u64, Errno> {
    // Only a process itself may say that the kernel has sent a signal.
    if info.code >= 0 || info.code == code::TKILL {
        return Err(Errno::EPERM);
    }
    let mut call = Call::new(number, size_of::<SigInfo>() as u64)?;
    let staged = call.bytes(zerocopy::IntoBytes::as_bytes(&info.for_others()));
    for (index, arg) in ids.iter().copied().chain([signal, staged]).enumerate() {
        call.arg(index, arg);
    }
    call.zero(Wait::No)?;
    Ok(0)
}

/// What pidfd_send_signal(2) does to this process.
pub(crate) fn send_to_own(target: Target, signal: u64, info: u64) -> Result<u64, Errno> {
    if info == 0 {
        return own(target, number_or_probe(signal)?, code::USER);
    }
    let given = AppPtr::<SigInfo>::new(info).read()?;
    if given.signo != id(signal) {
        return Err(Errno::EINVAL);
    }
    queue(target, read_info(signal, info)?)
}

pub(crate) fn rt_sigqueueinfo(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const RT_SIGQUEUEINFO: u64 = 129;
    let [pid, signal, info, ..] = sys.args;
    let info = read_info(signal, info)?;
    if is_own(id(pid).cast_unsigned()) {
        return queue(Target::Process, info);
    }
    forward_info(RT_SIGQUEUEINFO, &[pid], signal, &info)
}

pub(crate) fn rt_tgsigqueueinfo(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const RT_TGSIGQUEUEINFO: u64 = 297;
    let [pid, tid, signal, info, ..] = sys.args;
    let info = read_info(signal, info)?;
    if id(pid).cast_unsigned() == process().pid {
        let tid = id(tid).cast_unsigned();
        find_thread(tid).ok_or(Errno::ESRCH)?;
        return queue(Target::Thread(tid), info);
    }
    forward_info(RT_TGSIGQUEUEINFO, &[pid, tid], signal, &info)
}

/// A system call has failed with EPIPE: SIGPIPE, unless it asked for none or sent a record.
#[cold]
pub(crate) fn broken_pipe(number: u64, args: [u64; 6]) {
    const MSG_NOSIGNAL: u64 = 0x4000;
    let raises = match number {
        // write, pwrite64, writev, sendfile, splice, tee, vmsplice, pwritev, pwritev2
        1 | 18 | 20 | 40 | 275 | 276 | 278 | 296 | 328 => true,
        // sendto, sendmmsg
        44 | 307 => args[3] & MSG_NOSIGNAL == 0,
        // sendmsg
        46 => args[2] & MSG_NOSIGNAL == 0,
        _ => false,
    };
    if raises && !crate::socket::keeps_borders(args[0]) {
        raise(SIGPIPE);
    }
}

/// A system call has failed with EFBIG: SIGXFSZ if a limit was the reason.
#[cold]
pub(crate) fn file_too_large(number: u64) {
    // write, pwrite64, writev, sendfile, truncate, ftruncate, fallocate, pwritev, copy_file_range, pwritev2
    if matches!(number, 1 | 18 | 20 | 40 | 76 | 77 | 285 | 296 | 326 | 328) {
        raise(SIGXFSZ);
    }
}

/// As those two, for a write to this descriptor that was no system call of its own.
pub(crate) fn write_failed(fd: u64, errno: Errno) {
    match errno {
        Errno::EPIPE => broken_pipe(nr::WRITE, [fd, 0, 0, 0, 0, 0]),
        Errno::EFBIG => file_too_large(nr::WRITE),
        _ => {}
    }
}

fn raise(signal: u32) {
    let info = SigInfo::sent(signal, code::USER, process().pid, ids::real_user());
    send(Target::Thread(current().tid()), info);
}
