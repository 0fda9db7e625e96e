//! Names in memory: making, removing and renaming them.

use enclave_ephemeral::{Kind, Replace};
use enclave_hostcalls::Errno;

use super::{Spot, errno, open::masked, who};

pub(crate) fn make_directory(spot: &Spot, mode: u64) -> Result<u64, Errno> {
    let (parent, name, _) = spot.free()?;
    let mode = masked(mode & 0o1777);
    let mut fs = spot.mount.fs.lock();
    fs.create(parent, name, Kind::Directory, b"", mode, &who()).map_err(errno)?;
    Ok(0)
}

/// mknod(2): regular files and pipes; devices are nobody's, and sockets are the host's.
pub(crate) fn make_node(spot: &Spot, mode: u64) -> Result<u64, Errno> {
    const TYPE: u64 = 0o170_000;
    const REGULAR: u64 = 0o100_000;
    const PIPE: u64 = 0o010_000;
    let (parent, name, slash) = spot.free()?;
    let kind = match mode & TYPE {
        0 | REGULAR => Kind::File,
        PIPE => Kind::Pipe,
        _ => return Err(Errno::EPERM),
    };
    if slash {
        return Err(Errno::ENOENT);
    }
    let mut fs = spot.mount.fs.lock();
    fs.create(parent, name, kind, b"", masked(mode), &who()).map_err(errno)?;
    Ok(0)
}

pub(crate) fn symlink(target: &[u8], spot: &Spot) -> Result<u64, Errno> {
    if target.is_empty() {
        return Err(Errno::ENOENT);
    }
    let (parent, name, slash) = spot.free()?;
    if slash {
        return Err(Errno::ENOENT);
    }
    let mut fs = spot.mount.fs.lock();
    fs.create(parent, name, Kind::Link, target, 0o777, &who()).map_err(errno)?;
    Ok(0)
}

/// unlink(2), or rmdir(2) with `directory`.
pub(crate) fn remove(spot: &Spot, directory: bool) -> Result<u64, Errno> {
    let error = if directory { Errno::EBUSY } else { Errno::EISDIR };
    let (parent, name) = spot.named(error)?;
    spot.mount.fs.lock().unlink(parent, name, directory, &who()).map_err(errno)?;
    Ok(0)
}

pub(crate) fn link(old: &Spot, new: &Spot) -> Result<u64, Errno> {
    let ino = old.node()?;
    if !core::ptr::eq(old.mount, new.mount) {
        return Err(Errno::EXDEV);
    }
    let (parent, name, slash) = new.free()?;
    if slash {
        return Err(Errno::ENOENT);
    }
    old.mount.fs.lock().link(ino, parent, name, &who()).map_err(errno)?;
    Ok(0)
}

pub(crate) fn rename(old: &Spot, new: &Spot, flags: u64) -> Result<u64, Errno> {
    const NOREPLACE: u64 = 1;
    const EXCHANGE: u64 = 2;
    let replace = match flags {
        0 => Replace::Yes,
        NOREPLACE => Replace::No,
        EXCHANGE => Replace::Exchange,
        _ => return Err(Errno::EINVAL),
    };
    if !core::ptr::eq(old.mount, new.mount) {
        return Err(Errno::EXDEV);
    }
    let from = old.named(Errno::EBUSY)?;
    let (to, slash) = match new.free() {
        Ok((parent, name, slash)) => ((parent, name), slash),
        Err(_) => (new.named(Errno::EBUSY)?, false),
    };
    let mut fs = old.mount.fs.lock();
    if slash && fs.attributes(old.node()?).map_err(errno)?.kind != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    fs.rename(from, to, replace, &who()).map_err(errno)?;
    Ok(0)
}
