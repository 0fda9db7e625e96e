//! inotify(7), by the host.

use alloc::{sync::Arc, vec, vec::Vec};

use enclave_core::to_usize;
use enclave_files::{HostFd, HostFile, Io, Object, OpenFile, Stat, flag};
use enclave_hostcalls::{Errno, Wait, misbehaved};

use crate::{
    Sys,
    args::{
        Arg::{Int, Str},
        at_most, forward, forward_zero, host, path, uint,
    },
    path::{AT_FDCWD, Place, place_of},
};

mod nr {
    pub(super) const INOTIFY_ADD_WATCH: u64 = 254;
    pub(super) const INOTIFY_RM_WATCH: u64 = 255;
    pub(super) const INOTIFY_INIT1: u64 = 294;
}

/// Most bytes that are read for one buffer.
const MOST: u64 = 64 << 10;
/// `struct inotify_event` in bytes, without the name.
const HEAD: usize = 16;
/// Longest name in bytes, as it is padded.
const NAME: usize = 272;

/// An inotify object of the host: the program walks through its records.
struct Inotify(HostFile);

impl Object for Inotify {
    fn host(&self) -> Option<&Arc<HostFd>> {
        self.0.host()
    }

    fn read(&self, file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        const HIGH_PRIORITY: u64 = 1;
        if io.flags & !HIGH_PRIORITY != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let mut done = 0;
        // As Linux does: each buffer gets whole records.
        for buffer in io.buffers {
            let mut bytes = vec![0; to_usize(buffer.len().min(MOST))];
            let count = match self.fetch(file, &mut bytes, io.at) {
                Ok(count) => count,
                Err(_) if done > 0 => break,
                Err(errno) => return Err(errno),
            };
            buffer.write_bytes(&bytes[..count])?;
            done += count as u64;
            if (count as u64) < buffer.len() {
                break;
            }
        }
        Ok(done)
    }

    fn write(&self, file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        self.0.write(file, io)
    }

    fn fetch(&self, file: &OpenFile, bytes: &mut [u8], at: Option<u64>) -> Result<usize, Errno> {
        let count = self.0.fetch(file, bytes, at)?;
        check(&bytes[..count]);
        Ok(count)
    }

    fn store(&self, file: &OpenFile, bytes: &[u8], at: Option<u64>) -> Result<usize, Errno> {
        self.0.store(file, bytes, at)
    }

    fn seek(&self, offset: u64, whence: u64) -> Result<u64, Errno> {
        self.0.seek(offset, whence)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        self.0.stat()
    }

    fn name(&self) -> Vec<u8> {
        self.0.name()
    }
}

/// Ends the enclave if these are no whole records.
fn check(mut records: &[u8]) {
    while !records.is_empty() {
        records = after_first(records).unwrap_or_else(|| {
            misbehaved("the host misbehaved: a record of inotify that cannot be")
        });
    }
}

/// What follows the first record, if that is one.
fn after_first(records: &[u8]) -> Option<&[u8]> {
    let (head, rest) = records.split_first_chunk::<HEAD>()?;
    let len = u32::from_le_bytes(*head.last_chunk()?);
    let (name, rest) = rest.split_at_checked(to_usize(len.into()))?;
    let is_name = name.len().is_multiple_of(HEAD) && name.len() <= NAME && name.last() == Some(&0);
    (name.is_empty() || is_name).then_some(rest)
}

pub(crate) fn inotify_init(_: &mut Sys<'_>) -> Result<u64, Errno> {
    init(0)
}

pub(crate) fn inotify_init1(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    init(uint(sys.args[0]))
}

fn init(flags: u64) -> Result<u64, Errno> {
    super::make_as(Inotify, nr::INOTIFY_INIT1, [flags | flag::CLOEXEC], flags)
}

pub(crate) fn inotify_add_watch(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, name, mask, ..] = sys.args;
    let (inotify, name) = (host(fd)?, path(name)?);
    // Nobody watches what is in memory.
    if matches!(place_of(AT_FDCWD, name.clone(), true), Ok(Place::Memory(_))) {
        return Err(Errno::ENOSYS);
    }
    let args = [Int(inotify.number()), Str(&name), Int(uint(mask))];
    let watch = forward(nr::INOTIFY_ADD_WATCH, Wait::No, args)?;
    at_most(watch, i32::MAX.unsigned_abs().into())
}

pub(crate) fn inotify_rm_watch(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let inotify = host(sys.args[0])?;
    forward_zero(nr::INOTIFY_RM_WATCH, [Int(inotify.number()), Int(uint(sys.args[1]))])
}
