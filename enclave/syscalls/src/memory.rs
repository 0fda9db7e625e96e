//! Memory: mmap and its family.

use alloc::sync::Arc;

use enclave_core::{AppSlice, fatal};
use enclave_files::{Device, HostFile, OpenFile, flag, kind};
use enclave_hostcalls::{Errno, Wait};
use enclave_mm::{Backing as MmBacking, MapRequest, MmError};

use crate::{
    Sys,
    args::{self, Arg::Int, forward},
    coherence, ephemeral, exec, nr,
    process::{Backing, process},
    rewrite, through,
};

const MAP_ANONYMOUS: u64 = 0x20;
const PROT_WRITE: u64 = 2;
/// Also a bit of `MAP_SHARED_VALIDATE`.
const MAP_SHARED: u64 = 1;

/// The error of the address space as a system call's.
pub(crate) fn errno(error: MmError) -> Errno {
    if error == MmError::Lost {
        fatal("the host misbehaved: it changed pages of the enclave");
    }
    Errno::from_number(error.errno()).unwrap_or(Errno::EINVAL)
}

pub(crate) fn mmap(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [hint, len, prot, flags, fd, offset] = sys.args;
    let anonymous = |flags| MapRequest { hint, len, prot, flags, offset, file: None };
    if flags & MAP_ANONYMOUS != 0 {
        return process().space().mmap(anonymous(flags)).map_err(errno);
    }
    let file = args::file(fd)?;
    if file.object().downcast_ref() == Some(&Device::Zero) {
        return process().space().mmap(anonymous(flags | MAP_ANONYMOUS)).map_err(errno);
    }
    let request = MapRequest { file: Some(backing(&file)?), ..anonymous(flags) };
    if flags & MAP_SHARED != 0 {
        if prot & PROT_WRITE != 0 && is_sealed(&file) {
            return Err(Errno::EPERM);
        }
        coherence::expect();
    }
    exec::map_file(request)
}

/// Whether a seal forbids to write to a file (memfd_create(2)): it would be felt only when what was
/// written is written back.
fn is_sealed(file: &OpenFile) -> bool {
    const GET_SEALS: u64 = 1034;
    const WRITE: u64 = 0x8;
    const FUTURE_WRITE: u64 = 0x10;
    let Some(host) = file.host() else { return false };
    // Most files have no seals, which is an error.
    forward(nr::FCNTL, Wait::No, [Int(host.number()), Int(GET_SEALS)])
        .is_ok_and(|seals| seals & (WRITE | FUTURE_WRITE) != 0)
}

/// The contents of a file that can be mapped.
fn contents(file: &OpenFile) -> Result<Backing, Errno> {
    if let Some(held) = ephemeral::of(file) {
        held.contents()?;
        return Ok(Backing::in_memory(Arc::clone(held), &file.name()));
    }
    let host = file.object().downcast_ref::<HostFile>().ok_or(Errno::ENODEV)?;
    let identity = host.identity()?;
    if !matches!(identity.kind, kind::REGULAR | kind::BLOCK) {
        return Err(Errno::ENODEV);
    }
    Ok(Backing::new(Arc::clone(host.fd()), identity))
}

/// An open file as the address space needs it.
fn backing(file: &OpenFile) -> Result<MmBacking<Backing>, Errno> {
    let status = file.status();
    if status & flag::PATH != 0 {
        return Err(Errno::EBADF);
    }
    Ok(MmBacking {
        file: contents(file)?,
        readable: status & flag::ACCMODE != flag::WRONLY,
        writable: status & flag::ACCMODE == flag::RDWR && status & flag::APPEND == 0,
        executable: true,
    })
}

/// Maps memory that is the program's alone, wherever there is room.
pub(crate) fn map_private(len: u64) -> Result<u64, Errno> {
    const PRIVATE: u64 = 2;
    const READ_WRITE: u64 = 3;
    let flags = PRIVATE | MAP_ANONYMOUS;
    let request = MapRequest { hint: 0, len, prot: READ_WRITE, flags, offset: 0, file: None };
    process().space().mmap(request).map_err(errno)
}

pub(crate) fn munmap(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [addr, len, ..] = sys.args;
    unmap(addr, len)?;
    Ok(0)
}

/// munmap(2).
pub(crate) fn unmap(addr: u64, len: u64) -> Result<(), Errno> {
    process().space().munmap(addr, len).map_err(errno)?;
    through::forget(addr, len);
    Ok(())
}

pub(crate) fn mprotect(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [addr, len, prot, ..] = sys.args;
    process().space().mprotect(addr, len, prot).map_err(errno)?;
    Ok(0)
}

pub(crate) fn brk(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    Ok(process().space().brk(sys.args[0]))
}

pub(crate) fn mremap(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [old, old_len, new_len, flags, new, _] = sys.args;
    process().space().mremap(old, old_len, new_len, flags, new).map_err(errno)
}

pub(crate) fn madvise(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const POPULATE_READ: u64 = 22;
    const POPULATE_WRITE: u64 = 23;
    let [addr, len, advice, ..] = sys.args;
    let mut space = process().space();
    if matches!(advice, POPULATE_READ | POPULATE_WRITE) {
        rewrite::before_populating(&mut space, addr, len);
    }
    space.madvise(addr, len, advice).map_err(errno)?;
    Ok(0)
}

pub(crate) fn msync(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [addr, len, flags, ..] = sys.args;
    process().space().msync(addr, len, flags).map_err(errno)?;
    Ok(0)
}

pub(crate) fn mincore(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [addr, len, vector, ..] = sys.args;
    let bytes = process().space().mincore(addr, len).map_err(errno)?;
    AppSlice::new(vector, bytes.len() as u64)?.write_bytes(&bytes)?;
    Ok(0)
}

pub(crate) fn mlock(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [addr, len, ..] = sys.args;
    let mut space = process().space();
    rewrite::before_populating(&mut space, addr, len);
    space.mlock(addr, len).map_err(errno)?;
    Ok(0)
}

pub(crate) fn munlock(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [addr, len, ..] = sys.args;
    process().space().munlock(addr, len).map_err(errno)?;
    Ok(0)
}

pub(crate) fn mlockall(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const CURRENT: u64 = 1;
    const FUTURE: u64 = 2;
    const ONFAULT: u64 = 4;
    let flags = sys.args[0];
    if flags & (CURRENT | FUTURE) == 0 || flags & !(CURRENT | FUTURE | ONFAULT) != 0 {
        return Err(Errno::EINVAL);
    }
    process().space().mlockall(flags & CURRENT != 0, flags & FUTURE != 0);
    Ok(0)
}

pub(crate) fn munlockall(_: &mut Sys<'_>) -> Result<u64, Errno> {
    process().space().munlockall();
    Ok(0)
}
