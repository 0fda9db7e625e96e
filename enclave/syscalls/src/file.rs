//! Reading, writing, positions, synchronisation.

use alloc::vec::Vec;

use enclave_core::AppSlice;
use enclave_files::{Io, OpenFile, flag};
use enclave_hostcalls::{Errno, Wait};

use crate::{
    Sys,
    args::{
        self,
        Arg::{self, Int},
        forward, int, zero,
    },
    coherence, ephemeral, nr,
};

/// Most bytes that one call reads or writes.
pub(crate) const MAX_COUNT: u64 = 0x7fff_f000;
/// Flag of pwritev2(2).
const RWF_APPEND: u64 = 0x10;
/// Most buffers of one call.
const MAX_BUFFERS: u64 = 1024;

pub(crate) fn read_into(file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
    coherence::before_read(file, io.at.map(|at| (at, io.len())))?;
    file.read(io)
}

pub(crate) fn write_from(file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
    let appends = || file.status() & flag::APPEND != 0 || io.flags & RWF_APPEND != 0;
    let range = io.at.filter(|_| !appends()).map(|at| (at, io.len()));
    coherence::writing(file, range, || file.write(io))
}

/// The buffer of a call with one.
fn one(address: u64, len: u64) -> Result<[AppSlice; 1], Errno> {
    Ok([AppSlice::new(address, len)?.first(MAX_COUNT)])
}

/// An offset that must not be negative.
fn offset(offset: u64) -> Result<Option<u64>, Errno> {
    if i64::try_from(offset).is_ok() { Ok(Some(offset)) } else { Err(Errno::EINVAL) }
}

pub(crate) fn read(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, address, len, ..] = sys.args;
    let file = args::file(fd)?;
    read_into(&file, &Io { buffers: &one(address, len)?, at: None, flags: 0 })
}

pub(crate) fn write(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, address, len, ..] = sys.args;
    let file = args::file(fd)?;
    write_from(&file, &Io { buffers: &one(address, len)?, at: None, flags: 0 })
}

pub(crate) fn pread64(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, address, len, at, ..] = sys.args;
    let (file, at) = (args::file(fd)?, offset(at)?);
    read_into(&file, &Io { buffers: &one(address, len)?, at, flags: 0 })
}

pub(crate) fn pwrite64(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, address, len, at, ..] = sys.args;
    let (file, at) = (args::file(fd)?, offset(at)?);
    write_from(&file, &Io { buffers: &one(address, len)?, at, flags: 0 })
}

/// Reads an array of `struct iovec`.
///
/// # Errors
///
/// `EINVAL` if there are too many or their lengths overflow, `EFAULT`.
pub(crate) fn buffers(address: u64, count: u64) -> Result<Vec<AppSlice>, Errno> {
    if count > MAX_BUFFERS {
        return Err(Errno::EINVAL);
    }
    let bytes = AppSlice::new(address, count * 16)?.to_vec()?;
    let mut left = MAX_COUNT;
    let mut total = 0_i64;
    let mut buffers = Vec::with_capacity(bytes.len() / 16);
    for pair in bytes.as_chunks::<16>().0 {
        let (base, len) = pair.split_at(8);
        let word = |half: &[u8]| half.try_into().map(u64::from_le_bytes).unwrap_or(0);
        let (base, len) = (word(base), word(len));
        let signed = i64::try_from(len).map_err(|_| Errno::EINVAL)?;
        total = total.checked_add(signed).ok_or(Errno::EINVAL)?;
        let buffer = AppSlice::new(base, len)?.first(left);
        left -= buffer.len();
        buffers.push(buffer);
    }
    Ok(buffers)
}

pub(crate) fn readv(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, vector, count, ..] = sys.args;
    let file = args::file(fd)?;
    read_into(&file, &Io { buffers: &buffers(vector, count)?, at: None, flags: 0 })
}

pub(crate) fn writev(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, vector, count, ..] = sys.args;
    let file = args::file(fd)?;
    write_from(&file, &Io { buffers: &buffers(vector, count)?, at: None, flags: 0 })
}

