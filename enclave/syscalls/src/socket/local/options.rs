//! Options of sockets inside.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use enclave_core::{AppPtr, AppSlice};
use enclave_hostcalls::Errno;
use zerocopy::IntoBytes;

use super::{
    super::{SOL_SOCKET, address},
    AF_UNIX, LocalSocket,
};
use crate::{ids, process::process};

/// Options whose value is kept and changes nothing: SO_REUSEADDR, SO_DONTROUTE, SO_BROADCAST,
/// SO_KEEPALIVE, SO_OOBINLINE, SO_PRIORITY, SO_RCVLOWAT, SO_TIMESTAMP.
const KEPT: [u64; 8] = [2, 5, 6, 9, 10, 12, 18, 29];

mod name {
    pub(super) const TYPE: u64 = 3;
    pub(super) const ERROR: u64 = 4;
    pub(super) const SNDBUF: u64 = 7;
    pub(super) const RCVBUF: u64 = 8;
    pub(super) const LINGER: u64 = 13;
    pub(super) const PASSCRED: u64 = 16;
    pub(super) const PEERCRED: u64 = 17;
    pub(super) const SNDLOWAT: u64 = 19;
    pub(super) const RCVTIMEO: u64 = 20;
    pub(super) const SNDTIMEO: u64 = 21;
    pub(super) const ACCEPTCONN: u64 = 30;
    pub(super) const SNDBUFFORCE: u64 = 32;
    pub(super) const RCVBUFFORCE: u64 = 33;
    pub(super) const PROTOCOL: u64 = 38;
    pub(super) const DOMAIN: u64 = 39;
}

/// Options of a socket.
pub(super) struct Options {
    send_buffer: AtomicU32,
    receive_buffer: AtomicU32,
    credentials: AtomicBool,
    /// Nanoseconds, zero for ever: of receiving and sending.
    timeouts: [AtomicU64; 2],
    kept: [AtomicU32; KEPT.len()],
}

impl Options {
    /// What a direction holds at first, in bytes.
    pub(super) const BUFFER: usize = 212_992;

    pub(super) fn new() -> Self {
        let kept = KEPT.map(|name| AtomicU32::new(u32::from(name == 18)));
        Self {
            send_buffer: AtomicU32::new(212_992),
            receive_buffer: AtomicU32::new(212_992),
            credentials: AtomicBool::new(false),
            timeouts: [AtomicU64::new(0), AtomicU64::new(0)],
            kept,
        }
    }

    /// Whether senders are told (`SO_PASSCRED`).
    pub(super) fn passes_credentials(&self) -> bool {
        self.credentials.load(Ordering::Relaxed)
    }

    /// Nanoseconds that receiving may take.
    pub(super) fn receive_timeout(&self) -> Option<u64> {
        Some(self.timeouts[0].load(Ordering::Relaxed)).filter(|&time| time > 0)
    }

    /// Nanoseconds that sending may take.
    pub(super) fn send_timeout(&self) -> Option<u64> {
        Some(self.timeouts[1].load(Ordering::Relaxed)).filter(|&time| time > 0)
    }
}

/// Whether receiving or sending ends after some time.
pub(crate) fn has_timeout(socket: &LocalSocket, receives: bool) -> bool {
    let options = socket.options();
    if receives { options.receive_timeout() } else { options.send_timeout() }.is_some()
}

/// Size of a buffer for which the program asks, as Linux counts: double, within limits.
fn buffer(wanted: u32, least: u32, forced: bool) -> u32 {
    const MOST: u32 = 212_992;
    let wanted = if forced { wanted.min(i32::MAX.unsigned_abs() / 2) } else { wanted.min(MOST) };
    (wanted * 2).max(least)
}

/// Nanoseconds of a `struct timeval`; zero for ever.
fn timeout(value: AppSlice) -> Result<u64, Errno> {
    let mut time = [0_i64; 2];
    if value.len() < 16 {
        return Err(Errno::EINVAL);
    }
    value.read_bytes(time.as_mut_bytes())?;
    let [seconds, microseconds] = time;
    if !(0..1_000_000).contains(&microseconds) {
        return Err(Errno::EDOM);
    }
    let seconds = u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000);
    Ok(seconds.saturating_add(microseconds.unsigned_abs() * 1000))
}

