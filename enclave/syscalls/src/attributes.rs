//! Attributes of files: permissions, owners, times, sizes, access.

use alloc::vec::Vec;

use enclave_core::AppSlice;
use enclave_files::{flag, kind};
use enclave_hostcalls::{Errno, Wait};

use crate::{
    Sys,
    args::{
        self,
        Arg::{Int, MaybeIn, Str},
        forward, forward_zero, optional, uint, zero,
    },
    coherence, ephemeral, nr,
    path::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, Place, Target, at, at_or_file, place},
};

const AT_EACCESS: u64 = 0x200;

fn change_mode(target: &Target, mode: u64) -> Result<u64, Errno> {
    match target {
        Target::Host(at) => {
            forward_zero(nr::FCHMODAT, [Int(at.directory), Str(&at.path), Int(mode)])
        }
        Target::Memory(spot) => ephemeral::change_mode(spot, mode),
    }
}

pub(crate) fn chmod(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    change_mode(&at(AT_FDCWD, sys.args[0], true)?, sys.args[1])
}

pub(crate) fn fchmodat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    change_mode(&at(sys.args[0], sys.args[1], true)?, sys.args[2])
}

pub(crate) fn fchmodat2(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [directory, path, mode, flags, ..] = sys.args;
    let number = sys.regs.orig_rax;
    match at_or_file(directory, path, flags)? {
        Target::Host(at) => {
            forward_zero(number, [Int(at.directory), Str(&at.path), Int(mode), Int(flags)])
        }
        Target::Memory(spot) => ephemeral::change_mode(&spot, mode),
    }
}

pub(crate) fn fchmod(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, mode, ..] = sys.args;
    let file = args::file(fd)?;
    if let Some(spot) = ephemeral::opened(&file)? {
        return ephemeral::change_mode(&spot, mode);
    }
    let host = file.host().ok_or(Errno::EINVAL)?;
    forward_zero(nr::FCHMOD, [Int(host.number()), Int(mode)])
}

fn change_owner(target: &Target, user: u64, group: u64, flags: u64) -> Result<u64, Errno> {
    let at = match target {
        Target::Host(at) => at,
        Target::Memory(spot) => return ephemeral::change_owner(spot, user, group),
    };
    let args = [Int(at.directory), Str(&at.path), Int(user), Int(group), Int(flags)];
    forward_zero(nr::FCHOWNAT, args)
}

pub(crate) fn chown(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    change_owner(&at(AT_FDCWD, sys.args[0], true)?, sys.args[1], sys.args[2], 0)
}

pub(crate) fn lchown(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let at = at(AT_FDCWD, sys.args[0], false)?;
    change_owner(&at, sys.args[1], sys.args[2], AT_SYMLINK_NOFOLLOW)
}

pub(crate) fn fchownat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [directory, path, user, group, flags, _] = sys.args;
    change_owner(&at_or_file(directory, path, flags)?, user, group, flags)
}

pub(crate) fn fchown(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, user, group, ..] = sys.args;
    let file = args::file(fd)?;
    if let Some(spot) = ephemeral::opened(&file)? {
        return ephemeral::change_owner(&spot, user, group);
    }
    let host = file.host().ok_or(Errno::EINVAL)?;
    forward_zero(nr::FCHOWN, [Int(host.number()), Int(user), Int(group)])
}

