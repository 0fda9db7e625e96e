//! Objects by key and by id, and who may do what with them.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};

use enclave_core::{AppPtr, Mutex, to_usize};
use enclave_files::WaitQueue;
use enclave_hostcalls::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{
    args::{int, uint},
    ids,
};

/// `IPC_PRIVATE`: a key that finds nothing.
const PRIVATE: u64 = 0;
/// `IPC_CREAT`.
const CREATE: u64 = 0o1000;
/// `IPC_EXCL`.
const EXCLUSIVE: u64 = 0o2000;
/// Permission bits.
const MODE: u64 = 0o777;
/// The distance of ids that one place has in turn (`IPCMNI`).
const MOST: u32 = 32768;

/// `struct ipc64_perm`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Permissions {
    key: u32,
    user: u32,
    group: u32,
    creator: u32,
    creator_group: u32,
    mode: u32,
    sequence: u16,
    pad: [u16; 3],
    unused: [u64; 2],
}

const _: () = assert!(size_of::<Permissions>() == 48);

impl Permissions {
    /// Marks a segment that goes once nobody is attached (`SHM_DEST`).
    pub(super) fn with_mode_bits(mut self, bits: u32) -> Self {
        self.mode |= bits;
        self
    }
}

/// An object and what is common to all kinds.
pub(super) struct Entry<T> {
    pub(super) id: u64,
    pub(super) body: T,
    /// Who waits for it to change.
    pub(super) queue: WaitQueue,
    permissions: Mutex<Permissions>,
    removed: AtomicBool,
}

impl<T> Entry<T> {
    pub(super) fn permissions(&self) -> Permissions {
        *self.permissions.lock()
    }

    /// Takes owner and mode from `new` (`IPC_SET`).
    pub(super) fn set_permissions(&self, new: &Permissions) -> Result<(), Errno> {
        let mut permissions = self.permissions.lock();
        may_change(&permissions)?;
        (permissions.user, permissions.group) = (new.user, new.group);
        permissions.mode = new.mode & 0o777;
        Ok(())
    }

    /// `EIDRM` once it was removed.
    pub(super) fn check(&self) -> Result<(), Errno> {
        if self.removed.load(Ordering::Acquire) { Err(Errno::EIDRM) } else { Ok(()) }
    }
}

