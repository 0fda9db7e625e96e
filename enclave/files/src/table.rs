//! Numbers of the program.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::RwLock;
use enclave_descriptors::Slots;
use enclave_hostcalls::Errno;

use crate::OpenFile;

/// A number of the program in use.
struct Slot {
    file: Arc<OpenFile>,
    close_on_exec: bool,
}

/// The descriptor table of the process. Its lock is held for look-ups only: files are dropped
/// (closed) after it was released.
pub struct Table {
    slots: RwLock<Slots<Slot>>,
    limit: AtomicU64,
}

static TABLE: Table = Table { slots: RwLock::new(Slots::new()), limit: AtomicU64::new(1024) };

/// The table of this process.
pub fn table() -> &'static Table {
    &TABLE
}

/// The index of a descriptor as a system call passes it.
fn index(fd: u64) -> Result<usize, Errno> {
    // The kernel looks at the low half only, as a signed number.
    let low = u32::try_from(fd & 0xffff_ffff).map_err(|_| Errno::EBADF)?;
    usize::try_from(low.cast_signed()).map_err(|_| Errno::EBADF)
}

fn slot(slots: &Slots<Slot>, fd: u64) -> Result<&Slot, Errno> {
    slots.get(index(fd)?).ok_or(Errno::EBADF)
}

impl Table {
    /// The file behind a descriptor of the program, as a system call passes it.
    ///
    /// # Errors
    ///
    /// `EBADF` if there is none.
    pub fn get(&self, fd: u64) -> Result<Arc<OpenFile>, Errno> {
        Ok(Arc::clone(&slot(&self.slots.read(), fd)?.file))
    }

    /// Gives a file the lowest free number.
    ///
    /// # Errors
    ///
    /// `EMFILE` if the limit is reached.
    pub fn insert(&self, file: Arc<OpenFile>, close_on_exec: bool) -> Result<u64, Errno> {
        self.insert_from(0, file, close_on_exec)
    }

    /// Gives a file the lowest free number that is at least `from` (`F_DUPFD`).
    ///
    /// # Errors
    ///
    /// `EMFILE` if the limit is reached, `EINVAL` if `from` is not below it.
    pub fn insert_from(
        &self,
        from: u64,
        file: Arc<OpenFile>,
        close_on_exec: bool,
    ) -> Result<u64, Errno> {
        let limit = self.limit();
        let from = usize::try_from(from).map_err(|_| Errno::EINVAL)?;
        if from > 0 && from as u64 >= limit {
            return Err(Errno::EINVAL);
        }
        let mut slots = self.slots.write();
        let at = slots.lowest_free(from);
        if at as u64 >= limit {
            return Err(Errno::EMFILE);
        }
        slots.put(at, Slot { file, close_on_exec });
        Ok(at as u64)
    }

    /// Gives two files the lowest free numbers: both or none.
    ///
    /// # Errors
    ///
    /// `EMFILE` if the limit is reached.
    pub fn insert_pair(
        &self,
        files: [Arc<OpenFile>; 2],
        close_on_exec: bool,
    ) -> Result<[u64; 2], Errno> {
        let [first, second] = files;
        let first = self.insert(first, close_on_exec)?;
        match self.insert(second, close_on_exec) {
            Ok(second) => Ok([first, second]),
            Err(errno) => {
                self.remove(first)?;
                Err(errno)
            }
        }
    }

    /// Gives a file this number, and returns the file that had it before (`dup2`).
    ///
    /// # Errors
    ///
    /// `EBADF` if the number is negative or not below the limit.
    pub fn replace(
        &self,
        fd: u64,
        file: Arc<OpenFile>,
        close_on_exec: bool,
    ) -> Result<Option<Arc<OpenFile>>, Errno> {
        let at = index(fd)?;
        if at as u64 >= self.limit() {
            return Err(Errno::EBADF);
        }
        let old = self.slots.write().put(at, Slot { file, close_on_exec });
        Ok(old.map(|slot| slot.file))
    }

    /// Frees a number; the file is closed when the last user drops it.
    ///
    /// # Errors
    ///
    /// `EBADF` if it is not in use.
    pub fn remove(&self, fd: u64) -> Result<Arc<OpenFile>, Errno> {
        let slot = self.slots.write().take(index(fd)?);
        slot.map(|slot| slot.file).ok_or(Errno::EBADF)
    }

    /// Frees all numbers in `first..=last` that are in use, and returns their files.
    #[must_use]
    pub fn remove_range(&self, first: u64, last: u64) -> Vec<Arc<OpenFile>> {
        let mut slots = self.slots.write();
        let end = slots.end();
        let (Ok(first), last) = (usize::try_from(first), usize::try_from(last).unwrap_or(end))
        else {
            return Vec::new();
        };
        let range = first..end.min(last.saturating_add(1));
        range.filter_map(|at| slots.take(at)).map(|slot| slot.file).collect()
    }

    /// Frees all numbers that are to be closed at exec, and returns their files.
    #[must_use]
    pub fn remove_close_on_exec(&self) -> Vec<Arc<OpenFile>> {
        let mut slots = self.slots.write();
        let marked = slots.iter().filter(|(_, slot)| slot.close_on_exec).map(|(at, _)| at);
        let numbers: Vec<usize> = marked.collect();
        numbers.into_iter().filter_map(|at| slots.take(at)).map(|slot| slot.file).collect()
    }

    /// Whether a number is to be closed at exec.
    ///
    /// # Errors
    ///
    /// `EBADF` if it is not in use.
    pub fn close_on_exec(&self, fd: u64) -> Result<bool, Errno> {
        Ok(slot(&self.slots.read(), fd)?.close_on_exec)
    }

    /// Says whether a number is to be closed at exec.
    ///
    /// # Errors
    ///
    /// `EBADF` if it is not in use.
    pub fn set_close_on_exec(&self, fd: u64, close: bool) -> Result<(), Errno> {
        let at = index(fd)?;
        let mut slots = self.slots.write();
        let slot = slots.get_mut(at).ok_or(Errno::EBADF)?;
        slot.close_on_exec = close;
        Ok(())
    }

    /// The numbers in use, ascending.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        self.slots.read().iter().map(|(at, _)| at as u64).collect()
    }

    /// One more than the largest number that may be given out (`RLIMIT_NOFILE`).
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Sets [`Self::limit`].
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }
}
