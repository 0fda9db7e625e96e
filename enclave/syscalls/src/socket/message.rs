//! sendmsg(2) and recvmsg(2).

use alloc::vec::Vec;

use enclave_core::{AppPtr, AppSlice, HostSlice, to_usize};
use enclave_hostcalls::{Call, Errno, misbehaved};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{LONGEST_TRANSFER, PIECE, Socket, address, control, msg};
use crate::{Sys, args::uint, wait::interrupted};

const SENDMSG: u64 = 46;
const RECVMSG: u64 = 47;

/// `struct msghdr` in bytes.
const HEADER: u64 = 56;
/// Its words.
mod word {
    pub(super) const NAME: u64 = 0;
    pub(super) const NAME_LEN: u64 = 1;
    pub(super) const VECTOR: u64 = 2;
    pub(super) const VECTOR_LEN: u64 = 3;
    pub(super) const CONTROL: u64 = 4;
    pub(super) const CONTROL_LEN: u64 = 5;
    pub(super) const FLAGS: u64 = 6;
}

/// `struct iovec`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Vector {
    base: u64,
    len: u64,
}
const VECTOR: u64 = size_of::<Vector>() as u64;
const MAX_VECTORS: u64 = 1024;

/// `struct msghdr` of the program, its vector read.
struct Header {
    address: u64,
    /// Name and its length; zero if there is none.
    name: [u64; 2],
    buffers: Vec<AppSlice>,
    /// Control data and its length; zero if there is none.
    control: [u64; 2],
}

impl Header {
    fn read(address: u64) -> Result<Self, Errno> {
        let words = AppPtr::<[u64; 7]>::new(address).read()?;
        let [name, name_len, vector, count, control, control_len, _] = words;
        let name_len = address::length(name_len)?;
        let pair = |pointer, len| if pointer == 0 || len == 0 { [0; 2] } else { [pointer, len] };
        Ok(Self {
            address,
            name: pair(name, name_len.min(address::LONGEST)),
            buffers: read_vector(vector, count)?,
            control: pair(control, control_len),
        })
    }

    fn len(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.len()).sum()
    }

    /// Room in a call for the header, the vector and `buffers`, in bytes.
    fn room(buffers: &[AppSlice]) -> u64 {
        let data: u64 = buffers.iter().map(|buffer| buffer.len().next_multiple_of(8)).sum();
        HEADER + VECTOR * buffers.len() as u64 + data
    }

    /// Writes back what the receive calls change.
    fn write_reply(&self, name_len: u64, control_len: u64, flags: u64) -> Result<(), Errno> {
        let low = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or(0);
        let at = |word: u64| self.address + 8 * word;
        if self.name[0] != 0 {
            AppPtr::<u32>::new(at(word::NAME_LEN)).write(&low(name_len))?;
        }
        AppPtr::<u64>::new(at(word::CONTROL_LEN)).write(&control_len)?;
        AppPtr::<u32>::new(at(word::FLAGS)).write(&low(flags))?;
        Ok(())
    }
}

fn read_vector(address: u64, count: u64) -> Result<Vec<AppSlice>, Errno> {
    if count > MAX_VECTORS {
        return Err(Errno::EMSGSIZE);
    }
    let mut vectors = alloc::vec![Vector { base: 0, len: 0 }; to_usize(count)];
    AppSlice::new(address, VECTOR * count)?.read_bytes(vectors.as_mut_bytes())?;
    let mut rest = LONGEST_TRANSFER;
    let buffers = vectors.iter().map(|vector| {
        if vector.len > i64::MAX.unsigned_abs() {
            return Err(Errno::EINVAL);
        }
        let buffer = AppSlice::new(vector.base, vector.len)?.first(rest);
        rest -= buffer.len();
        Ok(buffer)
    });
    buffers.collect()
}

