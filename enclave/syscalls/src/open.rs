//! Opening and closing files.

use alloc::{sync::Arc, vec::Vec};

use enclave_core::{AppSlice, to_usize};
use enclave_files::{HostFd, HostFile, OpenFile, flag, kind, table};
use enclave_hostcalls::{Call, Errno, Wait};

use crate::{
    Sys,
    args::{self, uint},
    coherence,
    descriptor::released,
    ephemeral::{self, Spot},
    nr,
    path::{AT_FDCWD, At, Place, place, resolved},
    procfs,
};

/// Whether the path is followed at its end.
fn follows(flags: u64) -> bool {
    const NEVER: u64 = flag::CREAT | flag::EXCL;
    flags & flag::NOFOLLOW == 0 && flags & NEVER != NEVER
}

fn open_path(directory: u64, path: u64, flags: u64, mode: u64) -> Result<u64, Errno> {
    let flags = uint(flags);
    let close_on_exec = flags & flag::CLOEXEC != 0;
    let file = match place(directory, path, follows(flags))? {
        Place::Inside(node) => node.open(flags | flag::LARGEFILE)?,
        Place::Memory(spot) => open_in_memory(&spot, flags, mode)?,
        Place::Host(at) => {
            let file = with_cut(flags, || open_on_host(&at, flags, mode))?;
            OpenFile::new(file, flags)
        }
    };
    table().insert(file, close_on_exec)
}

fn open_on_host(at: &At, flags: u64, mode: u64) -> Result<HostFile, Errno> {
    let At { directory, path, .. } = at;
    let special = procfs::may_be_special(path);
    if !special && let Some(file) = HostFile::open_and_read(*directory, path, flags) {
        return file;
    }
    // Staging memory is not aligned as direct transfers need it.
    let fd = HostFd::open_at(*directory, path, flags & !flag::DIRECT, mode)?;
    let file = host_file(fd, path, flags);
    Ok(if special { file } else { file.opened_at(*directory, path, flags) })
}

fn open_in_memory(spot: &Spot, flags: u64, mode: u64) -> Result<Arc<OpenFile>, Errno> {
    with_cut(flags, || ephemeral::open(spot, flags | flag::LARGEFILE, mode))
}

/// Opens a file, which cuts one that may be mapped if the flags say so.
fn with_cut<T>(flags: u64, open: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    if flags & flag::TRUNC != 0 { coherence::cutting_any(open) } else { open() }
}

/// Remembers the path only where it may matter.
fn host_file(fd: HostFd, path: &[u8], flags: u64) -> HostFile {
    let path = if procfs::may_be_special(path) { path } else { b"" };
    if flags & flag::TMPFILE != flag::TMPFILE && flags & flag::DIRECTORY != 0 && path.is_empty() {
        return HostFile::of_kind(fd, kind::DIRECTORY);
    }
    HostFile::new(fd, path)
}

pub(crate) fn open(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [path, flags, mode, ..] = sys.args;
    open_path(AT_FDCWD, path, flags, mode)
}

pub(crate) fn openat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [directory, path, flags, mode, ..] = sys.args;
    open_path(directory, path, flags, mode)
}

pub(crate) fn creat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let flags = flag::CREAT | flag::WRONLY | flag::TRUNC;
    open_path(AT_FDCWD, sys.args[0], flags, sys.args[1])
}

/// `struct open_how`: flags, mode, resolve.
const OPEN_HOW: u64 = 24;

/// Whether openat2(2) takes such flags and modes: unlike open(2), it refuses what it does not know.
fn is_strict(flags: u64, mode: u64) -> bool {
    const KNOWN: u64 = 0o37_777_703;
    let makes = flags & flag::CREAT != 0 || flags & flag::TMPFILE == flag::TMPFILE;
    flags & !KNOWN == 0 && mode & !0o7777 == 0 && (makes || mode == 0)
}

pub(crate) fn openat2(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [directory, path, how, size, ..] = sys.args;
    if size < OPEN_HOW {
        return Err(Errno::EINVAL);
    }
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    let bytes = AppSlice::new(how, size)?.to_vec()?;
    let (words, rest) = bytes.split_at(to_usize(OPEN_HOW));
    if rest.iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG);
    }
    let word = |index: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&words[index * 8..index * 8 + 8]);
        u64::from_le_bytes(word)
    };
    let (flags, mode, resolve) = (word(0), word(1), word(2));
    let at = match resolved(directory, path, follows(flags), resolve)? {
        Place::Host(at) => at,
        Place::Inside(_) | Place::Memory(_) if !is_strict(flags, mode) => {
            return Err(Errno::EINVAL);
        }
        Place::Memory(spot) => {
            let file = open_in_memory(&spot, flags, mode)?;
            return table().insert(file, flags & flag::CLOEXEC != 0);
        }
        Place::Inside(node) => {
            let file = node.open(flags | flag::LARGEFILE)?;
            return table().insert(file, flags & flag::CLOEXEC != 0);
        }
    };
    let mut call = Call::new(nr::OPENAT2, at.path.len() as u64 + 8 + OPEN_HOW)?;
    let staged = call.cstr(&at.path);
    let how = call.room(OPEN_HOW);
    how.word(0).write(flags & !flag::DIRECT | flag::CLOEXEC);
    how.word(1).write(mode);
    how.word(2).write(resolve);
    call.args([at.directory, staged, how.address(), OPEN_HOW]);
    let fd = HostFd::adopt(with_cut(flags, || call.descriptor(Wait::Maybe))?);
    let file = OpenFile::new(host_file(fd, &at.path, flags), flags);
    table().insert(file, flags & flag::CLOEXEC != 0)
}

pub(crate) fn close(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let file = table().remove(sys.args[0])?;
    // The descriptor is closed whatever comes of it.
    let settled = file.settle();
    released([file]);
    settled.map(|()| 0)
}

pub(crate) fn close_range(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const UNSHARE: u64 = 2;
    const CLOEXEC: u64 = 4;
    let [first, last, flags, ..] = sys.args;
    let (first, last) = (uint(first), uint(last));
    if uint(flags) & !(UNSHARE | CLOEXEC) != 0 || first > last {
        return Err(Errno::EINVAL);
    }
    if flags & CLOEXEC == 0 {
        released(table().remove_range(first, last));
        return Ok(0);
    }
    let numbers: Vec<u64> = table().numbers();
    for fd in numbers.into_iter().filter(|fd| (first..=last).contains(fd)) {
        // One that another thread closed meanwhile needs no mark.
        let _ = table().set_close_on_exec(fd, true);
    }
    Ok(0)
}

pub(crate) fn memfd_create(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const CLOEXEC: u64 = 1;
    const NAME_LIMIT: usize = 249;
    let [name, flags, ..] = sys.args;
    let name = args::path(name)?;
    if name.len() > NAME_LIMIT {
        return Err(Errno::EINVAL);
    }
    let mut call = Call::new(nr::MEMFD_CREATE, name.len() as u64 + 8)?;
    let staged = call.cstr(&name);
    call.args([staged, uint(flags) | CLOEXEC]);
    let fd = HostFd::adopt(call.descriptor(Wait::No)?);
    let file = OpenFile::new(HostFile::of_kind(fd, kind::REGULAR), flag::RDWR);
    table().insert(file, flags & CLOEXEC != 0)
}
