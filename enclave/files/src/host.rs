//! A descriptor of the host that this process owns.

use alloc::{format, vec, vec::Vec};
use core::sync::atomic::{AtomicU8, Ordering};

use enclave_core::{AppSlice, to_usize};
use enclave_hostcalls::{Call, Errno, Wait, can_post};
use zerocopy::{FromZeros, IntoBytes};

use crate::{Stat, owned};

mod nr {
    pub(super) const CLOSE: u64 = 3;
    pub(super) const FSTAT: u64 = 5;
    pub(super) const PREAD64: u64 = 17;
    pub(super) const OPENAT: u64 = 257;
    pub(super) const READLINKAT: u64 = 267;
    pub(super) const DUP3: u64 = 292;
}

/// Longest piece that is read or written by one call of the host, in bytes.
pub(crate) const PIECE: u64 = (1 << 20) - 4096;

/// The same for what the runtime itself reads: it stays in the processor's cache on its way.
const FETCH: usize = 128 << 10;

const AT_FDCWD: u64 = (-100_i64).cast_unsigned();
const PATH_MAX: u64 = 4096;
const O_RDWR: u64 = 2;
const O_CLOEXEC: u64 = 0o2_000_000;

/// A descriptor of the host; closed when dropped.
#[derive(Debug)]
pub struct HostFd {
    number: u32,
    /// One of [`closes`], the largest that was asked for.
    closes: AtomicU8,
}

/// When a descriptor is closed.
mod closes {
    /// At once: threads may tell by memory that it is closed, and see by the host that it is not.
    pub(super) const AT_ONCE: u8 = 0;
    /// With the next call that leaves: no other descriptor shows it.
    pub(super) const LATER: u8 = 1;
    /// At once, whatever is found out about it: it holds what others may want.
    pub(super) const AT_ONCE_IN_ANY_CASE: u8 = 2;
}

impl HostFd {
    /// Takes over a descriptor that the host just returned. Ends the enclave if it was in use.
    #[must_use]
    pub fn adopt(fd: u32) -> Self {
        owned::take(fd);
        Self { number: fd, closes: AtomicU8::new(closes::AT_ONCE) }
    }

    /// The number on the host.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number.into()
    }

    /// Nothing else of this process shows whether it is closed: that may be made with the next call that
    /// leaves.
    pub fn close_later(&self) {
        self.closes.fetch_max(closes::LATER, Ordering::Relaxed);
    }

    /// It is about to hold a lock, or the like: others see when it is closed.
    pub fn close_at_once(&self) {
        self.closes.fetch_max(closes::AT_ONCE_IN_ANY_CASE, Ordering::Relaxed);
    }

    /// Opens a path of the host, relative to its current directory.
    ///
    /// # Errors
    ///
    /// As open(2).
    pub fn open(path: &[u8], flags: u64, mode: u64) -> Result<Self, Errno> {
        Self::open_at(AT_FDCWD, path, flags, mode)
    }

    /// Opens a path of the host, relative to a directory given by its number on the host.
    ///
    /// # Errors
    ///
    /// As openat(2).
    pub fn open_at(directory: u64, path: &[u8], flags: u64, mode: u64) -> Result<Self, Errno> {
        let mut call = Call::new(nr::OPENAT, path.len() as u64 + 8)?;
        let path = call.cstr(path);
        call.args([directory, path, flags | O_CLOEXEC, mode]);
        call.descriptor(Wait::Maybe).map(Self::adopt)
    }

    /// What fstat(2) says.
    ///
    /// # Errors
    ///
    /// As fstat(2).
    pub fn stat(&self) -> Result<Stat, Errno> {
        let size = size_of::<Stat>() as u64;
        let mut call = Call::new(nr::FSTAT, size)?;
        let buffer = call.room(size);
        call.args([self.number(), buffer.address()]).zero(Wait::No)?;
        let mut stat = Stat::new_zeroed();
        buffer.read_bytes(stat.as_mut_bytes());
        Ok(stat)
    }

    /// Path of the file, or name of the object, as the host's `/proc/self/fd` shows it.
    ///
    /// # Errors
    ///
    /// As readlink(2).
    pub fn path(&self) -> Result<Vec<u8>, Errno> {
        let link = format!("/proc/self/fd/{}", self.number);
        let mut call = Call::new(nr::READLINKAT, link.len() as u64 + 8 + PATH_MAX)?;
        let link = call.cstr(link.as_bytes());
        let buffer = call.room(PATH_MAX);
        call.args([AT_FDCWD, link, buffer.address(), PATH_MAX]);
        let len = call.count(Wait::No, PATH_MAX)?;
        let mut path = vec![0; to_usize(len)];
        buffer.read_bytes(&mut path);
        Ok(path)
    }

    /// Reads at `offset` into `bytes` until it is full or the file ends; returns the bytes read.
    ///
    /// # Errors
    ///
    /// As pread(2).
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        let mut done = 0;
        for piece in bytes.chunks_mut(FETCH) {
            let wanted = piece.len() as u64;
            let mut call = Call::new(nr::PREAD64, wanted)?;
            let buffer = call.room(wanted);
            call.args([self.number(), buffer.address(), wanted, offset + done as u64]);
            let count = to_usize(call.count(Wait::No, wanted)?);
            buffer.read_bytes(&mut piece[..count]);
            done += count;
            if count < piece.len() {
                break;
            }
        }
        Ok(done)
    }

    /// Reads at `offset` into memory of the program until it is full or the file ends; returns the
    /// bytes read.
    ///
    /// # Errors
    ///
    /// As pread(2).
    pub fn read_app_at(&self, offset: u64, target: AppSlice) -> Result<u64, Errno> {
        let mut done = 0;
        while done < target.len() {
            let wanted = (target.len() - done).min(PIECE);
            let mut call = Call::new(nr::PREAD64, wanted)?;
            let buffer = call.room(wanted);
            call.args([self.number(), buffer.address(), wanted, offset + done]);
            let count = call.count(Wait::No, wanted)?;
            if count == 0 {
                break;
            }
            buffer.part(0, count).read_app(target.part(done, count))?;
            done += count;
        }
        Ok(done)
    }

    /// Whether it is one of the host's standard streams, whose numbers stay in use for ever.
    fn is_standard(&self) -> bool {
        self.number <= 2
    }

    /// Puts `/dev/null` in its place: the file is closed, but the number cannot become something
    /// else to which the runtime's last words would be written.
    fn silence(&self) -> Result<(), Errno> {
        let null = Self::open(b"/dev/null", O_RDWR, 0)?;
        let mut call = Call::new(nr::DUP3, 0)?;
        call.args([null.number(), self.number(), O_CLOEXEC]).run(Wait::No)?;
        Ok(())
    }
}

impl Drop for HostFd {
    fn drop(&mut self) {
        if self.is_standard() && self.silence().is_ok() {
            return;
        }
        owned::release(self.number);
        // Nothing can be done about an error, and Linux has closed it anyway.
        if let Ok(mut call) = Call::new(nr::CLOSE, 0) {
            call.args([self.number()]);
            if *self.closes.get_mut() == closes::LATER && can_post() {
                call.post();
            } else {
                let _ = call.run(Wait::No);
            }
        }
    }
}
