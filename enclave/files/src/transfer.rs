//! Reading and writing through a descriptor of the host.

use alloc::{vec, vec::Vec};

use enclave_core::{AppSlice, HostSlice, to_usize};
use enclave_hostcalls::{Call, Direction, Errno, Wait, transfer_at};
use enclave_threads::{check_events, interrupted};

use crate::{HostFd, Io, Stream, host::PIECE};

mod nr {
    pub(super) const READ: u64 = 0;
    pub(super) const WRITE: u64 = 1;
    pub(super) const PREAD64: u64 = 17;
    pub(super) const PWRITE64: u64 = 18;
    pub(super) const READV: u64 = 19;
    pub(super) const WRITEV: u64 = 20;
    pub(super) const PREADV2: u64 = 327;
    pub(super) const PWRITEV2: u64 = 328;
}

/// Most buffers of one call of the host (`UIO_MAXIOV`).
const MAX_BUFFERS: usize = 1024;
/// `struct iovec` in bytes.
const IOVEC: u64 = 16;
/// The offset of preadv2(2) that stands for the current position.
const CURRENT: u64 = u64::MAX;

/// Reads from the host's descriptor. With `whole`, as for regular files, large requests are made
/// in pieces until the file ends; without, one piece is what the program gets.
///
/// # Errors
///
/// As preadv2(2).
pub(crate) fn read_host(fd: &HostFd, io: &Io<'_>, wait: Wait, whole: bool) -> Result<u64, Errno> {
    let mut rest = Rest { buffers: io.buffers, done: 0 };
    let mut done = 0;
    loop {
        let piece = rest.next_piece();
        let at = io.at.map(|at| at.wrapping_add(done));
        match call(Direction::In, fd, &piece, at, io.flags, wait) {
            Ok(count) => {
                done += count;
                if count < len(&piece) || !whole || rest.is_empty() {
                    return Ok(done);
                }
            }
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => return Ok(done),
        }
    }
}

/// Writes to the host's descriptor, in pieces if it is much.
///
/// # Errors
///
/// As pwritev2(2); what was written before an error is reported as a short count, and the error kept for
/// the next call with `stream`.
pub(crate) fn write_host(
    fd: &HostFd,
    io: &Io<'_>,
    wait: Wait,
    stream: Option<&Stream>,
) -> Result<u64, Errno> {
    let mut rest = Rest { buffers: io.buffers, done: 0 };
    let mut done = 0;
    // What may wait writes all, unless a signal comes: the host's thread may only have been wanted.
    let goes_on = wait == Wait::Maybe && io.flags == 0;
    loop {
        let piece = { rest }.next_piece();
        let at = io.at.map(|at| at.wrapping_add(done));
        match call(Direction::Out, fd, &piece, at, io.flags, wait) {
            Ok(count) => {
                done += count;
                rest.skip(count);
                let short = count < len(&piece);
                if rest.is_empty() || short && (!goes_on || count == 0 || interrupted()) {
                    return Ok(done);
                }
            }
            Err(errno) if done == 0 => return Err(errno),
            Err(Errno::EINTR) if goes_on && !interrupted() => check_events(),
            Err(errno) => {
                stream.into_iter().for_each(|stream| stream.keep_late(errno));
                return Ok(done);
            }
        }
    }
}

/// Reads into the runtime's memory: one piece at most.
///
/// # Errors
///
/// As pread(2).
pub fn fetch_host(
    fd: &HostFd,
    bytes: &mut [u8],
    at: Option<u64>,
    wait: Wait,
) -> Result<usize, Errno> {
    let (_call, read) = read_staged(fd, (bytes.len() as u64).min(PIECE), at, wait)?;
    let count = to_usize(read.len());
    read.read_bytes(&mut bytes[..count]);
    Ok(count)
}

/// Reads up to `len` bytes into staging memory; returns what has it, and the bytes that were read.
///
/// # Errors
///
/// As pread(2).
pub(crate) fn read_staged(
    fd: &HostFd,
    len: u64,
    at: Option<u64>,
    wait: Wait,
) -> Result<(Call, HostSlice), Errno> {
    let number = if at.is_some() { nr::PREAD64 } else { nr::READ };
    let mut call = Call::new(number, len)?;
    let buffer = call.room(len);
    call.args([fd.number(), buffer.address(), len, at.unwrap_or(0)]);
    let count = call.count(wait, len)?;
    Ok((call, buffer.part(0, count)))
}

/// Writes from the runtime's memory: one piece at most.
///
/// # Errors
///
/// As pwrite(2).
pub fn store_host(fd: &HostFd, bytes: &[u8], at: Option<u64>, wait: Wait) -> Result<usize, Errno> {
    let bytes = &bytes[..bytes.len().min(to_usize(PIECE))];
    let len = bytes.len() as u64;
    let number = if at.is_some() { nr::PWRITE64 } else { nr::WRITE };
    let mut call = Call::new(number, len)?;
    let staged = call.bytes(bytes);
    call.args([fd.number(), staged, len, at.unwrap_or(0)]);
    Ok(to_usize(call.count(wait, len)?))
}