pub(crate) fn preadv(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, vector, count, at, ..] = sys.args;
    let (file, at) = (args::file(fd)?, offset(at)?);
    read_into(&file, &Io { buffers: &buffers(vector, count)?, at, flags: 0 })
}

pub(crate) fn pwritev(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, vector, count, at, ..] = sys.args;
    let (file, at) = (args::file(fd)?, offset(at)?);
    write_from(&file, &Io { buffers: &buffers(vector, count)?, at, flags: 0 })
}

/// An offset where -1 stands for the current position.
fn offset_or_current(at: u64) -> Result<Option<u64>, Errno> {
    if at == u64::MAX { Ok(None) } else { offset(at) }
}

pub(crate) fn preadv2(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, vector, count, at, _, flags] = sys.args;
    let (file, at) = (args::file(fd)?, offset_or_current(at)?);
    read_into(&file, &Io { buffers: &buffers(vector, count)?, at, flags: args::uint(flags) })
}

pub(crate) fn pwritev2(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, vector, count, at, _, flags] = sys.args;
    let (file, at) = (args::file(fd)?, offset_or_current(at)?);
    write_from(&file, &Io { buffers: &buffers(vector, count)?, at, flags: args::uint(flags) })
}

pub(crate) fn lseek(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, offset, whence, ..] = sys.args;
    args::file(fd)?.seek(offset, args::uint(whence))
}

/// A call about a descriptor, with numbers only, that returns zero.
fn plain<const N: usize>(sys: &Sys<'_>, wait: Wait) -> Result<u64, Errno> {
    let mut args = [Int(0); N];
    for (arg, value) in args.iter_mut().zip(sys.args) {
        *arg = Int(value);
    }
    about(&*args::file(sys.args[0])?, sys.regs.orig_rax, wait, args)
}

/// A call about a file, whose descriptor becomes the first of `args`, that returns zero.
fn about<const N: usize>(
    file: &OpenFile,
    number: u64,
    wait: Wait,
    mut args: [Arg<'_>; N],
) -> Result<u64, Errno> {
    if ephemeral::of(file).is_some() {
        // What is in memory is as durable as it will ever be.
        return Ok(0);
    }
    args[0] = Int(file.host().ok_or(Errno::EINVAL)?.number());
    zero(forward(number, wait, args)?)
}

pub(crate) fn fsync(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    synchronize(&*args::file(sys.args[0])?, sys.regs.orig_rax)
}

/// fsync(2) or fdatasync(2), by its number.
pub(crate) fn synchronize(file: &OpenFile, number: u64) -> Result<u64, Errno> {
    coherence::before_read(file, None)?;
    file.settle()?;
    about(file, number, Wait::Maybe, [Int(0)])
}

pub(crate) fn syncfs(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    plain::<1>(sys, Wait::Maybe)
}

pub(crate) fn sync(_: &mut Sys<'_>) -> Result<u64, Errno> {
    zero(forward(nr::SYNC, Wait::Maybe, [])?)
}

pub(crate) fn sync_file_range(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    plain::<4>(sys, Wait::Maybe)
}

pub(crate) fn readahead(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    plain::<3>(sys, Wait::No)
}

pub(crate) fn fadvise64(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    if args::file(sys.args[0])?.host().is_none() {
        // Advice about what exists inside changes nothing.
        return if sys.args[3] <= 5 { Ok(0) } else { Err(Errno::EINVAL) };
    }
    plain::<4>(sys, Wait::No)
}

pub(crate) fn flock(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const LOCK_NB: i32 = 4;
    let file = args::file(sys.args[0])?;
    if let Some(file) = file.object().downcast_ref() {
        return ephemeral::flock(file, args::uint(sys.args[1]));
    }
    let Some(host) = file.host() else { return Ok(0) };
    host.close_at_once();
    let wait = if int(sys.args[1]) & LOCK_NB != 0 { Wait::No } else { Wait::Maybe };
    plain::<2>(sys, wait)
}
