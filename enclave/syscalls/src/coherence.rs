//! Mappings of files: what a program wrote to a shared one must be seen by read(2), and what it writes by
//! write(2) must be seen through the mapping; none shows what is behind the end of its file.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};

use enclave_files::{HostFile, OpenFile, kind};
use enclave_hostcalls::Errno;

use crate::{
    ephemeral,
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

/// The file for look-ups, if there are any mappings that it may have to agree with.
fn mapped(file: &OpenFile) -> Option<Backing> {
    if is_expected() && process().space().has_shared_files() { backing(file) } else { None }
}

/// The file for look-ups, if it is one that can be mapped.
fn backing(file: &OpenFile) -> Option<Backing> {
    if let Some(held) = ephemeral::of(file) {
        return Some(Backing::in_memory(Arc::clone(held), b""));
    }
    let host = file.object().downcast_ref::<HostFile>()?;
    if host.kind().ok()? != kind::REGULAR {
        return None;
    }
    Some(Backing::new(Arc::clone(host.fd()), host.identity().ok()?))
}

/// Call before contents of a file are read from the host: `range` is offset and length, `None`
/// where that is not known.
pub(crate) fn before_read(file: &OpenFile, range: Option<(u64, u64)>) -> Result<(), Errno> {
    let Some(backing) = mapped(file) else { return Ok(()) };
    let (offset, len) = range.unwrap_or((0, WHOLE));
    process().space().flush_file(&backing, offset, len).map_err(errno)
}

/// Call before contents or the size of a file are changed on the host.
pub(crate) fn before_write(file: &OpenFile, range: Option<(u64, u64)>) -> Result<(), Errno> {
    let Some(backing) = mapped(file) else { return Ok(()) };
    let (offset, len) = range.unwrap_or((0, WHOLE));
    process().space().drop_file(&backing, offset, len).map_err(errno)
}

/// Call before a file is given a size: it changes from the end on that comes first.
pub(crate) fn before_resize(file: &OpenFile, size: u64) -> Result<(), Errno> {
    let Some(backing) = mapped(file) else { return Ok(()) };
    let from = size.min(file.stat()?.size);
    process().space().drop_file(&backing, from, WHOLE).map_err(errno)
}

/// Call before fallocate(2).
pub(crate) fn before_allocate(
    file: &OpenFile,
    mode: u64,
    offset: u64,
    len: u64,
) -> Result<(), Errno> {
    const KEEP_SIZE: u64 = 1;
    const PUNCH_HOLE: u64 = 2;
    let Some(backing) = mapped(file) else { return Ok(()) };
    let (from, len) = match mode {
        // What is there stays as it is.
        KEEP_SIZE => return Ok(()),
        0 => (file.stat()?.size, WHOLE),
        _ if mode == PUNCH_HOLE | KEEP_SIZE => (offset, len),
        _ => (offset.min(file.stat()?.size), WHOLE),
    };
    process().space().drop_file(&backing, from, len).map_err(errno)
}

/// Call after a file was given a size.
pub(crate) fn after_resize(file: &OpenFile, size: u64) -> Result<(), Errno> {
    let Some(backing) = backing(file) else { return Ok(()) };
    process().space().cut_file(&backing, size).map_err(errno)
}

/// Call before a file that is known by its path only is changed.
pub(crate) fn drop_everything() -> Result<(), Errno> {
    let files: Vec<_> = process().space().shared_files().cloned().collect();
    for file in files {
        process().space().drop_file(&file, 0, WHOLE).map_err(errno)?;
    }
    Ok(())
}
