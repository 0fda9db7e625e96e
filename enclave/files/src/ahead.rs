//! Files that are read as soon as they are opened.
//!
//! A server leaves the enclave three times to open a file, to ask how long it is, and to read it. Where exits
//! are dear, a path at which a short file was opened and read before is opened, asked about and read by one
//! way out ([`Call::then`]).
//!
//! What was read so is given to the program only as long as no other call of the process has come back
//! since: so there is nothing from which it could know that the file has changed meanwhile.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use enclave_core::HostSlice;
use enclave_hostcalls::{Call, Errno, Wait, are_posted, calls_made, misbehaved};
use zerocopy::{FromZeros, IntoBytes};

use crate::{HostFd, Stat, flag, kind};

mod nr {
    pub(super) const FSTAT: u64 = 5;
    pub(super) const PREAD64: u64 = 17;
    pub(super) const OPENAT: u64 = 257;
}

/// Bytes that are read, and at least one more than a file has that is read as a whole.
const ROOM: u64 = 12_000;
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
    /// Calls that had been made when it was known.
    made: u64,
    stat: Stat,
    read: Option<Read>,
    used: AtomicBool,
}

/// The start of a file.
#[derive(Debug)]
struct Read {
    /// Keeps the staging memory.
    _call: Call,
    bytes: HostSlice,
}

impl Ahead {
    fn is_current(&self) -> bool {
        calls_made() == self.made
    }

    /// What fstat(2) says.
    pub(crate) fn stat(&self) -> Option<Stat> {
        self.is_current().then_some(self.stat)
    }

    /// What fstat(2) said when the file was opened.
    pub(crate) const fn stat_then(&self) -> &Stat {
        &self.stat
    }

    /// The first bytes of the file, `len` unless it ends before.
    pub(crate) fn start(&self, len: u64) -> Option<HostSlice> {
        let Read { bytes, .. } = self.read.as_ref().filter(|_| self.is_current())?;
        let known = len <= bytes.len() || bytes.len() < ROOM;
        self.used.fetch_or(known, Ordering::Relaxed);
        known.then(|| bytes.part(0, len.min(bytes.len())))
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
    match open_and_read(hash, directory, path, flags) {
        // What cannot be opened without waiting is opened as any other, as is what cannot be read.
        Ok((fd, Some(ahead))) if ahead.stat.kind() == kind::REGULAR => Some(Ok((fd, ahead))),
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

fn open_and_read(
    hash: Path,
    directory: u64,
    path: &[u8],
    flags: u64,
) -> Result<(HostFd, Option<Ahead>), Errno> {
    let size = size_of::<Stat>() as u64;
    let mut read = Call::new(nr::PREAD64, ROOM)?;
    let bytes = read.room(ROOM);
    read.args([0, bytes.address(), ROOM]);
    let mut ask = Call::new(nr::FSTAT, size)?;
    let answer = ask.room(size);
    ask.args([0, answer.address()]).then(&mut read);
    let mut open = Call::new(nr::OPENAT, path.len() as u64 + 8)?;
    let path = open.cstr(path);
    // A file that is regular does not care.
    open.args([directory, path, flags | flag::CLOEXEC | flag::NONBLOCK]).then(&mut ask);
    let before = calls_made();
    let fd = HostFd::adopt(open.descriptor(Wait::No)?);
    if calls_made() != before + 1 || ask.later_result() != Some(Ok(0)) {
        return Ok((fd, None));
    }
    let mut stat = Stat::new_zeroed();
    answer.read_bytes(stat.as_mut_bytes());
    let count = match read.later_result() {
        Some(Ok(count)) if count > ROOM => {
            misbehaved("the host misbehaved: it returned more than was asked for")
        }
        Some(Ok(count)) => Some(count),
        _ => None,
    };
    let read = count.map(|count| Read { _call: read, bytes: bytes.part(0, count) });
    let used = AtomicBool::new(false);
    Ok((fd, Some(Ahead { path: hash, made: before + 1, stat, read, used })))
}
