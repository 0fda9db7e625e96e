//! Pipes inside: pipe(2), and the object behind both ends.

mod end;
mod named;
mod state;

pub(crate) use end::End;
pub(crate) use named::open;

use enclave_core::AppPtr;
use enclave_files::{flag, table};
use enclave_hostcalls::Errno;

use crate::{Sys, args::uint};

fn make(out: u64, flags: u64) -> Result<u64, Errno> {
    let files = End::pair(flags);
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
    if flags & !(flag::CLOEXEC | flag::NONBLOCK | flag::DIRECT) != 0 {
        return Err(Errno::EINVAL);
    }
    make(sys.args[0], flags)
}
