//! Locks on whole files in memory (flock(2)): they belong to open files.

use alloc::{collections::BTreeMap, vec::Vec};

use enclave_core::Mutex;
use enclave_files::{WaitQueue, ready};
use enclave_hostcalls::Errno;

use super::MemoryFile;

/// Device and node.
type Key = (u64, u64);

/// A lock that is held.
struct Lock {
    /// The open file, by its address.
    owner: usize,
    exclusive: bool,
}

static LOCKS: Mutex<BTreeMap<Key, Vec<Lock>>> = Mutex::new(BTreeMap::new());
static RELEASED: WaitQueue = WaitQueue::new();

fn key(file: &MemoryFile) -> Key {
    (file.node().mount.device, file.node().ino)
}

fn owner(file: &MemoryFile) -> usize {
    core::ptr::from_ref(file).addr()
}

/// Whether no other open file holds a lock that forbids this one.
fn is_free(locks: &[Lock], owner: usize, exclusive: bool) -> bool {
    locks.iter().all(|lock| lock.owner == owner || !exclusive && !lock.exclusive)
}

/// Takes a lock unless another open file holds one that forbids it.
fn take(file: &MemoryFile, exclusive: bool) -> bool {
    let mut all = LOCKS.lock();
    let locks = all.entry(key(file)).or_default();
    let owner = owner(file);
    // What is held gives way even if the new one cannot be had, as on Linux.
    locks.retain(|lock| lock.owner != owner);
    let free = is_free(locks, owner, exclusive);
    if free {
        locks.push(Lock { owner, exclusive });
    }
    free
}

/// Gives up what an open file holds.
pub(super) fn release(file: &MemoryFile) {
    let mut all = LOCKS.lock();
    let Some(locks) = all.get_mut(&key(file)) else { return };
    locks.retain(|lock| lock.owner != owner(file));
    if locks.is_empty() {
        all.remove(&key(file));
    }
    drop(all);
    RELEASED.wake(ready::IN);
}

/// flock(2).
pub(crate) fn flock(file: &MemoryFile, operation: u64) -> Result<u64, Errno> {
    const SHARED: u64 = 1;
    const EXCLUSIVE: u64 = 2;
    const NONBLOCKING: u64 = 4;
    const UNLOCK: u64 = 8;
    let exclusive = match operation & !NONBLOCKING {
        SHARED => false,
        EXCLUSIVE => true,
        UNLOCK => {
            release(file);
            return Ok(0);
        }
        _ => return Err(Errno::EINVAL),
    };
    if take(file, exclusive) {
        return Ok(0);
    }
    // Others may wait for what was given way.
    RELEASED.wake(ready::IN);
    if operation & NONBLOCKING != 0 {
        return Err(Errno::EAGAIN);
    }
    // To take it is for the next attempt: a signal may come first.
    RELEASED.wait(|| {
        let all = LOCKS.lock();
        all.get(&key(file)).is_none_or(|locks| is_free(locks, owner(file), exclusive))
    });
    Err(Errno::EINTR)
}
