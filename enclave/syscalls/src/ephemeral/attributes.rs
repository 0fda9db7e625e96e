//! Attributes of what is in memory: permissions, owners, times, sizes, access, names of users.

use alloc::vec::Vec;

use enclave_core::{AppPtr, AppSlice, to_usize};
use enclave_ephemeral::{BLOCK, Contents};
use enclave_files::Stat;
use enclave_hostcalls::Errno;

use super::{Held, Mount, Spot, errno, file, now, who};
use crate::limits;

impl Spot {
    /// What stat(2) says.
    pub(crate) fn stat(&self) -> Result<Stat, Errno> {
        let node = self.mount.fs.lock().attributes(self.node()?).map_err(errno)?;
        Ok(file::stat(self.mount.device, &node))
    }

    /// Where a symbolic link leads.
    pub(crate) fn target(&self) -> Result<Vec<u8>, Errno> {
        let ino = self.node()?;
        Ok(self.mount.fs.lock().target(ino).map_err(errno)?.to_vec())
    }
}

pub(crate) fn change_mode(spot: &Spot, mode: u64) -> Result<u64, Errno> {
    let mode = u32::try_from(mode & 0o7777).unwrap_or(0);
    spot.mount.fs.lock().set_mode(spot.node()?, mode, &who()).map_err(errno)?;
    Ok(0)
}

pub(crate) fn change_owner(spot: &Spot, user: u64, group: u64) -> Result<u64, Errno> {
    let id = |arg: u64| u32::try_from(arg & 0xffff_ffff).ok().filter(|&id| id != u32::MAX);
    let mut fs = spot.mount.fs.lock();
    fs.set_owner(spot.node()?, id(user), id(group), &who()).map_err(errno)?;
    Ok(0)
}

/// utimensat(2) with two `struct timespec`, or the present.
pub(crate) fn change_times(spot: &Spot, times: Option<[[u64; 2]; 2]>) -> Result<u64, Errno> {
    const NOW: u64 = 0x3fff_ffff;
    const OMIT: u64 = 0x3fff_fffe;
    let present = now();
    let [access, modify] = times.unwrap_or([[0, NOW]; 2]);
    let time = |time: [u64; 2]| match time[1] {
        NOW => Ok(Some(present)),
        OMIT => Ok(None),
        0..=999_999_999 => Ok(Some(time)),
        _ => Err(Errno::EINVAL),
    };
    let both_now = access[1] == NOW && modify[1] == NOW;
    let (access, modify) = (time(access)?, time(modify)?);
    if access.is_none() && modify.is_none() {
        return spot.node().map(|_| 0);
    }
    let mut fs = spot.mount.fs.lock();
    fs.set_times(spot.node()?, access, modify, both_now, &who()).map_err(errno)?;
    Ok(0)
}

pub(crate) fn access(spot: &Spot, mode: u64) -> Result<u64, Errno> {
    let wanted = u32::try_from(mode & 7).unwrap_or(0);
    spot.mount.fs.lock().check(spot.node()?, &who(), wanted).map_err(errno)?;
    Ok(0)
}

/// Cuts or extends; with `check`, only if the process may write.
pub(crate) fn truncate(spot: &Spot, size: u64, check: bool) -> Result<u64, Errno> {
    let size = i64::try_from(size).map_err(|_| Errno::EINVAL)?.unsigned_abs();
    let ino = spot.node()?;
    let mut fs = spot.mount.fs.lock();
    let before = fs.contents(ino).map_err(errno)?.size();
    if check {
        fs.check(ino, &who(), 2).map_err(errno)?;
    }
    may_grow(before, size)?;
    fs.truncate(ino, size, now()).map_err(errno)?;
    Ok(0)
}

/// Whether a file of that size may get another.
fn may_grow(from: u64, to: u64) -> Result<(), Errno> {
    if to > from && to > limits::file_size() { Err(Errno::EFBIG) } else { Ok(()) }
}

