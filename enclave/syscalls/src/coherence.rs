//! Mappings of files: what a program wrote to a shared one must be seen by read(2), and what it writes by
//! write(2) must be seen through the mapping; none shows what is behind the end of its file. The address
//! space is told when a change begins and when it is over, because other threads go on meanwhile.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use enclave_files::{HostFile, OpenFile, kind};
use enclave_hostcalls::Errno;

use crate::{
    ephemeral::{self, MemoryFile},
    memory::errno,
    process::{Backing, process},
};

/// More than any file is long.
const WHOLE: u64 = i64::MAX.cast_unsigned() & !0xfff;

/// Whether there ever was a shared mapping of a file.
static SHARED: AtomicBool = AtomicBool::new(false);

/// A shared mapping of a file is about to be made.
pub(crate) fn expect() {
    SHARED.store(true, Ordering::Relaxed);
}

/// Whether there may be one.
pub(crate) fn is_expected() -> bool {
    SHARED.load(Ordering::Relaxed)
}

/// Whether it is a file that can be mapped. Most writes of a server go to sockets and pipes, which are known
/// without a lock.
fn is_mappable(file: &OpenFile) -> bool {
    match file.object().downcast_ref::<HostFile>() {
        Some(host) => host.kind() == Ok(kind::REGULAR),
        None => file.object().downcast_ref::<MemoryFile>().is_some(),
    }
}

/// The file for look-ups, if there are any mappings that it may have to agree with.
fn mapped(file: &OpenFile) -> Option<Backing> {
    let may_be = is_expected() && is_mappable(file) && process().space().has_shared_files();
    if may_be { backing(file) } else { None }
}

/// The file for look-ups, if it is one that can be mapped.
fn backing(file: &OpenFile) -> Option<Backing> {
    if !is_mappable(file) {
        return None;
    }
    if let Some(held) = ephemeral::of(file) {
        return Some(Backing::in_memory(Arc::clone(held), b""));
    }
    let host = file.object().downcast_ref::<HostFile>()?;
    Some(Backing::new(Arc::clone(host.fd()), host.identity().ok()?))
}

/// Call before contents of a file are read from the host: `range` is offset and length, `None`
/// where that is not known.
pub(crate) fn before_read(file: &OpenFile, range: Option<(u64, u64)>) -> Result<(), Errno> {
    let Some(backing) = mapped(file) else { return Ok(()) };
    let (offset, len) = range.unwrap_or((0, WHOLE));
    process().space().flush_file(&backing, offset, len).map_err(errno)
}

/// Changes a part of a file, or its size there, by `change`: mappings show that when it is over. `range` is
/// asked for offset and length if there are mappings. The result is that of `change`: where stores cannot be
/// written back when it is over, the pages stay dirty, and msync(2) or the next change tells.
fn changing<T>(
    file: &OpenFile,
    range: impl FnOnce() -> Result<(u64, u64), Errno>,
    change: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Errno> {
    if is_expected() && !is_mappable(file) {
        return change();
    }
    let backing = mapped(file);
    let (offset, len) = if backing.is_some() { range()? } else { (0, WHOLE) };
    if let Some(backing) = &backing {
        process().space().begin_write(backing, offset, len).map_err(errno)?;
    }
    let changed = change();
    let ended = if let Some(backing) = backing {
        process().space().end_write(&backing, offset, len)
    } else if let Some(backing) = mapped(file) {
        // It was mapped meanwhile.
        process().space().drop_file(&backing, 0, WHOLE)
    } else {
        Ok(())
    };
    let _ = ended.map_err(errno);
    changed
}

/// Changes contents of a file by `write`: `range` is offset and length, `None` where that is not known.
pub(crate) fn writing<T>(
    file: &OpenFile,
    range: Option<(u64, u64)>,
    write: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Errno> {
    changing(file, || Ok(range.unwrap_or((0, WHOLE))), write)
}

/// Gives a file a size by `resize`: it changes from the end on that comes first.
pub(crate) fn resizing<T>(
    file: &OpenFile,
    size: u64,
    resize: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Errno> {
    let resized = changing(file, || Ok((size.min(file.stat()?.size), WHOLE)), resize)?;
    if let Some(backing) = backing(file) {
        process().space().cut_file(&backing, size).map_err(errno)?;
    }
    Ok(resized)
}

/// fallocate(2) by `allocate`.
pub(crate) fn allocating<T>(
    file: &OpenFile,
    [mode, offset, len]: [u64; 3],
    allocate: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Errno> {
    const KEEP_SIZE: u64 = 1;
    const PUNCH_HOLE: u64 = 2;
    if mode == KEEP_SIZE {
        // What is there stays as it is.
        return allocate();
    }
    let range = || {
        Ok(match mode {
            0 => (file.stat()?.size, WHOLE),
            _ if mode == PUNCH_HOLE | KEEP_SIZE => (offset, len),
            _ => (offset.min(file.stat()?.size), WHOLE),
        })
    };
    changing(file, range, allocate)
}

/// Cuts a file that is known by its path only, by `change`: it may be any.
pub(crate) fn cutting_any<T>(change: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    let drop_all =
        || if is_expected() { process().space().drop_all().map_err(errno) } else { Ok(()) };
    drop_all()?;
    let changed = change();
    // What was read from it meanwhile goes as well; what cannot be written back stays dirty.
    let _ = drop_all();
    changed
}
