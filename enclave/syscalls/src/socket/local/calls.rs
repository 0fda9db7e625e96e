//! The socket calls on sockets inside.

use enclave_core::{AppPtr, AppSlice, to_usize};
use enclave_files::{Io, OpenFile, flag};
use enclave_hostcalls::Errno;

use super::{
    super::{
        LONGEST_TRANSFER, MAX_MESSAGES, address,
        message::{ENTRY, Message, word},
        msg,
        send::write_count,
    },
    AF_UNIX, LocalSocket, control,
    pair::{How, Kind, With},
};
use crate::{
    args::uint,
    time::{self, Timespec},
};

/// The pair of sockets that socketpair(2) asks for, if it is one that lives inside.
pub(crate) fn socketpair(domain: u64, kind: u64, protocol: u64) -> Option<[LocalSocket; 2]> {
    if domain != AF_UNIX || !matches!(protocol, 0 | AF_UNIX) {
        return None;
    }
    match kind & !(flag::CLOEXEC | flag::NONBLOCK) {
        1 => Some(LocalSocket::pair(Kind::Stream)),
        // As Linux, raw sockets are datagram sockets.
        2 | 3 => Some(LocalSocket::pair(Kind::Datagram)),
        5 => Some(LocalSocket::pair(Kind::SeqPacket)),
        _ => None,
    }
}

/// What bind, connect, listen and accept say: these sockets have no names.
pub(crate) fn refuse(socket: &LocalSocket, connects: bool) -> Errno {
    match (socket.kind(), connects) {
        (Kind::Datagram, true) => Errno::ECONNREFUSED,
        (_, true) => Errno::EISCONN,
        (Kind::Datagram, false) => Errno::EOPNOTSUPP,
        (_, false) => Errno::EINVAL,
    }
}

fn send_buffers(
    socket: &LocalSocket,
    how: How,
    buffers: &[AppSlice],
    with: With,
) -> Result<u64, Errno> {
    let io = Io { buffers, at: None, flags: 0 };
    let fill = |at: usize, part: &mut [u8]| io.gather(at, part);
    Ok(socket.send(how, to_usize(io.len()), with, fill)? as u64)
}

/// Whether a message may be sent to an address: only if there is none, or it does not matter.
fn check_name(socket: &LocalSocket, named: bool) -> Result<(), Errno> {
    match socket.kind() {
        Kind::Stream if named => Err(Errno::EISCONN),
        Kind::Datagram if named => Err(Errno::ECONNREFUSED),
        _ => Ok(()),
    }
}

pub(crate) fn sendto(file: &OpenFile, socket: &LocalSocket, args: [u64; 6]) -> Result<u64, Errno> {
    let [_, buffer, len, flags, name, name_len] = args;
    let data = AppSlice::new(buffer, len.min(LONGEST_TRANSFER))?;
    check_flags(flags)?;
    check_name(socket, name != 0 && uint(name_len) > 0)?;
    send_buffers(socket, How::new(file, uint(flags)), &[data], With::own())
}