/// The parts of `buffers` with the `limit` bytes behind the first `skip`.
fn cut(buffers: &[AppSlice], mut skip: u64, mut limit: u64) -> Vec<AppSlice> {
    let mut parts = Vec::new();
    for buffer in buffers {
        let start = skip.min(buffer.len());
        let part = buffer.part(start, (buffer.len() - start).min(limit));
        skip -= start;
        limit -= part.len();
        if !part.is_empty() {
            parts.push(part);
        }
    }
    parts
}

/// A message that is being staged.
struct Staged {
    call: Call,
    header: HostSlice,
    buffers: Vec<HostSlice>,
}

impl Staged {
    /// A call with a message header and room for `parts` and `extra` bytes.
    fn new(number: u64, parts: &[AppSlice], extra: u64) -> Result<Self, Errno> {
        let mut call = Call::new(number, Header::room(parts) + extra)?;
        let header = call.room(HEADER);
        let vector = call.room(VECTOR * parts.len() as u64);
        let mut buffers = Vec::with_capacity(parts.len());
        for (index, part) in (0..).zip(parts) {
            let buffer = call.room(part.len());
            vector.word(2 * index).write(buffer.address());
            vector.word(2 * index + 1).write(part.len());
            buffers.push(buffer);
        }
        for index in 0..HEADER / 8 {
            header.word(index).write(0);
        }
        header.word(word::VECTOR).write(vector.address());
        header.word(word::VECTOR_LEN).write(parts.len() as u64);
        Ok(Self { call, header, buffers })
    }

    fn set(&self, pointer: u64, len: u64, words: [u64; 2]) {
        self.header.word(words[0]).write(pointer);
        self.header.word(words[1]).write(len);
    }
}

pub(crate) fn sendmsg(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, header, flags, ..] = sys.args;
    send(&Socket::get(fd)?, header, uint(flags))
}

/// Sends the message at `header`.
pub(super) fn send(socket: &Socket, header: u64, flags: u64) -> Result<u64, Errno> {
    let header = Header::read(header)?;
    let flags = flags & !msg::ZEROCOPY;
    let len = header.len();
    let result = if len <= PIECE {
        send_first(socket, &header, &header.buffers, flags)
    } else if socket.is_stream()? {
        send_first(socket, &header, &cut(&header.buffers, 0, PIECE), flags)
    } else {
        Err(Errno::EMSGSIZE)
    };
    match result {
        Ok(PIECE) if len > PIECE => Ok(send_rest(socket, &header, flags)),
        result => result,
    }
}

fn send_first(
    socket: &Socket,
    header: &Header,
    parts: &[AppSlice],
    flags: u64,
) -> Result<u64, Errno> {
    let [name, name_len] = header.name;
    let [control, control_len] = header.control;
    if control_len > control::LONGEST {
        return Err(Errno::ENOBUFS);
    }
    let extra = address::LONGEST + control_len.next_multiple_of(8);
    let mut staged = Staged::new(SENDMSG, parts, extra)?;
    if name_len > 0 {
        let [pointer, len] = address::stage(&mut staged.call, name, name_len)?;
        staged.set(pointer, len, [word::NAME, word::NAME_LEN]);
    }
    let mut files = Vec::new();
    if control_len > 0 {
        let mut bytes = AppSlice::new(control, control_len)?.to_vec()?;
        files = control::outgoing(&mut bytes)?;
        let pointer = staged.call.bytes(&bytes);
        staged.set(pointer, control_len, [word::CONTROL, word::CONTROL_LEN]);
    }
    let result = send_staged(socket, staged, parts, flags);
    drop(files);
    result
}

fn send_staged(
    socket: &Socket,
    mut staged: Staged,
    parts: &[AppSlice],
    flags: u64,
) -> Result<u64, Errno> {
    for (buffer, part) in staged.buffers.iter().zip(parts) {
        buffer.write_app(*part)?;
    }
    let (wait, flags) = socket.wait(flags);
    let len = parts.iter().map(|part| part.len()).sum();
    let header = staged.header.address();
    staged.call.args([socket.fd, header, flags | msg::NOSIGNAL]).count(wait, len)
}

