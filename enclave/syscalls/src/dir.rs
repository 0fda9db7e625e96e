//! Directories: their entries, and the current one.

use alloc::{vec, vec::Vec};

use enclave_core::{AppSlice, to_usize};
use enclave_descriptors::dirent::{Format, check, write};
use enclave_files::OpenFile;
use enclave_hostcalls::{Call, Errno, Wait, misbehaved};

use crate::{
    Sys,
    args::{
        self,
        Arg::{Int, Str},
        forward_zero, uint,
    },
    ephemeral, nr,
    path::{AT_FDCWD, Place, place, special_directory},
    procfs,
};

/// Most bytes that the host is asked for at once.
const LIMIT: u64 = 1 << 18;

fn entries_of_host(number: u64, host: u64, out: AppSlice, format: Format) -> Result<u64, Errno> {
    let room = out.len().min(LIMIT);
    let mut call = Call::new(number, room)?;
    let buffer = call.room(room);
    call.args([host, buffer.address(), room]);
    let count = call.count(Wait::No, room)?;
    let mut bytes = vec![0; to_usize(count)];
    buffer.read_bytes(&mut bytes);
    if check(&bytes, format, |_| {}).is_err() {
        misbehaved("the host misbehaved: a directory entry that cannot exist");
    }
    out.write_bytes(&bytes)?;
    Ok(count)
}

fn entries_inside(file: &OpenFile, out: AppSlice, format: Format) -> Result<u64, Errno> {
    const SEEK_SET: u64 = 0;
    const SEEK_CUR: u64 = 1;
    let mut position = file.seek(0, SEEK_CUR)?;
    let entries = file.list(position)?;
    let mut bytes = Vec::new();
    for (entry, next) in &entries {
        let before = bytes.len();
        write(&mut bytes, entry, *next, format);
        if bytes.len() as u64 > out.len() {
            bytes.truncate(before);
            break;
        }
        position = *next;
    }
    if bytes.is_empty() && !entries.is_empty() {
        return Err(Errno::EINVAL);
    }
    out.write_bytes(&bytes)?;
    file.seek(position, SEEK_SET)?;
    Ok(bytes.len() as u64)
}

fn entries(sys: &Sys<'_>, number: u64, format: Format) -> Result<u64, Errno> {
    let [fd, buffer, len, ..] = sys.args;
    let file = args::file(fd)?;
    let out = AppSlice::new(buffer, uint(len))?;
    match file.host() {
        Some(host) => entries_of_host(number, host.number(), out, format),
        None => entries_inside(&file, out, format),
    }
}

pub(crate) fn getdents64(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    entries(sys, nr::GETDENTS64, Format::New)
}

pub(crate) fn getdents(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    entries(sys, nr::GETDENTS, Format::Old)
}

pub(crate) fn chdir(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let at = match place(AT_FDCWD, sys.args[0], true)? {
        Place::Host(at) => at,
        Place::Memory(spot) => return ephemeral::change_directory(Some(&spot)).map(|()| 0),
        Place::Inside(_) => return Err(Errno::EACCES),
    };
    if at.directory != AT_FDCWD {
        return Err(Errno::EACCES);
    }
    forward_zero(nr::CHDIR, [Str(&at.path)])?;
    ephemeral::change_directory(None)?;
    procfs::changed_directory(&at.path);
    Ok(0)
}

pub(crate) fn fchdir(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let file = args::file(sys.args[0])?;
    if let Some(spot) = ephemeral::spot_of(&file) {
        return ephemeral::change_directory(Some(&spot)).map(|()| 0);
    }
    let host = file.host().ok_or(Errno::EACCES)?;
    ephemeral::change_directory(None)?;
    forward_zero(nr::FCHDIR, [Int(host.number())])?;
    procfs::changed_directory(special_directory(&file).unwrap_or(b"/"));
    Ok(0)
}

/// Longest path that getcwd(2) returns, with its NUL.
const PATH_MAX: u64 = 4096;

/// The current directory, in memory or as the host says, without a NUL.
pub(crate) fn current() -> Result<Vec<u8>, Errno> {
    if let Some(path) = ephemeral::current_directory() {
        return path;
    }
    let mut call = Call::new(nr::GETCWD, PATH_MAX)?;
    let buffer = call.room(PATH_MAX);
    let len = call.args([buffer.address(), PATH_MAX]).count(Wait::No, PATH_MAX)?;
    let mut path = vec![0; to_usize(len)];
    buffer.read_bytes(&mut path);
    if path.pop() != Some(0) || path.is_empty() || path.contains(&0) {
        misbehaved("the host misbehaved: a current directory that cannot be");
    }
    Ok(path)
}

pub(crate) fn getcwd(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let mut path = current()?;
    path.push(0);
    let len = path.len() as u64;
    if len > sys.args[1] {
        return Err(Errno::ERANGE);
    }
    AppSlice::new(sys.args[0], len)?.write_bytes(&path)?;
    Ok(len)
}
