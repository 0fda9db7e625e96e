//! Pipes.

use enclave_core::AppPtr;
use enclave_files::{HostFd, HostFile, OpenFile, flag, kind, table};
use enclave_hostcalls::{Call, Errno, Wait, misbehaved};

use crate::{Sys, args::uint, nr};

/// Two descriptors that the host wrote to one word, as pipe(2) and socketpair(2) do.
pub(crate) fn adopt_pair(word: u64) -> [HostFd; 2] {
    [word & 0xffff_ffff, word >> 32].map(|fd| match u32::try_from(fd) {
        Ok(fd) if fd <= i32::MAX.unsigned_abs() => HostFd::adopt(fd),
        _ => misbehaved("the host misbehaved: a descriptor that cannot exist"),
    })
}

fn make(out: u64, flags: u64) -> Result<u64, Errno> {
    let mut call = Call::new(nr::PIPE2, 8)?;
    let pair = call.room(8);
    call.args([pair.address(), flags | flag::CLOEXEC]).zero(Wait::No)?;
    let [reader, writer] = adopt_pair(pair.word(0).read());
    let end = |fd, mode| OpenFile::new(HostFile::of_kind(fd, kind::PIPE), flags | mode);
    let files = [end(reader, 0), end(writer, flag::WRONLY)];
    let [reader, writer] = table().insert_pair(files, flags & flag::CLOEXEC != 0)?;
    let written = AppPtr::new(out).write(&(reader | writer << 32));
    if written.is_err() {
        table().remove(reader)?;
        table().remove(writer)?;
    }
    written?;
    Ok(0)
}

pub(crate) fn pipe(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    make(sys.args[0], 0)
}

pub(crate) fn pipe2(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let flags = uint(sys.args[1]);
    const NOTIFICATION: u64 = flag::EXCL;
    if flags & !(flag::CLOEXEC | flag::NONBLOCK | flag::DIRECT) != 0 || flags & NOTIFICATION != 0 {
        return Err(Errno::EINVAL);
    }
    make(sys.args[0], flags)
}