/// Reads or writes much in one buffer of a regular file, at an offset.
///
/// # Errors
///
/// As [`read_host`] and [`write_host`].
pub(crate) fn bulk(
    direction: Direction,
    fd: &HostFd,
    bytes: AppSlice,
    at: u64,
) -> Result<u64, Errno> {
    let mut done = 0;
    while done < bytes.len() {
        let piece = bytes.part(done, (bytes.len() - done).min(PIECE));
        match transfer_at(direction, fd.number(), piece, at.wrapping_add(done)) {
            Ok(moved) => {
                done += moved.count;
                if moved.ended {
                    break;
                }
            }
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(done)
}

fn len(buffers: &[AppSlice]) -> u64 {
    buffers.iter().map(|buffer| buffer.len()).sum()
}

/// What remains of the program's buffers.
#[derive(Clone, Copy)]
struct Rest<'a> {
    buffers: &'a [AppSlice],
    /// Bytes of the first buffer that are done.
    done: u64,
}

/// Buffers of one call.
enum Piece {
    One([AppSlice; 1]),
    Many(Vec<AppSlice>),
}

impl core::ops::Deref for Piece {
    type Target = [AppSlice];

    fn deref(&self) -> &[AppSlice] {
        match self {
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }
}

impl Rest<'_> {
    fn is_empty(&self) -> bool {
        len(self.buffers) == self.done
    }

    /// Takes up to [`PIECE`] bytes of the first buffer.
    fn take(&mut self, limit: u64) -> Option<AppSlice> {
        let (first, others) = self.buffers.split_first()?;
        let len = (first.len() - self.done).min(limit);
        let part = first.part(self.done, len);
        self.done += len;
        if self.done == first.len() {
            (self.buffers, self.done) = (others, 0);
        }
        Some(part)
    }

    fn skip(&mut self, mut count: u64) {
        while count > 0
            && let Some(part) = self.take(count)
        {
            count -= part.len();
        }
    }

    fn next_piece(&mut self) -> Piece {
        if let [_] = self.buffers
            && let Some(one) = self.take(PIECE)
        {
            return Piece::One([one]);
        }
        let mut many = Vec::new();
        let mut room = PIECE;
        while many.len() < MAX_BUFFERS && room > 0 {
            let Some(part) = self.take(room) else { break };
            room -= part.len();
            many.push(part);
        }
        Piece::Many(many)
    }
}

fn call(
    direction: Direction,
    fd: &HostFd,
    piece: &[AppSlice],
    at: Option<u64>,
    flags: u64,
    wait: Wait,
) -> Result<u64, Errno> {
    match *piece {
        [one] if flags == 0 => call_one(direction, fd, one, at, wait),
        _ => call_many(direction, fd, piece, at, flags, wait),
    }
}

fn call_one(
    direction: Direction,
    fd: &HostFd,
    bytes: AppSlice,
    at: Option<u64>,
    wait: Wait,
) -> Result<u64, Errno> {
    let number = match (direction, at) {
        (Direction::In, None) => nr::READ,
        (Direction::In, Some(_)) => nr::PREAD64,
        (Direction::Out, None) => nr::WRITE,
        (Direction::Out, Some(_)) => nr::PWRITE64,
    };
    let mut call = Call::new(number, bytes.len())?;
    let buffer = call.room(bytes.len());
    if direction == Direction::Out {
        buffer.write_app(bytes)?;
    }
    call.args([fd.number(), buffer.address(), bytes.len(), at.unwrap_or(0)]);
    let count = call.count(wait, bytes.len())?;
    if direction == Direction::In {
        buffer.part(0, count).read_app(bytes.first(count))?;
    }
    Ok(count)
}

fn call_many(
    direction: Direction,
    fd: &HostFd,
    piece: &[AppSlice],
    at: Option<u64>,
    flags: u64,
    wait: Wait,
) -> Result<u64, Errno> {
    let number = match (direction, at, flags) {
        (Direction::In, None, 0) => nr::READV,
        (Direction::In, ..) => nr::PREADV2,
        (Direction::Out, None, 0) => nr::WRITEV,
        (Direction::Out, ..) => nr::PWRITEV2,
    };
    let limit = len(piece);
    let count = piece.len() as u64;
    let padded: u64 = piece.iter().map(|part| part.len().next_multiple_of(8)).sum();
    let mut call = Call::new(number, padded + count * IOVEC)?;
    let vector = call.room(count * IOVEC);
    let mut buffers = vec![];
    for (index, part) in (0..).zip(piece) {
        let buffer = call.room(part.len());
        vector.word(2 * index).write(buffer.address());
        vector.word(2 * index + 1).write(part.len());
        if direction == Direction::Out {
            buffer.write_app(*part)?;
        }
        buffers.push(buffer);
    }
    call.args([fd.number(), vector.address(), count, at.unwrap_or(CURRENT), 0, flags]);
    let done = call.count(wait, limit)?;
    if direction == Direction::In {
        scatter(&buffers, piece, done)?;
    }
    Ok(done)
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
