//! Directories: their entries, and the current one.

use alloc::{vec, vec::Vec};

use enclave_core::{AppSlice, to_usize};
use enclave_files::{DirEntry, OpenFile};
use enclave_hostcalls::{Call, Errno, Wait, misbehaved};

use crate::{
    Sys,
    args::{
        self,
        Arg::{Int, Str},
        forward_zero, uint,
    },
    nr,
    path::{AT_FDCWD, Place, place, special_directory},
    procfs,
};

/// Bytes before the name of `struct linux_dirent64`.
const HEAD: usize = 19;
/// Bytes before the name of `struct linux_dirent`.
const OLD_HEAD: usize = 18;
/// Most bytes that the host is asked for at once.
const LIMIT: u64 = 1 << 18;

/// Checks the host's chain of entries: each inside of the buffer, its name ended by a NUL inside.
fn check_chain(mut bytes: &[u8], head: usize) {
    const NAME_MAX: usize = 255;
    while !bytes.is_empty() {
        let len = match bytes.get(16..18) {
            Some(&[low, high]) => usize::from(u16::from_le_bytes([low, high])),
            _ => 0,
        };
        let name = bytes.get(head..len).unwrap_or_default();
        let end = name.iter().take(NAME_MAX + 1).position(|&byte| byte == 0);
        let good = end.is_some_and(|end| end > 0 && !name[..end].contains(&b'/'));
        if !good || !len.is_multiple_of(8) {
            misbehaved("the host misbehaved: a directory entry that cannot exist");
        }
        bytes = &bytes[len..];
    }
}

fn entries_of_host(number: u64, host: u64, out: AppSlice, head: usize) -> Result<u64, Errno> {
    let room = out.len().min(LIMIT);
    let mut call = Call::new(number, room)?;
    let buffer = call.room(room);
    call.args([host, buffer.address(), room]);
    let count = call.count(Wait::No, room)?;
    let mut bytes = vec![0; to_usize(count)];
    buffer.read_bytes(&mut bytes);
    check_chain(&bytes, head);
    out.write_bytes(&bytes)?;
    Ok(count)
}

/// Type of an entry, as `d_type`.
fn entry_type(kind: u32) -> u8 {
    u8::try_from(kind >> 12).unwrap_or(0)
}

fn encode(entry: &DirEntry, position: u64, old: bool, out: &mut Vec<u8>) {
    let head = if old { OLD_HEAD + 1 } else { HEAD };
    let len = (head + entry.name.len() + 1).next_multiple_of(8);
    let start = out.len();
    out.extend_from_slice(&entry.ino.to_le_bytes());
    out.extend_from_slice(&position.to_le_bytes());
    out.extend_from_slice(&u16::try_from(len).unwrap_or(0).to_le_bytes());
    if !old {
        out.push(entry_type(entry.kind));
    }
    out.extend_from_slice(&entry.name);
    out.resize(start + len, 0);
    if old {
        out[start + len - 1] = entry_type(entry.kind);
    }
}

fn entries_inside(file: &OpenFile, out: AppSlice, old: bool) -> Result<u64, Errno> {
    const SEEK_SET: u64 = 0;
    const SEEK_CUR: u64 = 1;
    let entries = file.entries()?;
    let position = file.seek(0, SEEK_CUR)?;
    let mut bytes = Vec::new();
    let mut next = position;
    for entry in entries.iter().skip(to_usize(position)) {
        let before = bytes.len();
        encode(entry, next + 1, old, &mut bytes);
        if bytes.len() as u64 > out.len() {
            bytes.truncate(before);
            break;
        }
        next += 1;
    }
    if bytes.is_empty() && next < entries.len() as u64 {
        return Err(Errno::EINVAL);
    }
    out.write_bytes(&bytes)?;
    file.seek(next, SEEK_SET)?;
    Ok(bytes.len() as u64)
}

fn entries(sys: &Sys<'_>, number: u64, old: bool) -> Result<u64, Errno> {
    let [fd, buffer, len, ..] = sys.args;
    let file = args::file(fd)?;
    let out = AppSlice::new(buffer, uint(len))?;
    match file.host() {
        Some(host) => {
            entries_of_host(number, host.number(), out, if old { OLD_HEAD } else { HEAD })
        }
        None => entries_inside(&file, out, old),
    }
}

pub(crate) fn getdents64(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    entries(sys, nr::GETDENTS64, false)
}

pub(crate) fn getdents(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    entries(sys, nr::GETDENTS, true)
}

pub(crate) fn chdir(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let Place::Host(at) = place(AT_FDCWD, sys.args[0], true)? else {
        return Err(Errno::EACCES);
    };
    if at.directory == AT_FDCWD {
        forward_zero(nr::CHDIR, [Str(&at.path)])?;
        procfs::changed_directory(&at.path);
        return Ok(0);
    }
    Err(Errno::EACCES)
}

pub(crate) fn fchdir(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let file = args::file(sys.args[0])?;
    let host = file.host().ok_or(Errno::EACCES)?;
    forward_zero(nr::FCHDIR, [Int(host.number())])?;
    procfs::changed_directory(special_directory(&file).unwrap_or(b"/"));
    Ok(0)
}

/// Longest path that getcwd(2) returns, with its NUL.
const PATH_MAX: u64 = 4096;

/// The current directory, as the host says, without a NUL.
pub(crate) fn current() -> Result<Vec<u8>, Errno> {
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