pub(crate) fn fallocate(held: &Held, mode: u64, offset: u64, len: u64) -> Result<u64, Errno> {
    const KEEP_SIZE: u64 = 1;
    const PUNCH_HOLE: u64 = 2;
    const ZERO_RANGE: u64 = 0x10;
    let signed = |value: u64| i64::try_from(value).is_ok();
    if !signed(offset) || !signed(len) || len == 0 {
        return Err(Errno::EINVAL);
    }
    let end = offset + len;
    if end > Contents::MAX_SIZE {
        return Err(Errno::EFBIG);
    }
    let mut fs = held.mount.fs.lock();
    let grow = mode & KEEP_SIZE == 0;
    if grow {
        may_grow(fs.contents(held.ino).map_err(errno)?.size(), end)?;
    }
    match mode & !KEEP_SIZE {
        0 => fs.allocate(held.ino, offset, end, grow, now()).map_err(errno)?,
        PUNCH_HOLE if !grow => fs.punch(held.ino, offset, end, now()).map_err(errno)?,
        ZERO_RANGE => {
            fs.punch(held.ino, offset, end, now()).map_err(errno)?;
            fs.allocate(held.ino, offset, end, grow, now()).map_err(errno)?;
        }
        _ => return Err(Errno::EOPNOTSUPP),
    }
    Ok(0)
}

/// `struct statfs`.
pub(crate) fn give_statfs(mount: &Mount, out: u64) -> Result<u64, Errno> {
    const TMPFS: u64 = 0x0102_1994;
    const NAME_MAX: u64 = 255;
    let (names, (used, blocks)) = {
        let fs = mount.fs.lock();
        (fs.names(), fs.usage())
    };
    let free = blocks.saturating_sub(used);
    let names_free = blocks.saturating_sub(names);
    let block = BLOCK as u64;
    let statfs =
        [TMPFS, block, blocks, free, free, blocks, names_free, mount.device, NAME_MAX, block, 0];
    AppPtr::new(out).write(&statfs)?;
    AppSlice::new(out + 88, 32)?.zero()?;
    Ok(0)
}

/// Extended attributes: names that users may give.
pub(crate) mod extended {
    use super::{AppSlice, Errno, Spot, Vec, errno, to_usize, who};

    /// Largest value in bytes.
    const SIZE_MAX: u64 = 64 << 10;

    fn check(name: &[u8]) -> Result<(), Errno> {
        let known = [b"user.".as_slice(), b"trusted.", b"security."];
        let known =
            known.iter().any(|prefix| name.starts_with(prefix) && name.len() > prefix.len());
        if known { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
    }

    pub(crate) fn set(spot: &Spot, name: &[u8], value: AppSlice, flags: u64) -> Result<u64, Errno> {
        const CREATE: u64 = 1;
        const REPLACE: u64 = 2;
        check(name)?;
        let exists = match flags {
            0 => None,
            CREATE => Some(false),
            REPLACE => Some(true),
            _ => return Err(Errno::EINVAL),
        };
        if value.len() > SIZE_MAX {
            return Err(Errno::E2BIG);
        }
        let value = value.to_vec()?;
        let mut fs = spot.mount.fs.lock();
        fs.set_extended(spot.node()?, name, Some(&value), exists, &who()).map_err(errno)?;
        Ok(0)
    }

    /// Gives the program bytes if it has room; with size zero it only wants to know how many.
    fn give(bytes: &[u8], out: u64, size: u64) -> Result<u64, Errno> {
        let len = bytes.len() as u64;
        if size == 0 {
            return Ok(len);
        }
        if size < len {
            return Err(Errno::ERANGE);
        }
        AppSlice::new(out, len)?.write_bytes(&bytes[..to_usize(len)])?;
        Ok(len)
    }

    pub(crate) fn get(spot: &Spot, name: &[u8], out: u64, size: u64) -> Result<u64, Errno> {
        check(name)?;
        let value = {
            let fs = spot.mount.fs.lock();
            fs.extended(spot.node()?).map_err(errno)?.get(name).cloned()
        };
        give(&value.ok_or(Errno::ENODATA)?, out, size)
    }

    pub(crate) fn list(spot: &Spot, out: u64, size: u64) -> Result<u64, Errno> {
        let names: Vec<u8> = {
            let fs = spot.mount.fs.lock();
            let names = fs.extended(spot.node()?).map_err(errno)?.keys();
            names.flat_map(|name| [name.as_slice(), b"\0"].concat()).collect()
        };
        give(&names, out, size)
    }

    pub(crate) fn remove(spot: &Spot, name: &[u8]) -> Result<u64, Errno> {
        check(name)?;
        let mut fs = spot.mount.fs.lock();
        fs.set_extended(spot.node()?, name, None, Some(true), &who()).map_err(errno)?;
        Ok(0)
    }
}