/// Sends what follows the first piece of a stream, as Linux would have in one call.
fn send_rest(socket: &Socket, header: &Header, flags: u64) -> u64 {
    let mut done = PIECE;
    loop {
        let parts = cut(&header.buffers, done, PIECE);
        let wanted = parts.iter().map(|part| part.len()).sum::<u64>();
        let piece = Staged::new(SENDMSG, &parts, 0)
            .and_then(|staged| send_staged(socket, staged, &parts, flags));
        match piece {
            Ok(count) => done += count,
            Err(Errno::EINTR) if !interrupted() => enclave_threads::check_events(),
            Err(_) => return done,
        }
        if wanted == 0 || piece.is_ok_and(|count| count < wanted) {
            return done;
        }
    }
}

pub(crate) fn recvmsg(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, header, flags, ..] = sys.args;
    receive(&Socket::get(fd)?, header, uint(flags))
}

/// Receives a message into what `header` describes.
pub(super) fn receive(socket: &Socket, header: u64, flags: u64) -> Result<u64, Errno> {
    let header = Header::read(header)?;
    let parts = cut(&header.buffers, 0, PIECE);
    let [_, control_room] = header.control;
    let control_room = control_room.min(control::LONGEST);
    let extra = address::LONGEST + control_room.next_multiple_of(8);
    let mut staged = Staged::new(RECVMSG, &parts, extra)?;
    let name = staged.call.room(address::LONGEST);
    if header.name[0] != 0 {
        staged.set(name.address(), address::LONGEST, [word::NAME, word::NAME_LEN]);
    }
    let control = staged.call.room(control_room);
    if control_room > 0 {
        staged.set(control.address(), control_room, [word::CONTROL, word::CONTROL_LEN]);
    }
    let (wait, host_flags) = socket.wait(flags);
    let room = parts.iter().map(|part| part.len()).sum();
    let limit = if flags & msg::TRUNC == 0 { room } else { LONGEST_TRANSFER };
    let address = staged.header.address();
    let count = staged
        .call
        .args([socket.fd, address, host_flags | msg::CMSG_CLOEXEC])
        .count(wait, limit)?;
    // Descriptors first: they are ours now, whatever else fails.
    let control_len = staged.header.word(word::CONTROL_LEN).read();
    if control_len > control_room {
        misbehaved("the host misbehaved: more control data than there was room for");
    }
    let close_on_exec = flags & msg::CMSG_CLOEXEC != 0;
    let incoming = control::incoming(&control::read(control, control_len), close_on_exec);
    if flags & msg::TRUNC == 0 || !socket.is_tcp()? {
        scatter(&staged.buffers, &parts, count)?;
    }
    let name_len = address::checked(staged.header.word(word::NAME_LEN).read() & 0xffff_ffff);
    let [target, len] = header.name;
    if target != 0 {
        let target = AppSlice::new(target, len.min(name_len))?;
        name.part(0, target.len()).read_app(target)?;
    }
    AppSlice::new(header.control[0], incoming.bytes.len() as u64)?.write_bytes(&incoming.bytes)?;
    let mut reply_flags = staged.header.word(word::FLAGS).read() & !msg::CMSG_CLOEXEC;
    reply_flags |= flags & msg::CMSG_CLOEXEC;
    if incoming.truncated {
        reply_flags |= msg::CTRUNC;
    }
    header.write_reply(name_len, incoming.bytes.len() as u64, reply_flags)?;
    Ok(count)
}

/// Copies the first `count` bytes of the host's buffers to the program's.
fn scatter(buffers: &[HostSlice], parts: &[AppSlice], mut count: u64) -> Result<(), Errno> {
    for (buffer, part) in buffers.iter().zip(parts) {
        let len = part.len().min(count);
        buffer.part(0, len).read_app(part.first(len))?;
        count -= len;
    }
    Ok(())
}
