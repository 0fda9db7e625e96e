//! Memory: mmap and its family.

use enclave_core::{AppSlice, fatal};
use enclave_hostcalls::Errno;
use enclave_mm::{MapRequest, MmError};

use crate::{Sys, process::process};

const MAP_ANONYMOUS: u64 = 0x20;

/// The error of the address space as a system call's.
pub(crate) fn errno(error: MmError) -> Errno {
    if error == MmError::Lost {
        fatal("the host misbehaved: it changed pages of the enclave");
    }
    Errno::from_number(error.errno()).unwrap_or(Errno::EINVAL)
}

pub(crate) fn mmap(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [hint, len, prot, flags, _fd, offset] = sys.args;
    if flags & MAP_ANONYMOUS == 0 {
        return Err(Errno::ENODEV);
    }
    let request = MapRequest { hint, len, prot, flags, offset, file: None };
    process().space().mmap(request).map_err(errno)
}

pub(crate) fn munmap(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [addr, len, ..] = sys.args;
    process().space().munmap(addr, len).map_err(errno)?;
    Ok(0)
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
    let [addr, len, advice, ..] = sys.args;
    process().space().madvise(addr, len, advice).map_err(errno)?;
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
    process().space().mlock(addr, len).map_err(errno)?;
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