/// Only owners and the superuser change or remove an object.
fn may_change(permissions: &Permissions) -> Result<(), Errno> {
    let [user, _] = ids::of_files();
    if user == 0 || user == permissions.user || user == permissions.creator {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

struct Slot<T> {
    /// How often the place was used.
    sequence: u16,
    entry: Option<Arc<Entry<T>>>,
}

/// All objects of a kind.
pub(super) struct Registry<T> {
    slots: Mutex<Vec<Slot<T>>>,
    /// How many there may be.
    most: u32,
}

impl<T> Registry<T> {
    pub(super) const fn new(most: u32) -> Self {
        Self { slots: Mutex::new(Vec::new()), most }
    }

    /// The object with this id.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is none.
    pub(super) fn get(&self, id: u64) -> Result<Arc<Entry<T>>, Errno> {
        let id = u64::try_from(int(id)).map_err(|_| Errno::EINVAL)?;
        let slots = self.slots.lock();
        let slot = slots.get(to_usize(id % u64::from(MOST))).ok_or(Errno::EINVAL)?;
        slot.entry.clone().filter(|entry| entry.id == id).ok_or(Errno::EINVAL)
    }

    /// Finds the object with `key` if it pleases `fits`, or makes one, as the flags say; returns
    /// its id.
    ///
    /// # Errors
    ///
    /// `ENOENT`, `EEXIST`, `ENOSPC`, and what the functions return.
    pub(super) fn open(
        &self,
        key: u64,
        flags: u64,
        fits: impl FnOnce(&T) -> Result<(), Errno>,
        make: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<u64, Errno> {
        let key = uint(key);
        let mut slots = self.slots.lock();
        if key != PRIVATE {
            let mut entries = slots.iter().filter_map(|slot| slot.entry.as_ref());
            if let Some(found) =
                entries.find(|entry| u64::from(entry.permissions.lock().key) == key)
            {
                if flags & CREATE != 0 && flags & EXCLUSIVE != 0 {
                    return Err(Errno::EEXIST);
                }
                fits(&found.body)?;
                return Ok(found.id);
            }
            if flags & CREATE == 0 {
                return Err(Errno::ENOENT);
            }
        }
        let index = slots.iter().position(|slot| slot.entry.is_none()).unwrap_or(slots.len());
        if index as u64 >= u64::from(self.most) {
            return Err(Errno::ENOSPC);
        }
        let body = make()?;
        if index == slots.len() {
            slots.push(Slot { sequence: 0, entry: None });
        }
        let slot = &mut slots[index];
        let id = u64::from(slot.sequence) * u64::from(MOST) + index as u64;
        slot.entry = Some(Arc::new(Entry {
            id,
            body,
            queue: WaitQueue::new(),
            permissions: Mutex::new(permissions(key, flags, slot.sequence)),
            removed: AtomicBool::new(false),
        }));
        Ok(id)
    }

    /// Removes an object: whoever waits for it gets `EIDRM`.
    ///
    /// # Errors
    ///
    /// `EPERM` if it is somebody else's.
    pub(super) fn remove(&self, entry: &Entry<T>) -> Result<(), Errno> {
        may_change(&entry.permissions.lock())?;
        let mut slots = self.slots.lock();
        let slot = slots.get_mut(to_usize(entry.id % u64::from(MOST))).ok_or(Errno::EINVAL)?;
        if slot.entry.as_ref().is_none_or(|other| other.id != entry.id) {
            return Err(Errno::EIDRM);
        }
        let removed = slot.entry.take();
        // An id is an int that is not negative.
        slot.sequence = (slot.sequence + 1) % u16::MAX;
        drop(slots);
        entry.removed.store(true, Ordering::Release);
        entry.queue.wake(u32::MAX);
        drop(removed);
        Ok(())
    }

    /// The object in the place `index`, whatever its id.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is none.
    pub(super) fn at(&self, index: u64) -> Result<Arc<Entry<T>>, Errno> {
        let index = u64::try_from(int(index)).map_err(|_| Errno::EINVAL)? % u64::from(MOST);
        let slots = self.slots.lock();
        let slot = slots.get(to_usize(index)).ok_or(Errno::EINVAL)?;
        slot.entry.clone().ok_or(Errno::EINVAL)
    }

    /// All objects, and the highest place that one of them has.
    pub(super) fn all(&self) -> (Vec<Arc<Entry<T>>>, u64) {
        let slots = self.slots.lock();
        let all: Vec<_> = slots.iter().filter_map(|slot| slot.entry.clone()).collect();
        let last = all.last().map_or(0, |entry| entry.id % u64::from(MOST));
        (all, last)
    }

    /// The first object of which `is_wanted` says so.
    pub(super) fn find(&self, is_wanted: impl Fn(&T) -> bool) -> Option<Arc<Entry<T>>> {
        let slots = self.slots.lock();
        let mut entries = slots.iter().filter_map(|slot| slot.entry.as_ref());
        entries.find(|entry| is_wanted(&entry.body)).cloned()
    }
}

fn permissions(key: u64, flags: u64, sequence: u16) -> Permissions {
    let low = |word: u64| u32::try_from(word & 0xffff_ffff).unwrap_or(0);
    let [user, group] = ids::of_files();
    Permissions {
        key: low(key),
        user,
        group,
        creator: user,
        creator_group: group,
        mode: low(flags & MODE),
        sequence,
        pad: [0; 3],
        unused: [0; 2],
    }
}

/// Reads the permissions at the start of a structure of the program.
pub(super) fn read_permissions(address: u64) -> Result<Permissions, Errno> {
    Ok(AppPtr::<Permissions>::new(address).read()?)
}
