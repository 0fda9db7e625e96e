//! What may stand behind a descriptor.

use alloc::{sync::Arc, vec::Vec};
use core::any::Any;

use enclave_core::{AppSlice, Missing, to_usize};
use enclave_descriptors::dirent::DirEntry;
use enclave_hostcalls::Errno;

use crate::{HostFd, OpenFile, Stat, WaitQueue};

/// Bits of poll(2): what an object is ready for.
pub mod ready {
    /// There is something to read.
    pub const IN: u32 = 0x001 | 0x040;
    /// Writing does not wait.
    pub const OUT: u32 = 0x004 | 0x100;
    /// An error is pending.
    pub const ERROR: u32 = 0x008;
    /// The other side is gone.
    pub const HANG_UP: u32 = 0x010;
}

/// What is to be read or written.
#[derive(Clone, Copy, Debug)]
pub struct Io<'a> {
    /// Where in the program's memory; at least one.
    pub buffers: &'a [AppSlice],
    /// Where in the file; `None` for the current position.
    pub at: Option<u64>,
    /// `RWF_` flags of preadv2(2).
    pub flags: u64,
}

impl Io<'_> {
    /// Bytes in all buffers.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.len()).sum()
    }

    /// Whether there is nothing to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies `bytes` to the buffers, as far as there is room; returns the bytes copied.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the program cannot write there.
    pub fn fill(&self, mut bytes: &[u8]) -> Result<u64, Errno> {
        let all = bytes.len();
        for buffer in self.buffers {
            let count = to_usize(buffer.len().min(bytes.len() as u64));
            buffer.write_bytes(&bytes[..count])?;
            bytes = &bytes[count..];
        }
        Ok((all - bytes.len()) as u64)
    }

    /// Calls `copy(buffer, offset in it, done, count)` for what the buffers hold of the `len`
    /// bytes from `at`.
    fn each(
        &self,
        at: usize,
        len: usize,
        mut copy: impl FnMut(AppSlice, u64, usize, usize) -> Result<(), Missing>,
    ) -> Result<(), Missing> {
        let mut skip = at as u64;
        let mut done = 0;
        for buffer in self.buffers {
            let count = to_usize(buffer.len().saturating_sub(skip)).min(len - done);
            if count > 0 {
                copy(*buffer, skip, done, count)?;
            }
            done += count;
            if done == len {
                break;
            }
            skip = skip.saturating_sub(buffer.len());
        }
        Ok(())
    }

    /// Copies `bytes` to the place `at` of the buffers: for use in [`enclave_core::with_pages`].
    ///
    /// # Errors
    ///
    /// [`Missing`] if a page is not there.
    pub fn scatter(&self, at: usize, bytes: &[u8]) -> Result<(), Missing> {
        self.each(at, bytes.len(), |buffer, offset, done, count| {
            buffer.write_present(offset, &bytes[done..done + count])
        })
    }

    /// Copies from the place `at` of the buffers: for use in [`enclave_core::with_pages`].
    ///
    /// # Errors
    ///
    /// [`Missing`] if a page is not there.
    pub fn gather(&self, at: usize, bytes: &mut [u8]) -> Result<(), Missing> {
        self.each(at, bytes.len(), |buffer, offset, done, count| {
            buffer.read_present(offset, &mut bytes[done..done + count])
        })
    }
}

/// What may stand behind a descriptor: a file of the host, a device, a socket, ...
///
/// The defaults are what Linux answers for objects that do not have the operation. Methods are
/// called with no lock held, and must be restartable until they had an effect (see
/// `enclave_hostcalls`: `EINTR`).
pub trait Object: Any + Send + Sync {
    /// The descriptor of the host behind it, if there is one. Calls that the object does not
    /// know of are forwarded to it.
    fn host(&self) -> Option<&Arc<HostFd>> {
        None
    }

    /// Reads into the program's memory; returns the bytes read, zero at the end.
    ///
    /// # Errors
    ///
    /// As preadv2(2).
    fn read(&self, _file: &OpenFile, _io: &Io<'_>) -> Result<u64, Errno> {
        Err(Errno::EINVAL)
    }