/// `struct utimbuf` (seconds) or two `struct timeval`, as two `struct timespec`.
fn old_times(times: Option<AppSlice>) -> Result<Option<[[u64; 2]; 2]>, Errno> {
    let Some(times) = times else { return Ok(None) };
    let words = words(times)?;
    let micro = |seconds, micro: u64| match micro {
        0..1_000_000 => Ok([seconds, micro * 1000]),
        _ => Err(Errno::EINVAL),
    };
    match words[..] {
        [access, modify] => Ok(Some([[access, 0], [modify, 0]])),
        [access, access_micro, modify, modify_micro] => {
            Ok(Some([micro(access, access_micro)?, micro(modify, modify_micro)?]))
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Two `struct timespec`.
fn new_times(times: Option<AppSlice>) -> Result<Option<[[u64; 2]; 2]>, Errno> {
    let Some(times) = times else { return Ok(None) };
    match words(times)?[..] {
        [access, access_nano, modify, modify_nano] => {
            Ok(Some([[access, access_nano], [modify, modify_nano]]))
        }
        _ => Err(Errno::EINVAL),
    }
}

fn words(slice: AppSlice) -> Result<Vec<u64>, Errno> {
    let bytes = slice.to_vec()?;
    Ok(bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect())
}

/// utime and utimes: a path and times of `size` bytes, or none.
fn set_times(sys: &Sys<'_>, size: u64) -> Result<u64, Errno> {
    let times = optional(sys.args[1], size)?;
    match at(AT_FDCWD, sys.args[0], true)? {
        Target::Host(at) => forward_zero(sys.regs.orig_rax, [Str(&at.path), MaybeIn(times)]),
        Target::Memory(spot) => ephemeral::change_times(&spot, old_times(times)?),
    }
}

pub(crate) fn utime(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    set_times(sys, 16)
}

pub(crate) fn utimes(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    set_times(sys, 32)
}

pub(crate) fn futimesat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [directory, path, times, ..] = sys.args;
    let times = optional(times, 32)?;
    let number = sys.regs.orig_rax;
    if path == 0 {
        let file = args::file(directory)?;
        if let Some(spot) = ephemeral::opened(&file)? {
            return ephemeral::change_times(&spot, old_times(times)?);
        }
        let host = file.host().ok_or(Errno::EINVAL)?;
        return forward_zero(number, [Int(host.number()), Int(0), MaybeIn(times)]);
    }
    match at(directory, path, true)? {
        Target::Host(at) => {
            forward_zero(number, [Int(at.directory), Str(&at.path), MaybeIn(times)])
        }
        Target::Memory(spot) => ephemeral::change_times(&spot, old_times(times)?),
    }
}

pub(crate) fn utimensat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [directory, path, times, flags, ..] = sys.args;
    let times = optional(times, 32)?;
    if path == 0 {
        let file = args::file(directory)?;
        if let Some(spot) = ephemeral::opened(&file)? {
            return ephemeral::change_times(&spot, new_times(times)?);
        }
        let Some(host) = file.host() else { return Ok(0) };
        let args = [Int(host.number()), Int(0), MaybeIn(times), Int(flags)];
        return forward_zero(nr::UTIMENSAT, args);
    }
    let at = match at_or_file(directory, path, flags)? {
        Target::Host(at) => at,
        Target::Memory(spot) => return ephemeral::change_times(&spot, new_times(times)?),
    };
    forward_zero(nr::UTIMENSAT, [Int(at.directory), Str(&at.path), MaybeIn(times), Int(flags)])
}

pub(crate) fn truncate(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [path, size, ..] = sys.args;
    let target = at(AT_FDCWD, path, true)?;
    coherence::cutting_any(|| match target {
        Target::Host(at) => forward_zero(nr::TRUNCATE, [Str(&at.path), Int(size)]),
        Target::Memory(spot) => ephemeral::truncate(&spot, size, true),
    })
}

pub(crate) fn ftruncate(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, size, ..] = sys.args;
    let file = args::file(fd)?;
    if let Some(spot) = ephemeral::opened(&file)? {
        if file.status() & flag::ACCMODE == 0 {
            return Err(Errno::EINVAL);
        }
        return coherence::resizing(&file, size, || ephemeral::truncate(&spot, size, false));
    }
    let host = file.host().ok_or(Errno::EINVAL)?;
    let args = [Int(host.number()), Int(size)];
    coherence::resizing(&file, size, || forward_zero(nr::FTRUNCATE, args))
}

