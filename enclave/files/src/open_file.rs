//! An open file: what descriptors that were made by `dup` share.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{
    fmt,
    ops::Deref,
    sync::atomic::{AtomicU64, Ordering},
};

use enclave_core::Mutex;
use enclave_hostcalls::Errno;

use crate::{HostFd, HostFile, Io, Made, Object, Stream, flag};

/// An open file ("open file description" in POSIX): an object and status flags.
pub struct OpenFile {
    object: Box<dyn Object>,
    status: AtomicU64,
    /// More descriptors of the host for the same file; closed with it.
    twins: Mutex<Vec<HostFd>>,
}

impl OpenFile {
    /// An open file with the flags of open(2); those that only say how to open are dropped.
    #[must_use]
    pub fn new(object: impl Object, flags: u64) -> Arc<Self> {
        const ONLY_TO_OPEN: u64 = flag::CREAT | flag::EXCL | flag::TRUNC | flag::CLOEXEC | 0o400;
        let status = AtomicU64::new(flags & !ONLY_TO_OPEN);
        Arc::new(Self { object: Box::new(object), status, twins: Mutex::default() })
    }

    /// The object.
    #[must_use]
    pub fn object(&self) -> &dyn Object {
        &*self.object
    }

    /// The stream socket of the host that it is known to be.
    #[must_use]
    pub fn stream(&self) -> Option<&Arc<Stream>> {
        self.object().downcast_ref::<HostFile>()?.stream()
    }

    /// As what the socket of the host was made, if that is known.
    #[must_use]
    pub fn made(&self) -> Option<Made> {
        self.object().downcast_ref::<HostFile>()?.made()
    }

    /// The status flags ([`flag`]).
    #[must_use]
    pub fn status(&self) -> u64 {
        self.status.load(Ordering::Relaxed)
    }

    /// Whether calls must not wait.
    #[must_use]
    pub fn nonblocking(&self) -> bool {
        self.status() & flag::NONBLOCK != 0
    }

    /// Changes the flags in `mask` to those in `flags`.
    ///
    /// # Errors
    ///
    /// What the object says.
    pub fn set_status(&self, mask: u64, flags: u64) -> Result<(), Errno> {
        let new = self.status() & !mask | flags & mask;
        self.object.set_status(new)?;
        self.status.store(new, Ordering::Relaxed);
        Ok(())
    }

    /// Notes that the host or another call has changed the flags in `mask` to those in `flags`.
    pub fn note_status(&self, mask: u64, flags: u64) {
        self.status.store(self.status() & !mask | flags & mask, Ordering::Relaxed);
    }

    /// Keeps another descriptor of the host for this file as long as the file lives.
    pub fn add_twin(&self, fd: HostFd) {
        self.twins.lock().push(fd);
    }

    /// Closes a descriptor that was given to [`Self::add_twin`], by its number on the host.
    pub fn remove_twin(&self, number: u64) {
        let mut twins = self.twins.lock();
        let at = twins.iter().position(|twin| twin.number() == number);
        let removed = at.map(|at| twins.swap_remove(at));
        drop(twins);
        drop(removed);
    }

    /// Reads, if it was opened for that.
    ///
    /// # Errors
    ///
    /// As preadv2(2).
    pub fn read(&self, io: &Io<'_>) -> Result<u64, Errno> {
        if self.status() & flag::ACCMODE == flag::WRONLY || self.status() & flag::PATH != 0 {
            return Err(Errno::EBADF);
        }
        self.object.read(self, io)
    }

    /// Writes, if it was opened for that.
    ///
    /// # Errors
    ///
    /// As pwritev2(2).
    pub fn write(&self, io: &Io<'_>) -> Result<u64, Errno> {
        if self.status() & flag::ACCMODE == 0 || self.status() & flag::PATH != 0 {
            return Err(Errno::EBADF);
        }
        self.object.write(self, io)
    }
}

impl Deref for OpenFile {
    type Target = dyn Object;

    fn deref(&self) -> &Self::Target {
        &*self.object
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenFile").field("status", &self.status()).finish_non_exhaustive()
    }
}
