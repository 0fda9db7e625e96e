//! Objects of the host that give records: each is looked at before the program gets it.

use alloc::{sync::Arc, vec, vec::Vec};

use enclave_core::to_usize;
use enclave_files::{HostFd, HostFile, Io, Object, OpenFile, Stat};
use enclave_hostcalls::{Errno, misbehaved};

use super::inotify;
use crate::args;

/// Most bytes that are read for one buffer.
const MOST: u64 = 64 << 10;

/// What the records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Those of inotify(7).
    Inotify,
    /// The count of a timer.
    Timer,
    /// The count of an eventfd that somebody else has made.
    Event,
}

impl Kind {
    /// What the host calls such objects.
    const NAMES: [(Self, &'static [u8]); 3] = [
        (Self::Inotify, b"anon_inode:inotify"),
        (Self::Timer, b"anon_inode:[timerfd]"),
        (Self::Event, b"anon_inode:[eventfd]"),
    ];

    /// Ends the enclave if no such object gives this.
    fn check(self, bytes: &[u8]) {
        match self {
            Self::Inotify => inotify::check(bytes),
            // One that is zero is waited for.
            Self::Timer | Self::Event if bytes.len() == 8 && bytes != [0; 8] => {}
            Self::Timer | Self::Event => {
                misbehaved("the host misbehaved: a count of events that cannot be")
            }
        }
    }
}

/// An object of the host that gives records.
pub(super) struct Records {
    file: HostFile,
    kind: Kind,
}

impl Records {
    /// Makes objects of this kind.
    pub(super) fn of(kind: Kind) -> impl FnOnce(HostFile) -> Self {
        move |file| Self { file, kind }
    }

    /// The descriptor of the host behind one of this kind. What is read of others is not looked at.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is another one.
    pub(super) fn host_of(kind: Kind, fd: u64) -> Result<Arc<HostFd>, Errno> {
        let file = args::file(fd)?;
        let records = file.object().downcast_ref::<Self>().filter(|records| records.kind == kind);
        Ok(Arc::clone(records.ok_or(Errno::EINVAL)?.file.fd()))
    }
}

/// An open file for a descriptor that came from outside, with its status flags.
pub(crate) fn made_outside(fd: HostFd, status: u64) -> Arc<OpenFile> {
    let file = HostFile::new(fd, b"");
    // What is no file has no type. Of files, it is known from here on.
    let name = if file.kind() == Ok(0) { file.name() } else { Vec::new() };
    match Kind::NAMES.into_iter().find(|(_, known)| *known == name) {
        Some((kind, _)) => OpenFile::new(Records { file, kind }, status),
        None => OpenFile::new(file, status),
    }
}

impl Object for Records {
    fn host(&self) -> Option<&Arc<HostFd>> {
        self.file.host()
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
        self.file.write(file, io)
    }

    fn fetch(&self, file: &OpenFile, bytes: &mut [u8], at: Option<u64>) -> Result<usize, Errno> {
        let count = self.file.fetch(file, bytes, at)?;
        self.kind.check(&bytes[..count]);
        Ok(count)
    }

    fn store(&self, file: &OpenFile, bytes: &[u8], at: Option<u64>) -> Result<usize, Errno> {
        self.file.store(file, bytes, at)
    }

    fn seek(&self, offset: u64, whence: u64) -> Result<u64, Errno> {
        self.file.seek(offset, whence)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        self.file.stat()
    }

    fn name(&self) -> Vec<u8> {
        self.file.name()
    }
}
