//! Record locks on files in memory (fcntl(2)): the process's, and those of open files.

use alloc::collections::BTreeMap;
use core::ops::Range;

use enclave_core::{AppPtr, Mutex};
use enclave_descriptors::{RecordLock, RecordLocks};
use enclave_files::{OpenFile, WaitQueue, flag, ready};
use enclave_hostcalls::Errno;

use super::{Held, MemoryFile};
use crate::process::process;

/// `l_type`.
const READ: u16 = 0;
const WRITE: u16 = 1;
const UNLOCK: u16 = 2;

/// Whose a lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Process,
    /// An open file, by its address.
    File(usize),
}

/// Device and node.
type Key = (u64, u64);

static LOCKS: Mutex<BTreeMap<Key, RecordLocks<Owner>>> = Mutex::new(BTreeMap::new());
static RELEASED: WaitQueue = WaitQueue::new();

/// `struct flock` as words: type and origin, begin, length, process.
type Flock = [u64; 4];

/// What fcntl(2) is to do with record locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `F_GETLK`: tell which lock is in the way.
    Look,
    /// `F_SETLK`: take or release a lock if nothing is in the way.
    Try,
    /// `F_SETLKW`: wait for it.
    Wait,
}

fn key(held: &Held) -> Key {
    (held.mount.device, held.ino)
}

fn of_file(file: &MemoryFile) -> Owner {
    Owner::File(core::ptr::from_ref(file).addr())
}

/// Gives up what an owner holds.
fn give_up(held: &Held, owner: Owner) {
    let mut all = LOCKS.lock();
    let Some(locks) = all.get_mut(&key(held)) else { return };
    locks.release(owner);
    if locks.is_empty() {
        all.remove(&key(held));
    }
    drop(all);
    RELEASED.wake(ready::IN);
}

/// An open file is gone.
pub(super) fn release(file: &MemoryFile) {
    give_up(file.node(), of_file(file));
}

/// A descriptor of a file was closed: that ends the process's locks on it.
pub(crate) fn closed(held: &Held) {
    give_up(held, Owner::Process);
}

/// Takes a lock, or releases it, unless somebody else's is in the way.
fn set(held: &Held, lock: &RecordLock<Owner>, unlock: bool) -> bool {
    let mut all = LOCKS.lock();
    let locks = all.entry(key(held)).or_default();
    let free = unlock || locks.conflict(lock).is_none();
    match free {
        true if unlock => locks.clear(lock.owner, &lock.bytes),
        true => locks.set(lock.clone()),
        false => {}
    }
    if locks.is_empty() {
        all.remove(&key(held));
    }
    free
}

/// Record locks of a file in memory; with `of_open_file`, those that belong to open files.
///
/// # Errors
///
/// As fcntl(2).
pub(crate) fn fcntl(
    open: &OpenFile,
    command: Command,
    of_open_file: bool,
    arg: u64,
) -> Result<u64, Errno> {
    let file = open.object().downcast_ref::<MemoryFile>().ok_or(Errno::EINVAL)?;
    let pointer = AppPtr::<Flock>::new(arg);
    let flock = pointer.read()?;
    let [kind, origin] = [0, 16].map(|shift| u16::try_from(flock[0] >> shift & 0xffff));
    let (kind, origin) = (kind.unwrap_or_default(), origin.unwrap_or_default());
    let bytes = bytes(file, origin, flock[1].cast_signed(), flock[2].cast_signed())?;
    let access = open.status() & flag::ACCMODE;
    match kind {
        _ if of_open_file && flock[3] & 0xffff_ffff != 0 => return Err(Errno::EINVAL),
        READ | WRITE if command == Command::Look => {}
        READ if access == flag::WRONLY => return Err(Errno::EBADF),
        WRITE if access == 0 => return Err(Errno::EBADF),
        READ | WRITE => {}
        UNLOCK if command != Command::Look => {}
        _ => return Err(Errno::EINVAL),
    }
    let owner = if of_open_file { of_file(file) } else { Owner::Process };
    let lock = RecordLock { owner, bytes, exclusive: kind == WRITE };
    let held = file.node();
    match command {
        Command::Look => pointer.write(&look(held, &lock, flock))?,
        _ if set(held, &lock, kind == UNLOCK) => {
            // What was released, or is for reading now, others may wait for.
            RELEASED.wake(ready::IN);
        }
        Command::Try => return Err(Errno::EAGAIN),
        Command::Wait => {
            // To take it is for the next attempt: a signal may come first.
            RELEASED.wait(|| {
                let all = LOCKS.lock();
                all.get(&key(held)).is_none_or(|locks| locks.conflict(&lock).is_none())
            });
            return Err(Errno::EINTR);
        }
    }
    Ok(0)
}

/// What `F_GETLK` answers: the lock that is in the way, or that there is none.
fn look(held: &Held, wanted: &RecordLock<Owner>, asked: Flock) -> Flock {
    let all = LOCKS.lock();
    let Some(lock) = all.get(&key(held)).and_then(|locks| locks.conflict(wanted)) else {
        return [asked[0] & !0xffff | u64::from(UNLOCK), asked[1], asked[2], asked[3]];
    };
    let Range { start, end } = lock.bytes;
    let len = if end == u64::MAX { 0 } else { end - start };
    let owner = match lock.owner {
        Owner::Process => process().pid.into(),
        Owner::File(_) => u64::from(u32::MAX),
    };
    [u64::from(if lock.exclusive { WRITE } else { READ }), start, len, owner]
}

/// The bytes that a `struct flock` means.
fn bytes(file: &MemoryFile, origin: u16, start: i64, len: i64) -> Result<Range<u64>, Errno> {
    let base = match origin {
        0 => 0,
        1 => file.position(),
        2 => file.node().size()?,
        _ => return Err(Errno::EINVAL),
    };
    let signed = |value: u64| i64::try_from(value).map_err(|_| Errno::EOVERFLOW);
    let start = signed(base)?.checked_add(start).ok_or(Errno::EOVERFLOW)?;
    let (first, end) = match len {
        0 => (start, None),
        // The last byte must have an offset.
        1.. => (start, Some(start.checked_add(len - 1).ok_or(Errno::EOVERFLOW)?)),
        _ => (start.checked_add(len).ok_or(Errno::EINVAL)?, Some(start - 1)),
    };
    let first = u64::try_from(first).map_err(|_| Errno::EINVAL)?;
    match end {
        None => Ok(first..u64::MAX),
        Some(last) => Ok(first..u64::try_from(last).map_err(|_| Errno::EINVAL)? + 1),
    }
}
