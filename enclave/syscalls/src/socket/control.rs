//! Control data of messages: descriptors in it are translated, the rest is copied.

use alloc::{sync::Arc, vec::Vec};

use enclave_core::to_usize;
use enclave_files::{Cork, HostFd, OpenFile, flag, host_status, table};
use enclave_hostcalls::{Errno, misbehaved};

use super::SOL_SOCKET;
use crate::{args, event};

/// Longest control data in bytes; Linux admits less (`optmem_max`).
pub(super) const LONGEST: u64 = 64 << 10;

/// `struct cmsghdr` in bytes: length, level, type.
pub(super) const HEADER: usize = 16;
const SCM_RIGHTS: u64 = 1;
/// Level and type of control data that holds descriptors, as one word.
pub(super) const RIGHTS: u64 = SCM_RIGHTS << 32 | SOL_SOCKET;

/// A control message in a buffer.
pub(super) struct Part {
    /// Where its data begins.
    pub(super) start: usize,
    /// Where its data ends.
    pub(super) end: usize,
    /// Level in the low half, type in the high half.
    pub(super) kind: u64,
}

/// The control message at `at`; `None` if it does not fit.
pub(super) fn part(bytes: &[u8], at: usize) -> Option<Part> {
    let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let (len, kind) = (word(at)?, word(at + 8)?);
    let len = usize::try_from(len).ok().filter(|len| (HEADER..=bytes.len() - at).contains(len))?;
    Some(Part { start: at + HEADER, end: at + len, kind })
}

/// Puts the host's descriptors in the place of the program's in data to be sent; returns the files,
/// which must live until the host has the message.
pub(super) fn outgoing(bytes: &mut [u8]) -> Result<Vec<Arc<OpenFile>>, Errno> {
    let mut files = Vec::new();
    let mut at = 0;
    while bytes.len().saturating_sub(at) >= HEADER {
        let Part { start, end, kind } = part(bytes, at).ok_or(Errno::EINVAL)?;
        if kind == RIGHTS {
            for fd in bytes[start..end].as_chunks_mut::<4>().0 {
                let file = args::file(u32::from_le_bytes(*fd).into())?;
                // What exists only inside cannot leave.
                let number = file.host().ok_or(Errno::EINVAL)?.number();
                // Whoever gets it may send and receive, too.
                if let Some(stream) = file.stream() {
                    stream.look_no_more();
                    stream.cork().map_or(Ok(()), Cork::always_tell)?;
                }
                *fd = u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
                files.push(file);
            }
        }
        at = end.next_multiple_of(8);
    }
    Ok(files)
}

/// The control messages in received data, and where each begins. Ends the enclave if they are none.
fn parts(bytes: &[u8]) -> impl Iterator<Item = (usize, Part)> {
    let mut next = 0;
    core::iter::from_fn(move || {
        let at = next;
        if bytes.len().saturating_sub(at) < HEADER {
            return None;
        }
        let Some(part) = part(bytes, at) else {
            misbehaved("the host misbehaved: malformed control data");
        };
        next = part.end.next_multiple_of(8);
        Some((at, part))
    })
}

/// Closes the descriptors in received control data of which the program will not know.
pub(super) fn refuse(bytes: &[u8]) {
    let rights = parts(bytes).filter(|(_, part)| part.kind == RIGHTS);
    rights.for_each(|(_, part)| drop(taken(&bytes[part.start..part.end])));
}

/// What of the host's control data goes to the program.
pub(super) struct Incoming {
    /// The data.
    pub(super) bytes: Vec<u8>,
    /// Some of it is missing (`MSG_CTRUNC`).
    pub(super) truncated: bool,
}

/// Takes over the descriptors in received control data and gives them numbers of the program.
pub(super) fn incoming(bytes: &[u8], close_on_exec: bool) -> Incoming {
    let mut result = Incoming { bytes: Vec::with_capacity(bytes.len()), truncated: false };
    for (at, Part { start, end, kind }) in parts(bytes) {
        if kind == RIGHTS {
            rights(&bytes[start..end], close_on_exec, &mut result);
        } else {
            result.bytes.extend_from_slice(&bytes[at..end]);
        }
        if end.next_multiple_of(8) <= bytes.len() {
            let padded = result.bytes.len().next_multiple_of(8);
            result.bytes.resize(padded, 0);
        }
    }
    result
}

/// Adds a message with the program's numbers for the host's descriptors `fds`. All of them are
/// taken over; those for which there is no number are closed.
fn rights(fds: &[u8], close_on_exec: bool, result: &mut Incoming) {
    let mut numbers = Vec::new();
    for fd in taken(fds) {
        let number = host_status(fd.number())
            .map(|status| status & !flag::CLOEXEC)
            .and_then(|status| table().insert(event::made_outside(fd, status), close_on_exec));
        match number {
            Ok(number) if !result.truncated => numbers.push(u32::try_from(number).unwrap_or(0)),
            _ => result.truncated = true,
        }
    }
    if numbers.is_empty() {
        return;
    }
    let len = (HEADER + 4 * numbers.len()) as u64;
    result.bytes.extend_from_slice(&len.to_le_bytes());
    result.bytes.extend_from_slice(&RIGHTS.to_le_bytes());
    for number in numbers {
        result.bytes.extend_from_slice(&number.to_le_bytes());
    }
}

/// Takes over the host's descriptors `fds`.
fn taken(fds: &[u8]) -> Vec<HostFd> {
    let (fds, _) = fds.as_chunks::<4>();
    fds.iter().map(|fd| HostFd::adopt(u32::from_le_bytes(*fd))).collect()
}

/// Reads control data that the host left into memory of our own.
pub(super) fn read(room: enclave_core::HostSlice, len: u64) -> Vec<u8> {
    let mut bytes = alloc::vec![0; to_usize(len)];
    room.part(0, len).read_bytes(&mut bytes);
    bytes
}