pub(crate) fn setsockopt(socket: &LocalSocket, args: [u64; 6]) -> Result<u64, Errno> {
    let [_, level, option, pointer, len, _] = args;
    if level & 0xffff_ffff != SOL_SOCKET {
        return Err(Errno::EOPNOTSUPP);
    }
    let value = AppSlice::new(pointer, address::length(len)?)?;
    let mut int = [0; 4];
    if value.len() < 4 {
        return Err(Errno::EINVAL);
    }
    value.read_bytes(&mut int)?;
    let int = u32::from_le_bytes(int);
    let options = socket.options();
    match option & 0xffff_ffff {
        option @ (name::SNDBUF | name::SNDBUFFORCE) => {
            let forced = option == name::SNDBUFFORCE;
            if forced && !ids::is_privileged() {
                return Err(Errno::EPERM);
            }
            let bytes = buffer(int, 4608, forced);
            options.send_buffer.store(bytes, Ordering::Relaxed);
            socket.resize(bytes);
        }
        option @ (name::RCVBUF | name::RCVBUFFORCE) => {
            let forced = option == name::RCVBUFFORCE;
            if forced && !ids::is_privileged() {
                return Err(Errno::EPERM);
            }
            options.receive_buffer.store(buffer(int, 2304, forced), Ordering::Relaxed);
        }
        name::PASSCRED => options.credentials.store(int != 0, Ordering::Relaxed),
        name::RCVTIMEO => options.timeouts[0].store(timeout(value)?, Ordering::Relaxed),
        name::SNDTIMEO => options.timeouts[1].store(timeout(value)?, Ordering::Relaxed),
        name::LINGER if value.len() >= 8 => {}
        name::LINGER => return Err(Errno::EINVAL),
        option => {
            let at = KEPT.iter().position(|&kept| kept == option).ok_or(Errno::ENOPROTOOPT)?;
            options.kept[at].store(int, Ordering::Relaxed);
        }
    }
    Ok(0)
}

/// The value of an option.
fn value(socket: &LocalSocket, option: u64) -> Result<[u64; 2], Errno> {
    let options = socket.options();
    let time = |index: usize| {
        let time = options.timeouts[index].load(Ordering::Relaxed);
        [time / 1_000_000_000, time % 1_000_000_000 / 1000]
    };
    let int = match option {
        name::TYPE => socket.kind() as u32,
        name::DOMAIN => return Ok([AF_UNIX, 0]),
        name::PROTOCOL | name::ACCEPTCONN => 0,
        name::SNDLOWAT => 1,
        name::ERROR => socket.take_error().map_or(0, |errno| errno.number().into()),
        name::SNDBUF => options.send_buffer.load(Ordering::Relaxed),
        name::RCVBUF => options.receive_buffer.load(Ordering::Relaxed),
        name::PASSCRED => options.passes_credentials().into(),
        name::LINGER => 0,
        name::RCVTIMEO => return Ok(time(0)),
        name::SNDTIMEO => return Ok(time(1)),
        name::PEERCRED => {
            let [user, group] = ids::of_files().map(u64::from);
            return Ok([u64::from(process().pid) | user << 32, group]);
        }
        option => {
            let at = KEPT.iter().position(|&kept| kept == option).ok_or(Errno::ENOPROTOOPT)?;
            options.kept[at].load(Ordering::Relaxed)
        }
    };
    Ok([int.into(), 0])
}

/// Bytes of the value of an option.
const fn size(option: u64) -> u64 {
    match option {
        name::LINGER => 8,
        name::PEERCRED => 12,
        name::RCVTIMEO | name::SNDTIMEO => 16,
        _ => 4,
    }
}

pub(crate) fn getsockopt(socket: &LocalSocket, args: [u64; 6]) -> Result<u64, Errno> {
    let [_, level, option, pointer, len_pointer, _] = args;
    if level & 0xffff_ffff != SOL_SOCKET {
        return Err(Errno::EOPNOTSUPP);
    }
    let option = option & 0xffff_ffff;
    let len_pointer = AppPtr::<u32>::new(len_pointer);
    let room = address::length(len_pointer.read()?.into())?.min(size(option));
    let value = value(socket, option)?;
    AppSlice::new(pointer, room)?.write_bytes(&value.as_bytes()[..enclave_core::to_usize(room)])?;
    len_pointer.write(&u32::try_from(room).unwrap_or(0))?;
    Ok(0)
}