pub(crate) fn fallocate(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, mode, offset, len, ..] = sys.args;
    let file = args::file(fd)?;
    if let Some(held) = ephemeral::of(&file)
        && file.stat()?.kind() != kind::PIPE
    {
        if file.status() & flag::ACCMODE == 0 {
            return Err(Errno::EBADF);
        }
        let allocate = || ephemeral::fallocate(held, mode, offset, len);
        return coherence::allocating(&file, [mode, offset, len], allocate);
    }
    let Some(host) = file.host() else {
        return Err(if file.stat()?.kind() == kind::PIPE { Errno::ESPIPE } else { Errno::ENODEV });
    };
    let args = [Int(host.number()), Int(mode), Int(offset), Int(len)];
    let allocate = || zero(forward(nr::FALLOCATE, Wait::Maybe, args)?);
    coherence::allocating(&file, [mode, offset, len], allocate)
}

/// What access(2) says of something that exists inside: nothing of it can be executed except by
/// searching a directory.
fn access_inside(permissions: u32, wanted: u64) -> Result<u64, Errno> {
    let granted = u64::from(permissions & 7);
    if wanted & 7 & !granted == 0 { Ok(0) } else { Err(Errno::EACCES) }
}

fn check_access(directory: u64, path: u64, mode: u64, flags: u64) -> Result<u64, Errno> {
    let nofollow = flags & AT_SYMLINK_NOFOLLOW != 0;
    let known = flags & !(AT_SYMLINK_NOFOLLOW | AT_EACCESS | AT_EMPTY_PATH) == 0;
    if !known || uint(mode) & !7 != 0 {
        return Err(Errno::EINVAL);
    }
    let target = if flags & AT_EMPTY_PATH != 0 {
        at_or_file(directory, path, flags)?
    } else {
        match place(directory, path, !nofollow)? {
            Place::Host(at) => Target::Host(at),
            Place::Memory(spot) => Target::Memory(spot),
            Place::Inside(node) => return access_inside(node.stat()?.mode, mode),
        }
    };
    let at = match target {
        Target::Host(at) => at,
        Target::Memory(spot) => return ephemeral::access(&spot, mode),
    };
    let (directory, path) = (Int(at.directory), Str(&at.path));
    match flags {
        0 => forward_zero(nr::FACCESSAT, [directory, path, Int(mode)]),
        _ => forward_zero(nr::FACCESSAT2, [directory, path, Int(mode), Int(flags)]),
    }
}

pub(crate) fn access(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    check_access(AT_FDCWD, sys.args[0], sys.args[1], 0)
}

pub(crate) fn faccessat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    check_access(sys.args[0], sys.args[1], sys.args[2], 0)
}

pub(crate) fn faccessat2(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    check_access(sys.args[0], sys.args[1], sys.args[2], uint(sys.args[3]))
}

pub(crate) fn umask(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let old = args::at_most(forward(nr::UMASK, Wait::No, [Int(sys.args[0])])?, 0o777)?;
    ephemeral::umask(sys.args[0]);
    Ok(old)
}

/// `struct statfs` in bytes.
const STATFS_SIZE: u64 = 120;

pub(crate) fn statfs(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let out = args::Arg::Out(AppSlice::new(sys.args[1], STATFS_SIZE)?);
    match place(AT_FDCWD, sys.args[0], true)? {
        Place::Host(at) => forward_zero(nr::STATFS, [Str(&at.path), out]),
        Place::Memory(spot) => {
            spot.node()?;
            ephemeral::give_statfs(spot.mount, sys.args[1])
        }
        Place::Inside(node) => forward_zero(nr::STATFS, [Str(node.file_system()), out]),
    }
}

pub(crate) fn fstatfs(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let file = args::file(sys.args[0])?;
    if let Some(held) = ephemeral::of(&file) {
        return ephemeral::give_statfs(held.mount, sys.args[1]);
    }
    let out = args::Arg::Out(AppSlice::new(sys.args[1], STATFS_SIZE)?);
    match file.host() {
        Some(host) => forward_zero(nr::FSTATFS, [Int(host.number()), out]),
        None => forward_zero(nr::STATFS, [Str(b"/proc"), out]),
    }
}
