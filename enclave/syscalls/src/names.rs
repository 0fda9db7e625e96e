//! Names in directories: making, removing and renaming them.

use enclave_core::{AppSlice, to_usize};
use enclave_hostcalls::{Errno, Wait};

use crate::{
    Sys,
    args::{
        self,
        Arg::{Int, Str},
        forward, forward_zero, int, uint, zero,
    },
    ephemeral, nr,
    path::{
        AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, Place, Target, at,
        at_or_file, place,
    },
};

const AT_REMOVEDIR: u64 = 0x200;
const PATH_MAX: u64 = 4096;

fn make_directory(directory: u64, path: u64, mode: u64) -> Result<u64, Errno> {
    match at(directory, path, false)? {
        Target::Host(at) => {
            forward_zero(nr::MKDIRAT, [Int(at.directory), Str(&at.path), Int(mode)])
        }
        Target::Memory(spot) => ephemeral::make_directory(&spot, mode),
    }
}

pub(crate) fn mkdir(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    make_directory(AT_FDCWD, sys.args[0], sys.args[1])
}

pub(crate) fn mkdirat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    make_directory(sys.args[0], sys.args[1], sys.args[2])
}

fn make_node(directory: u64, path: u64, mode: u64, device: u64) -> Result<u64, Errno> {
    let at = match at(directory, path, false)? {
        Target::Host(at) => at,
        Target::Memory(spot) => return ephemeral::make_node(&spot, mode),
    };
    forward_zero(nr::MKNODAT, [Int(at.directory), Str(&at.path), Int(mode), Int(device)])
}

pub(crate) fn mknod(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    make_node(AT_FDCWD, sys.args[0], sys.args[1], sys.args[2])
}

pub(crate) fn mknodat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    make_node(sys.args[0], sys.args[1], sys.args[2], sys.args[3])
}

fn remove(directory: u64, path: u64, flags: u64) -> Result<u64, Errno> {
    match at(directory, path, false)? {
        Target::Host(at) => {
            forward_zero(nr::UNLINKAT, [Int(at.directory), Str(&at.path), Int(flags)])
        }
        Target::Memory(spot) => {
            let directory = uint(flags) & AT_REMOVEDIR != 0;
            let path = args::path(path)?;
            match path.rsplit(|&byte| byte == b'/').find(|part| !part.is_empty()) {
                _ if uint(flags) & !AT_REMOVEDIR != 0 => Err(Errno::EINVAL),
                Some(b".") if directory => Err(Errno::EINVAL),
                Some(b"..") if directory => Err(Errno::ENOTEMPTY),
                _ => ephemeral::remove(&spot, directory),
            }
        }
    }
}

pub(crate) fn unlink(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    remove(AT_FDCWD, sys.args[0], 0)
}

pub(crate) fn rmdir(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    remove(AT_FDCWD, sys.args[0], AT_REMOVEDIR)
}

pub(crate) fn unlinkat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    remove(sys.args[0], sys.args[1], sys.args[2])
}

fn rename_at(old: (u64, u64), new: (u64, u64), flags: u64) -> Result<u64, Errno> {
    let (old, new) = match (at(old.0, old.1, false)?, at(new.0, new.1, false)?) {
        (Target::Host(old), Target::Host(new)) => (old, new),
        (Target::Memory(old), Target::Memory(new)) => return ephemeral::rename(&old, &new, flags),
        _ => return Err(Errno::EXDEV),
    };
    let args = [Int(old.directory), Str(&old.path), Int(new.directory), Str(&new.path), Int(flags)];
    zero(forward(nr::RENAMEAT2, Wait::No, args)?)
}

pub(crate) fn rename(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    rename_at((AT_FDCWD, sys.args[0]), (AT_FDCWD, sys.args[1]), 0)
}

pub(crate) fn renameat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [old_directory, old, new_directory, new, ..] = sys.args;
    rename_at((old_directory, old), (new_directory, new), 0)
}

pub(crate) fn renameat2(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [old_directory, old, new_directory, new, flags, _] = sys.args;
    rename_at((old_directory, old), (new_directory, new), flags)
}

fn link_at(old: (u64, u64), new: (u64, u64), flags: u64) -> Result<u64, Errno> {
    if uint(flags) & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let nofollow = if flags & AT_SYMLINK_FOLLOW == 0 { AT_SYMLINK_NOFOLLOW } else { 0 };
    let old = at_or_file(old.0, old.1, flags & AT_EMPTY_PATH | nofollow)?;
    let (old, new) = match (old, at(new.0, new.1, false)?) {
        (Target::Host(old), Target::Host(new)) => (old, new),
        (Target::Memory(old), Target::Memory(new)) => return ephemeral::link(&old, &new),
        _ => return Err(Errno::EXDEV),
    };
    let args = [Int(old.directory), Str(&old.path), Int(new.directory), Str(&new.path), Int(flags)];
    forward_zero(nr::LINKAT, args)
}

pub(crate) fn link(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    link_at((AT_FDCWD, sys.args[0]), (AT_FDCWD, sys.args[1]), 0)
}

pub(crate) fn linkat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [old_directory, old, new_directory, new, flags, _] = sys.args;
    link_at((old_directory, old), (new_directory, new), flags)
}

fn symlink_at(target: u64, directory: u64, path: u64) -> Result<u64, Errno> {
    let target = args::path(target)?;
    match at(directory, path, false)? {
        Target::Host(at) => {
            forward_zero(nr::SYMLINKAT, [Str(&target), Int(at.directory), Str(&at.path)])
        }
        Target::Memory(spot) => ephemeral::symlink(&target, &spot),
    }
}

pub(crate) fn symlink(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    symlink_at(sys.args[0], AT_FDCWD, sys.args[1])
}

pub(crate) fn symlinkat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    symlink_at(sys.args[0], sys.args[1], sys.args[2])
}

fn read_link(directory: u64, path: u64, buffer: u64, size: u64) -> Result<u64, Errno> {
    let size = u64::try_from(int(size)).ok().filter(|&size| size > 0).ok_or(Errno::EINVAL)?;
    let buffer = AppSlice::new(buffer, size.min(PATH_MAX))?;
    let empty = args::path(path)?.is_empty();
    let target = if empty && int(directory) != int(AT_FDCWD) {
        at_or_file(directory, path, AT_EMPTY_PATH)?
    } else {
        match place(directory, path, false)? {
            Place::Host(at) => Target::Host(at),
            Place::Memory(spot) => Target::Memory(spot),
            Place::Inside(node) => return give(buffer, &node.target().ok_or(Errno::EINVAL)?),
        }
    };
    let at = match target {
        Target::Host(at) => at,
        Target::Memory(spot) => return give(buffer, &spot.target()?),
    };
    let args = [Int(at.directory), Str(&at.path), args::Arg::Counted(buffer), Int(buffer.len())];
    forward(nr::READLINKAT, Wait::No, args)
}

fn give(buffer: AppSlice, target: &[u8]) -> Result<u64, Errno> {
    let len = buffer.len().min(target.len() as u64);
    buffer.write_bytes(&target[..to_usize(len)])?;
    Ok(len)
}

pub(crate) fn readlink(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    read_link(AT_FDCWD, sys.args[0], sys.args[1], sys.args[2])
}

pub(crate) fn readlinkat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    read_link(sys.args[0], sys.args[1], sys.args[2], sys.args[3])
}
