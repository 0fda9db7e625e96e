//! sendmmsg(2) and recvmmsg(2): several messages by one call.

use enclave_core::AppPtr;
use enclave_hostcalls::Errno;
use enclave_threads::clock;

use super::{Socket, message, msg};
use crate::{
    Sys,
    args::uint,
    time::{self, Timespec},
    wait::interrupted,
};

/// `struct mmsghdr` in bytes: a header, then the length of the message.
const ENTRY: u64 = 64;
const LENGTH: u64 = 56;
const MAX_MESSAGES: u64 = 1024;

pub(crate) fn sendmmsg(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, entries, count, flags, ..] = sys.args;
    let (socket, flags) = (Socket::get(fd)?, uint(flags));
    each(entries, count, |_, entry| message::send(&socket, entry, flags))
}

pub(crate) fn recvmmsg(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, entries, count, flags, timeout, _] = sys.args;
    let (socket, flags) = (Socket::get(fd)?, uint(flags));
    let timeout = AppPtr::<Timespec>::new(timeout);
    let deadline =
        if timeout.is_null() { None } else { Some(time::after(timeout.read()?.duration()?)) };
    let received = each(entries, count, |index, entry| {
        // Linux looks at the time after each message only.
        if index > 0 && deadline.is_some_and(|deadline| clock::monotonic() >= deadline) {
            return Err(Errno::EAGAIN);
        }
        let one = flags & msg::WAITFORONE != 0 && index > 0;
        let flags = flags & !msg::WAITFORONE | if one { msg::DONTWAIT } else { 0 };
        message::receive(&socket, entry, flags)
    })?;
    if let Some(deadline) = deadline {
        let rest = deadline.saturating_sub(clock::monotonic());
        timeout.write(&Timespec::new(rest))?;
    }
    Ok(received)
}

/// Calls `action` with index and address of each message until one fails; the error is reported
/// only if it was the first one.
fn each(
    entries: u64,
    count: u64,
    mut action: impl FnMut(u64, u64) -> Result<u64, Errno>,
) -> Result<u64, Errno> {
    for index in 0..uint(count).min(MAX_MESSAGES) {
        let entry = entries.wrapping_add(index * ENTRY);
        let len = loop {
            match action(index, entry) {
                Ok(len) => break len,
                Err(Errno::EINTR) if index > 0 && !interrupted() => enclave_threads::check_events(),
                Err(_) if index > 0 => return Ok(index),
                Err(errno) => return Err(errno),
            }
        };
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        AppPtr::<u32>::new(entry.wrapping_add(LENGTH)).write(&len)?;
    }
    Ok(uint(count).min(MAX_MESSAGES))
}