    /// Writes from the program's memory; returns the bytes written.
    ///
    /// # Errors
    ///
    /// As pwritev2(2).
    fn write(&self, _file: &OpenFile, _io: &Io<'_>) -> Result<u64, Errno> {
        Err(Errno::EINVAL)
    }

    /// Reads at most `bytes.len()` bytes into the runtime's own memory, at `at` or the current
    /// position: for what goes on to another object (splice(2), sendfile(2)).
    ///
    /// # Errors
    ///
    /// As pread(2).
    fn fetch(&self, _file: &OpenFile, _bytes: &mut [u8], _at: Option<u64>) -> Result<usize, Errno> {
        Err(Errno::EINVAL)
    }

    /// Writes from the runtime's own memory, as [`Self::fetch`].
    ///
    /// # Errors
    ///
    /// As pwrite(2).
    fn store(&self, _file: &OpenFile, _bytes: &[u8], _at: Option<u64>) -> Result<usize, Errno> {
        Err(Errno::EINVAL)
    }

    /// Has the host have all that was written.
    ///
    /// # Errors
    ///
    /// What an earlier write has met, once.
    fn settle(&self) -> Result<(), Errno> {
        Ok(())
    }

    /// Moves the position: `whence` as for lseek(2). Returns the new position.
    ///
    /// # Errors
    ///
    /// As lseek(2).
    fn seek(&self, _offset: u64, _whence: u64) -> Result<u64, Errno> {
        Err(Errno::ESPIPE)
    }

    /// What fstat(2) says.
    ///
    /// # Errors
    ///
    /// As fstat(2).
    fn stat(&self) -> Result<Stat, Errno>;

    /// What an object without a descriptor of the host is ready for ([`ready`]).
    fn ready(&self) -> u32 {
        ready::IN | ready::OUT
    }

    /// Where to wait until [`Self::ready`] changes; `None` if it never does, or if the host knows.
    fn queue(&self) -> Option<&WaitQueue> {
        None
    }

    /// Executes a request of ioctl(2) that is special to this object; `None` if it has none such.
    fn ioctl(&self, _file: &OpenFile, _request: u64, _arg: u64) -> Option<Result<u64, Errno>> {
        None
    }

    /// Executes a command of fcntl(2) that is special to this object; `None` if it has none such.
    fn fcntl(&self, _command: u64, _arg: u64) -> Option<Result<u64, Errno>> {
        None
    }

    /// Opens the object anew, by its name in `/proc/self/fd`.
    ///
    /// # Errors
    ///
    /// As open(2).
    fn reopen(&self, _flags: u64) -> Result<Arc<OpenFile>, Errno> {
        Err(Errno::ENXIO)
    }

    /// The status flags change to `flags` (`F_SETFL`).
    ///
    /// # Errors
    ///
    /// As fcntl(2).
    fn set_status(&self, _flags: u64) -> Result<(), Errno> {
        Ok(())
    }

    /// The next entries of a directory that exists inside: each call gives those behind `position`
    /// entries.
    ///
    /// # Errors
    ///
    /// `ENOTDIR` if it is none.
    fn entries(&self) -> Result<Vec<DirEntry>, Errno> {
        Err(Errno::ENOTDIR)
    }

    /// The entries of a directory that exists inside, from a position that [`Self::seek`] sets, each
    /// with the position behind it.
    ///
    /// # Errors
    ///
    /// `ENOTDIR` if it is none.
    fn list(&self, position: u64) -> Result<Vec<(DirEntry, u64)>, Errno> {
        let entries = self.entries()?.into_iter().zip(1..);
        Ok(entries.skip(to_usize(position)).collect())
    }

    /// Path of the file or name of the object, as `/proc/self/fd` shows it.
    fn name(&self) -> Vec<u8>;
}

impl dyn Object {
    /// The object as a `T`, if it is one.
    #[must_use]
    pub fn downcast_ref<T: Object>(&self) -> Option<&T> {
        let any: &dyn Any = self;
        any.downcast_ref()
    }
}
