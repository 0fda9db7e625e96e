//! Files that are read as soon as they are opened.
//!
//! A server leaves the enclave three times to open a file, to ask how long it is, and to read it. Where exits
//! are dear, a path at which a short file was opened and read before is opened, asked about and read by one
//! way out ([`Call::then`]).
//!
//! What was read so is given to the program only as long as no other call of the process has come back
//! since, nobody has slept, and no more than some milliseconds have passed: so there is nothing from which it
//! could know that the file has changed meanwhile.
//!
//! And what is opened again and again is opened before the program asks for it ([`guesses`]), and what is read
//! again and again without being opened is read once for all that one look at the sockets has brought ([`again`]).

pub(crate) mod again;
mod guesses;
mod opening;

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use enclave_core::HostSlice;
use enclave_hostcalls::{Call, Errno, are_posted};

use crate::{HostFd, Stat, flag, kind};
pub use guesses::{Along, Guessed, give_up_guesses};
pub(crate) use opening::ROOM;
use opening::{Asked, Opened, Opening, Since};

/// Paths that are remembered at most.
const PATHS: usize = 1024;

/// Paths at which short files were read, by what [`Path::new`] makes of them.
static READ: [AtomicU64; PATHS] = [const { AtomicU64::new(0) }; PATHS];

/// A path and the directory that it starts from, as a number: two with the same number cost time, no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path(u64);

impl Path {
    /// FNV-1a.
    fn new(directory: u64, path: &[u8]) -> Self {
        let bytes = directory.to_le_bytes().into_iter().chain(path.iter().copied());
        let hash = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        Self(bytes.fold(0xcbf2_9ce4_8422_2325, hash) | 1)
    }

    fn place(self) -> &'static AtomicU64 {
        // Not more than there are.
        let at = usize::try_from(self.0 >> 32).unwrap_or(0);
        &READ[at % PATHS]
    }

    fn is_remembered(self) -> bool {
        self.place().load(Ordering::Relaxed) == self.0
    }

    /// A file at the path was read from its start: `count` bytes.
    pub(crate) fn was_read(self, count: u64) {
        if (1..ROOM).contains(&count) && are_posted() && !self.is_remembered() {
            self.place().store(self.0, Ordering::Relaxed);
        }
    }

    fn forget(self) {
        // Another path may have taken its place.
        let _ = self.place().compare_exchange(self.0, 0, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// What is known of a file since it was opened.
#[derive(Debug)]
pub(crate) struct Ahead {
    path: Path,
    since: Since,
    stat: Stat,
    read: Option<Read>,
    used: AtomicBool,
}

/// What was read of a file.
#[derive(Debug)]
struct Read {
    /// Keeps the staging memory.
    _call: Call,
    bytes: HostSlice,
    /// Bytes that there was room for.
    asked: u64,
}

impl Read {
    /// The first bytes, `len` unless the file ends before; `None` if that is not known.
    fn start(&self, len: u64) -> Option<HostSlice> {
        let known = len <= self.bytes.len() || self.bytes.len() < self.asked;
        known.then(|| self.bytes.part(0, len.min(self.bytes.len())))
    }
}

impl Ahead {
    /// What fstat(2) says.
    pub(crate) fn stat(&self) -> Option<Stat> {
        self.since.is_current().then_some(self.stat)
    }

    /// What fstat(2) said when the file was opened.
    pub(crate) const fn stat_then(&self) -> &Stat {
        &self.stat
    }

    /// The first bytes of the file, `len` unless it ends before.
    pub(crate) fn start(&self, len: u64) -> Option<HostSlice> {
        let start = self.read.as_ref().filter(|_| self.since.is_current())?.start(len);
        self.used.fetch_or(start.is_some(), Ordering::Relaxed);
        start
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if !*self.used.get_mut() {
            self.path.forget();
        }
    }
}

/// Opens a path of the host for reading, and reads if it is remembered. `None` if it is to be opened as any
/// other.
///
/// # Errors
///
/// As openat(2).
pub(crate) fn open(
    directory: u64,
    path: &[u8],
    flags: u64,
) -> Option<Result<(HostFd, Ahead), Errno>> {
    let hash = known(directory, path, flags).filter(|path| path.is_remembered())?;
    let asked = Asked { hash, directory, path, flags };
    match guesses::take(&asked).map_or_else(|| open_and_read(&asked), Ok) {
        // What cannot be opened without waiting is opened as any other, as is what cannot be read.
        Ok(Opened { fd, since, stat: Some(stat), read }) if stat.kind() == kind::REGULAR => {
            let used = AtomicBool::new(false);
            Some(Ok((fd, Ahead { path: hash, since, stat, read, used })))
        }
        Ok(_) | Err(Errno::EAGAIN | Errno::ENOMEM) => {
            hash.forget();
            None
        }
        Err(errno) => Some(Err(errno)),
    }
}

/// The path, if files that are opened so may be read ahead.
pub(crate) fn known(directory: u64, path: &[u8], flags: u64) -> Option<Path> {
    const ONLY: u64 = flag::NONBLOCK | flag::LARGEFILE | flag::NOFOLLOW | flag::CLOEXEC;
    (are_posted() && flags & !ONLY == 0).then(|| Path::new(directory, path))
}

fn open_and_read(asked: &Asked<'_>) -> Result<Opened, Errno> {
    let opening = Opening::stage(asked)?;
    let guesses = guesses::along(opening.first(), true);
    let opened = opening.make();
    guesses.collect(None);
    opened
}
