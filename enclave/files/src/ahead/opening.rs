//! What opens a file, asks about it and reads it by one way out.

use enclave_core::{HostSlice, timestamp};
use enclave_hostcalls::{Call, Errno, Wait, calls_made, misbehaved};
use zerocopy::{FromZeros, IntoBytes};

use super::{Path, Read};
use crate::{HostFd, Stat, flag, kind};

mod nr {
    pub(super) const FSTAT: u64 = 5;
    pub(super) const PREAD64: u64 = 17;
    pub(super) const OPENAT: u64 = 257;
}

/// Bytes that are read, and at least one more than a file has that is read as a whole.
pub(crate) const ROOM: u64 = 12_000;

/// What the program opens, for reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) hash: Path,
    pub(super) directory: u64,
    pub(super) path: &'a [u8],
    pub(super) flags: u64,
}

/// Three calls of the host, of which the first has the others made.
#[derive(Debug)]
pub(super) struct Opening {
    open: Call,
    ask: Call,
    answer: HostSlice,
    read: Call,
    bytes: HostSlice,
}

/// Ticks for which anything is current at most (10 ms at 2.5 GHz): a program that looks at the clock alone, until
/// a file has changed, shall see it.
const LONGEST: u64 = 25_000_000;

/// Since when something is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    /// Calls that had come back.
    made: u64,
    ticks: u64,
}

impl Since {
    /// A call before which `before` had come back is the last one that has.
    pub(super) fn after(before: u64) -> Self {
        Self { made: before + 1, ticks: timestamp() }
    }

    /// Whether the process can have learned nothing since.
    pub(super) fn is_current(self) -> bool {
        calls_made() == self.made && timestamp().saturating_sub(self.ticks) < LONGEST
    }
}

/// What has come of them.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) fd: HostFd,
    pub(super) since: Since,
    /// `None` if something else came back meanwhile, or if the host does not say.
    pub(super) stat: Option<Stat>,
    pub(super) read: Option<Read>,
}

impl Opening {
    /// # Errors
    ///
    /// `ENOMEM` if there is no staging memory for it.
    pub(super) fn stage(asked: &Asked<'_>) -> Result<Self, Errno> {
        let size = size_of::<Stat>() as u64;
        let mut read = Call::new(nr::PREAD64, ROOM)?;
        let bytes = read.room(ROOM);
        read.args([0, bytes.address(), ROOM]);
        let mut ask = Call::new(nr::FSTAT, size)?;
        let answer = ask.room(size);
        ask.args([0, answer.address()]).then(&mut read);
        let mut open = Call::new(nr::OPENAT, asked.path.len() as u64 + 8)?;
        let path = open.cstr(asked.path);
        // A file that is regular does not care.
        let flags = asked.flags | flag::CLOEXEC | flag::NONBLOCK;
        open.args([asked.directory, path, flags]).then(&mut ask);
        Ok(Self { open, ask, answer, read, bytes })
    }

    /// The call that has the others made.
    pub(super) const fn first(&self) -> &Call {
        &self.open
    }

    /// Leaves with them.
    ///
    /// # Errors
    ///
    /// As openat(2).
    pub(super) fn make(self) -> Result<Opened, Errno> {
        let before = calls_made();
        let fd = HostFd::adopt(self.open.descriptor(Wait::No)?);
        Ok(self.opened(fd, before))
    }

    /// The descriptor, if the host has made them with another call, or the error.
    pub(super) fn result(&self) -> Option<Result<HostFd, Errno>> {
        let result = self.open.later_result()?;
        Some(result.map(|number| HostFd::adopt(Call::as_descriptor(number))))
    }

    /// What has come of them, if `fd` is the descriptor, and they were made with a call before which `before` had
    /// come back.
    pub(super) fn opened(self, fd: HostFd, before: u64) -> Opened {
        let since = Since::after(before);
        let Self { ask, answer, read, bytes, .. } = self;
        let stat = (ask.later_result() == Some(Ok(0))).then(|| {
            let mut stat = Stat::new_zeroed();
            answer.read_bytes(stat.as_mut_bytes());
            stat
        });
        if stat.is_some_and(|stat| stat.kind() == kind::REGULAR) {
            fd.close_later();
        }
        let count = match read.later_result() {
            Some(Ok(count)) if count > ROOM => {
                misbehaved("the host misbehaved: it returned more than was asked for")
            }
            Some(Ok(count)) => Some(count),
            _ => None,
        };
        let read =
            count.map(|count| Read { _call: read, bytes: bytes.part(0, count), asked: ROOM });
        Opened { fd, since, stat: stat.filter(|_| since.is_current()), read }
    }
}
