//! Opening files in memory.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use enclave_ephemeral::{Found, Ino, Kind};
use enclave_files::{OpenFile, flag};
use enclave_hostcalls::{Errno, Wait};

use super::{Held, MemoryFile, Spot, errno, who};
use crate::{
    args::{self, Arg::Int, forward},
    nr, pipe,
};

/// The permissions that new files do not get (umask(2)).
static UMASK: AtomicU32 = AtomicU32::new(0);

/// Asks the host for the mask with which the process was started.
pub(super) fn init_umask() {
    // Reading it is possible by setting it only.
    if let Ok(mask) = forward(nr::UMASK, Wait::No, [Int(0o77)]) {
        let _ = forward(nr::UMASK, Wait::No, [Int(mask & 0o777)]);
        umask(mask);
    }
}

/// Notes the mask.
pub(crate) fn umask(mask: u64) {
    UMASK.store(u32::try_from(mask & 0o777).unwrap_or(0), Ordering::Relaxed);
}

/// The permissions of a new file.
pub(super) fn masked(mode: u64) -> u32 {
    u32::try_from(mode & 0o7777).unwrap_or(0) & !UMASK.load(Ordering::Relaxed)
}

/// The rights that an access mode needs.
fn rights(flags: u64) -> u32 {
    match flags & flag::ACCMODE {
        0 => 4,
        flag::WRONLY => 2,
        _ => 6,
    }
}

/// Opens what is at a place, or makes it.
///
/// # Errors
///
/// As open(2).
pub(crate) fn open(spot: &Spot, flags: u64, mode: u64) -> Result<Arc<OpenFile>, Errno> {
    if flags & flag::TMPFILE == flag::TMPFILE {
        return unnamed(spot, flags, mode);
    }
    let (ino, made) = match &spot.found {
        Found::Node { ino, .. } => (*ino, None),
        Found::Missing { .. } if flags & flag::CREAT == 0 => return Err(Errno::ENOENT),
        Found::Missing { slash: true, .. } => return Err(Errno::EISDIR),
        Found::Missing { parent, name, .. } => {
            let mut fs = spot.mount.fs.lock();
            let made = fs.create(*parent, name, Kind::File, b"", masked(mode), &who());
            (made.map_err(errno)?, Some(Kind::File))
        }
        Found::Outside { .. } => return Err(Errno::EXDEV),
    };
    // From here on nobody can take it away.
    let held = Arc::new(Held::new(spot.mount, ino));
    let kind = match made {
        Some(kind) => kind,
        None => permit(spot, ino, flags)?,
    };
    if kind == Kind::Pipe && flags & flag::PATH == 0 {
        return pipe::open(held, spot.path(), flags);
    }
    Ok(OpenFile::new(MemoryFile::new(held, spot.path()), flags))
}

/// The kind of an existing node if it may be opened; it is made empty if that is wanted.
fn permit(spot: &Spot, ino: Ino, flags: u64) -> Result<Kind, Errno> {
    let mut fs = spot.mount.fs.lock();
    let kind = fs.attributes(ino).map_err(errno)?.kind;
    if flags & (flag::CREAT | flag::EXCL) == flag::CREAT | flag::EXCL {
        return Err(Errno::EEXIST);
    }
    if flags & flag::DIRECTORY != 0 && kind != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    if flags & flag::PATH != 0 {
        return Ok(kind);
    }
    let writes = flags & (flag::ACCMODE | flag::CREAT) != 0;
    match kind {
        Kind::Link => return Err(Errno::ELOOP),
        Kind::Directory if writes => return Err(Errno::EISDIR),
        _ => {}
    }
    fs.check(ino, &who(), rights(flags)).map_err(errno)?;
    if flags & flag::TRUNC != 0 && kind == Kind::File {
        fs.truncate(ino, 0, super::now()).map_err(errno)?;
    }
    Ok(kind)
}

/// A file without a name (`O_TMPFILE`).
fn unnamed(spot: &Spot, flags: u64, mode: u64) -> Result<Arc<OpenFile>, Errno> {
    if flags & flag::ACCMODE == 0 {
        return Err(Errno::EINVAL);
    }
    let directory = spot.node()?;
    let mut fs = spot.mount.fs.lock();
    if fs.attributes(directory).map_err(errno)?.kind != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    fs.check(directory, &who(), 3).map_err(errno)?;
    let ino = fs.make(Kind::File, b"", masked(mode), &who()).map_err(errno)?;
    drop(fs);
    let held = Arc::new(Held::new(spot.mount, ino));
    let path = [&spot.path(), b"/#".as_slice(), alloc::format!("{ino}").as_bytes()].concat();
    Ok(OpenFile::new(MemoryFile::new(held, path), flags & !flag::DIRECTORY))
}

/// Opens a file in memory anew.
pub(crate) fn reopen(held: &Held, flags: u64) -> Result<Arc<OpenFile>, Errno> {
    open(&Spot::of_node(held), args::uint(flags), 0)
}
