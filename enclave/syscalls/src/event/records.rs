//! Objects of the host that give records: each is looked at before the program gets it.

use alloc::{sync::Arc, vec, vec::Vec};

use enclave_core::to_usize;
use enclave_files::{HostFd, HostFile, Io, Object, OpenFile, Stat};
use enclave_hostcalls::{Call, Errno, Wait, misbehaved};

use super::{ANONYMOUS, inotify};
use crate::args;

/// Most bytes that are read for one buffer.
const MOST: u64 = 64 << 10;
/// A count in bytes.
const COUNT: usize = 8;

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
            // A clock that was set back takes away what the timer was read for (timerfd_create(2)).
            Self::Timer if bytes.is_empty() => {}
            // One that is zero is waited for.
            Self::Timer | Self::Event if bytes.len() == COUNT && bytes != [0; COUNT] => {}
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

    /// Reads the count of a timer or an eventfd: one for all buffers.
    fn read_count(&self, file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        let mut bytes = [0; COUNT];
        let bytes = &mut bytes[..to_usize(io.len().min(COUNT as u64))];
        let count = match io.flags {
            0 => self.fetch(file, bytes, io.at)?,
            flags => self.fetch_with(file, bytes, io.at, flags)?,
        };
        io.fill(&bytes[..count])
    }

    /// As [`Self::fetch`], with flags of preadv2(2).
    fn fetch_with(
        &self,
        file: &OpenFile,
        bytes: &mut [u8],
        at: Option<u64>,
        flags: u64,
    ) -> Result<usize, Errno> {
        const PREADV2: u64 = 327;
        const NOWAIT: u64 = 8;
        let len = bytes.len() as u64;
        let mut call = Call::new(PREADV2, 16 + len)?;
        let (vector, buffer) = (call.room(16), call.room(len));
        vector.word(0).write(buffer.address());
        vector.word(1).write(len);
        let at_once = file.nonblocking() || flags & NOWAIT != 0;
        let wait = if at_once { Wait::No } else { Wait::Maybe };
        // No offset is the current position.
        call.args([self.file.fd().number(), vector.address(), 1, at.unwrap_or(u64::MAX), 0, flags]);
        let count = to_usize(call.count(wait, len)?);
        buffer.read_bytes(&mut bytes[..count]);
        self.kind.check(&bytes[..count]);
        Ok(count)
    }
}

/// An open file for a descriptor that came from outside, with its status flags.
pub(crate) fn made_outside(fd: HostFd, status: u64) -> Arc<OpenFile> {
    // What is no file has no type. Of files, it is known from here on.
    let file_kind = fd.stat().map_or(0, |stat| stat.kind());
    let name = if file_kind == 0 { fd.path().unwrap_or_default() } else { Vec::new() };
    match Kind::NAMES.into_iter().find(|(_, known)| *known == name) {
        Some((kind, _)) => {
            OpenFile::new(Records { file: HostFile::of_kind(fd, ANONYMOUS), kind }, status)
        }
        None => OpenFile::new(HostFile::of_kind(fd, file_kind), status),
    }
}

impl Object for Records {
    fn host(&self) -> Option<&Arc<HostFd>> {
        self.file.host()
    }

    fn read(&self, file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        const HIGH_PRIORITY: u64 = 1;
        if self.kind != Kind::Inotify {
            return self.read_count(file, io);
        }
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
