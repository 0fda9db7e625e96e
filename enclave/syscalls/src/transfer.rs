//! From one descriptor to another: sendfile, splice, tee, vmsplice, copy_file_range.

use alloc::sync::Arc;

use enclave_files::{HostFd, HostFile, Io, OpenFile, flag, kind};
use enclave_hostcalls::{Errno, Wait};

use crate::{
    Sys,
    args::{
        self,
        Arg::{Int, Maybe},
        forward, optional, uint,
    },
    coherence, file, nr,
};

/// The host's descriptors of source and target, after shared mappings were written back.
fn both(from: &OpenFile, to: &OpenFile) -> Result<(Arc<HostFd>, Arc<HostFd>), Errno> {
    let source = from.host().cloned().ok_or(Errno::EINVAL)?;
    let target = to.host().cloned().ok_or(Errno::EINVAL)?;
    coherence::before_read(from, None)?;
    coherence::before_write(to, None)?;
    Ok((source, target))
}

/// Whether a transfer to or from these files may wait.
fn wait(files: [&OpenFile; 2]) -> Wait {
    let at_once = |file: &OpenFile| {
        let host = file.object().downcast_ref::<HostFile>();
        file.nonblocking()
            || host.is_some_and(|host| matches!(host.kind(), Ok(kind::REGULAR | kind::BLOCK)))
    };
    if files.into_iter().all(at_once) { Wait::No } else { Wait::Maybe }
}

pub(crate) fn sendfile(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [target, source, offset, count, ..] = sys.args;
    let (to, from) = (args::file(target)?, args::file(source)?);
    let (source, target) = both(&from, &to)?;
    let offset = Maybe(optional(offset, 8)?);
    let args = [Int(target.number()), Int(source.number()), offset, Int(count)];
    args::at_most(forward(nr::SENDFILE, wait([&from, &to]), args)?, count)
}

fn move_range(sys: &Sys<'_>, number: u64) -> Result<u64, Errno> {
    let [source, source_offset, target, target_offset, len, flags] = sys.args;
    let (from, to) = (args::file(source)?, args::file(target)?);
    let (source, target) = both(&from, &to)?;
    let args = [
        Int(source.number()),
        Maybe(optional(source_offset, 8)?),
        Int(target.number()),
        Maybe(optional(target_offset, 8)?),
        Int(len),
        Int(uint(flags)),
    ];
    args::at_most(forward(number, wait([&from, &to]), args)?, len)
}

pub(crate) fn splice(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    move_range(sys, nr::SPLICE)
}

pub(crate) fn copy_file_range(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    move_range(sys, nr::COPY_FILE_RANGE)
}

pub(crate) fn tee(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [source, target, len, flags, ..] = sys.args;
    let (from, to) = (args::file(source)?, args::file(target)?);
    let (source, target) = both(&from, &to)?;
    let args = [Int(source.number()), Int(target.number()), Int(len), Int(uint(flags))];
    args::at_most(forward(nr::TEE, wait([&from, &to]), args)?, len)
}

/// The pages of an enclave cannot be lent to a pipe: they are copied.
pub(crate) fn vmsplice(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, vector, count, _flags, ..] = sys.args;
    let pipe = args::file(fd)?;
    let is_pipe = pipe.object().downcast_ref::<HostFile>();
    if !is_pipe.is_some_and(|host| host.kind() == Ok(kind::PIPE)) {
        return Err(Errno::EBADF);
    }
    let buffers = file::buffers(vector, count)?;
    let io = Io { buffers: &buffers, at: None, flags: 0 };
    if io.is_empty() {
        return Ok(0);
    }
    match pipe.status() & flag::ACCMODE {
        0 => pipe.read(&io),
        _ => pipe.write(&io),
    }
}