/// Out-of-band data is not there.
fn check_flags(flags: u64) -> Result<(), Errno> {
    const OOB: u64 = 1;
    if flags & OOB == 0 { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
}

fn send_message(
    file: &OpenFile,
    socket: &LocalSocket,
    message: &Message,
    flags: u64,
) -> Result<u64, Errno> {
    check_flags(flags)?;
    check_name(socket, message.name[1] > 0)?;
    let [pointer, len] = message.control;
    if len > super::super::control::LONGEST {
        return Err(Errno::ENOBUFS);
    }
    let with = match len {
        0 => With::own(),
        _ => control::outgoing(&AppSlice::new(pointer, len)?.to_vec()?)?,
    };
    send_buffers(socket, How::new(file, flags), &message.buffers, with)
}

pub(crate) fn sendmsg(file: &OpenFile, socket: &LocalSocket, args: [u64; 6]) -> Result<u64, Errno> {
    send_message(file, socket, &Message::read(args[1])?, uint(args[2]))
}

/// Moves messages one after the other, until one fails or is not there.
fn several(
    entries: u64,
    count: u64,
    mut each: impl FnMut(u64, u64) -> Result<u64, Errno>,
) -> Result<u64, Errno> {
    for done in 0..count.min(MAX_MESSAGES) {
        let entry = entries.wrapping_add(done * ENTRY);
        match each(entry, done).and_then(|bytes| write_count(entry, bytes)) {
            Ok(()) => {}
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => return Ok(done),
        }
    }
    Ok(count.min(MAX_MESSAGES))
}

pub(crate) fn sendmmsg(
    file: &OpenFile,
    socket: &LocalSocket,
    args: [u64; 6],
) -> Result<u64, Errno> {
    let [_, entries, count, flags, ..] = args;
    several(entries, uint(count), |entry, _| {
        send_message(file, socket, &Message::read(entry)?, uint(flags))
    })
}

pub(crate) fn recvfrom(
    file: &OpenFile,
    socket: &LocalSocket,
    args: [u64; 6],
) -> Result<u64, Errno> {
    let [_, buffer, len, flags, name, name_len] = args;
    let (target, flags) = (AppSlice::new(buffer, len.min(LONGEST_TRANSFER))?, uint(flags));
    check_flags(flags)?;
    let io = Io { buffers: &[target], at: None, flags: 0 };
    let drain = |at: usize, part: &[u8]| io.scatter(at, part);
    let received = socket.receive(How::new(file, flags), to_usize(io.len()), drain)?;
    if name != 0 {
        // The sender has no name.
        AppPtr::<u32>::new(name_len).write(&0)?;
    }
    let count = if flags & msg::TRUNC != 0 { received.whole } else { received.count };
    Ok(count as u64)
}

fn receive_message(
    file: &OpenFile,
    socket: &LocalSocket,
    address: u64,
    flags: u64,
) -> Result<u64, Errno> {
    check_flags(flags)?;
    let message = Message::read(address)?;
    let io = Io { buffers: &message.buffers, at: None, flags: 0 };
    let drain = |at: usize, part: &[u8]| io.scatter(at, part);
    let received = socket.receive(How::new(file, flags), to_usize(io.len()), drain)?;
    let close = flags & msg::CMSG_CLOEXEC != 0;
    let [pointer, room] = message.control;
    let tell = socket.options().passes_credentials() && received.with.sender != [0; 3];
    let control = control::incoming(received.with, to_usize(room), tell, close);
    let len = control.bytes.len() as u64;
    AppSlice::new(pointer, len)?.write_bytes(&control.bytes)?;
    let mut reply = flags & msg::CMSG_CLOEXEC;
    reply |= if control.truncated { msg::CTRUNC } else { 0 };
    reply |= if received.whole > received.count { msg::TRUNC } else { 0 };
    let put = |word: u64, value: u64| AppPtr::<u64>::new(address + 8 * word).write(&value);
    put(word::CONTROL_LEN, len)?;
    let low = |word: u64, value| AppPtr::<u32>::new(address + 8 * word).write(&value);
    low(word::FLAGS, u32::try_from(reply).unwrap_or(0))?;
    if message.name[0] != 0 {
        low(word::NAME_LEN, 0)?;
    }
    let count = if flags & msg::TRUNC != 0 { received.whole } else { received.count };
    Ok(count as u64)
}

pub(crate) fn recvmsg(file: &OpenFile, socket: &LocalSocket, args: [u64; 6]) -> Result<u64, Errno> {
    receive_message(file, socket, args[1], uint(args[2]))
}

pub(crate) fn recvmmsg(
    file: &OpenFile,
    socket: &LocalSocket,
    args: [u64; 6],
) -> Result<u64, Errno> {
    let [_, entries, count, flags, timeout, _] = args;
    let flags = uint(flags);
    let deadline = match timeout {
        0 => u64::MAX,
        _ => time::after(time::read_timespec(timeout)?.duration()?),
    };
    let now = enclave_threads::clock::monotonic;
    let received = several(entries, uint(count), |entry, done| {
        if done > 0 && timeout != 0 && now() >= deadline {
            return Err(Errno::EAGAIN);
        }
        let later = done > 0 && flags & msg::WAITFORONE != 0;
        let flags = if later { flags | msg::DONTWAIT } else { flags };
        receive_message(file, socket, entry, flags)
    })?;
    if timeout != 0 {
        AppPtr::new(timeout).write(&Timespec::new(deadline.saturating_sub(now())))?;
    }
    Ok(received)
}

pub(crate) fn shutdown(socket: &LocalSocket, how: u64) -> Result<u64, Errno> {
    socket.shut(uint(how)).map(|()| 0)
}

/// getsockname(2) and getpeername(2): of a socket without a name, its family.
pub(crate) fn name(socket: &LocalSocket, peer: bool, args: [u64; 6]) -> Result<u64, Errno> {
    const BARE: u32 = 2;
    let [_, pointer, len_pointer, ..] = args;
    if peer && socket.is_disconnected() {
        return Err(Errno::ENOTCONN);
    }
    let len_pointer = AppPtr::<u32>::new(len_pointer);
    let room = address::length(len_pointer.read()?.into())?.min(BARE.into());
    let family = u16::try_from(AF_UNIX).unwrap_or(0).to_le_bytes();
    AppSlice::new(pointer, room)?.write_bytes(&family[..to_usize(room)])?;
    len_pointer.write(&BARE)?;
    Ok(0)
}
