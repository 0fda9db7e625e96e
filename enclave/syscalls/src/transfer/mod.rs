//! From one descriptor to another: sendfile, splice, tee, vmsplice, copy_file_range.
//!
//! Where both are the host's, the host does it, and the data does not come inside.

mod inside;

use alloc::sync::Arc;

use enclave_core::AppPtr;
use enclave_files::{Behind, HostFd, HostFile, Io, OpenFile, flag, kind};
use enclave_hostcalls::{Call, Errno, Wait, can_post};

use crate::{
    Sys,
    args::{
        self,
        Arg::{self, Int, MaybeIn},
        forward, optional, uint,
    },
    coherence, file, nr,
    pipe::End,
};

/// The host's descriptors of source and target, after shared mappings were written back, for data that goes
/// to the target; `None` if one exists inside only. Where the target may be mapped, the caller says that it
/// is written.
fn both(from: &OpenFile, to: &OpenFile) -> Result<Option<[Arc<HostFd>; 2]>, Errno> {
    if from.host().is_some()
        && let Some(stream) = to.stream()
    {
        stream.before_sending(!to.nonblocking())?;
    }
    hosts(from, to)
}

fn hosts(from: &OpenFile, to: &OpenFile) -> Result<Option<[Arc<HostFd>; 2]>, Errno> {
    coherence::before_read(from, None)?;
    // The host writes behind what was written.
    to.settle()?;
    from.stream().iter().for_each(|stream| stream.look_no_more());
    Ok(from.host().zip(to.host()).map(|(from, to)| [Arc::clone(from), Arc::clone(to)]))
}

/// From so many bytes on, the host moves data between two of its files.
const LITTLE: u64 = 16 << 10;

/// Whether a transfer to or from these files may wait.
fn wait(files: [&OpenFile; 2]) -> Wait {
    let at_once = |file: &OpenFile| {
        let host = file.object().downcast_ref::<HostFile>();
        file.nonblocking()
            || host.is_some_and(|host| matches!(host.kind(), Ok(kind::REGULAR | kind::BLOCK)))
    };
    if files.into_iter().all(at_once) { Wait::No } else { Wait::Maybe }
}

/// An offset of the program's, which may be null, as the host gets it.
fn offset_arg(offset: u64) -> Result<Arg<'static>, Errno> {
    Ok(MaybeIn(optional(offset, 8)?))
}

/// Has the host move at most `len` bytes from or to offsets of the program's. How far these move on is not
/// left to it.
fn forward_moving<const N: usize, const M: usize>(
    number: u64,
    wait: Wait,
    args: [Arg<'_>; N],
    offsets: [u64; M],
    len: u64,
) -> Result<u64, Errno> {
    let mut places = [None; M];
    for (place, offset) in places.iter_mut().zip(offsets).filter(|(_, offset)| *offset != 0) {
        let pointer = AppPtr::<u64>::new(offset);
        *place = Some((pointer, pointer.read()?));
    }
    let moved = args::at_most(forward(number, wait, args)?, len)?;
    for (pointer, at) in places.into_iter().flatten() {
        pointer.write(&at.wrapping_add(moved))?;
    }
    Ok(moved)
}

pub(crate) fn sendfile(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [target, source, offset, count, ..] = sys.args;
    let (to, from) = (args::file(target)?, args::file(source)?);
    if let Some(sent) = with_head(&from, &to, offset, count)? {
        return Ok(sent);
    }
    if count <= LITTLE && can_post() && to.stream().is_some() && to.nonblocking() {
        // It costs less to have it inside than to leave for it: it is sent with the next call.
        coherence::before_read(&from, None)?;
        return inside::sendfile(&from, &to, offset, count);
    }
    coherence::writing(&to, None, || {
        let Some([source, target]) = hosts(&from, &to)? else {
            return inside::sendfile(&from, &to, offset, count);
        };
        let args = [Int(target.number()), Int(source.number()), offset_arg(offset)?, Int(count)];
        let send = || forward_moving(nr::SENDFILE, wait([&from, &to]), args, [offset], count);
        match to.stream() {
            Some(stream) => stream.send_all_by(!to.nonblocking(), count, send),
            None => send(),
        }
    })
}

/// Sends little from an offset of the host's file, together with a head that waits for it, if one does.
fn with_head(
    from: &OpenFile,
    to: &OpenFile,
    offset: u64,
    count: u64,
) -> Result<Option<u64>, Errno> {
    let (Some(stream), Some(source)) = (to.stream(), from.host()) else { return Ok(None) };
    let offset = AppPtr::<u64>::new(offset);
    let is_little = (1..=LITTLE).contains(&count) && !offset.is_null();
    let appends = to.status() & flag::APPEND != 0;
    if !is_little || appends || !to.nonblocking() || wait([from, to]) != Wait::No {
        return Ok(None);
    }
    coherence::before_read(from, None)?;
    let at = offset.read()?;
    let read = |behind: Behind<'_>| {
        if can_post() {
            // It may be here already.
            return behind.fill(count, |bytes| from.fetch(from, bytes, Some(at)));
        }
        let mut call = Call::new(nr::PREAD64, 0)?;
        call.args([source.number(), behind.address(), count, at]).count(Wait::No, count)
    };
    let Some(sent) = stream.send_with_head(count, read).transpose()? else { return Ok(None) };
    offset.write(&(at + sent))?;
    Ok(Some(sent))
}

/// splice(2) or copy_file_range(2) by the host.
fn move_range(
    sys: &Sys<'_>,
    number: u64,
    [source, target]: [Arc<HostFd>; 2],
    wait: Wait,
) -> Result<u64, Errno> {
    let [_, source_offset, _, target_offset, len, flags] = sys.args;
    let args = [
        Int(source.number()),
        offset_arg(source_offset)?,
        Int(target.number()),
        offset_arg(target_offset)?,
        Int(len),
        Int(uint(flags)),
    ];
    forward_moving(number, wait, args, [source_offset, target_offset], len)
}

pub(crate) fn splice(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [source, source_offset, target, target_offset, len, flags] = sys.args;
    let (from, to) = (args::file(source)?, args::file(target)?);
    coherence::writing(&to, None, || match both(&from, &to)? {
        Some(fds) => move_range(sys, nr::SPLICE, fds, wait([&from, &to])),
        None => {
            let range = inside::Range { offsets: [source_offset, target_offset], len };
            inside::splice(&from, &to, range, uint(flags))
        }
    })
}

pub(crate) fn copy_file_range(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [source, _, target, ..] = sys.args;
    let (from, to) = (args::file(source)?, args::file(target)?);
    coherence::writing(&to, None, || match both(&from, &to)? {
        Some(fds) => move_range(sys, nr::COPY_FILE_RANGE, fds, wait([&from, &to])),
        None => {
            let [_, source_offset, _, target_offset, len, flags] = sys.args;
            let range = inside::Range { offsets: [source_offset, target_offset], len };
            inside::copy_file_range(&from, &to, range, uint(flags))
        }
    })
}

pub(crate) fn tee(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [source, target, len, flags, ..] = sys.args;
    let (from, to) = (args::file(source)?, args::file(target)?);
    let Some([source, target]) = both(&from, &to)? else {
        return inside::tee(&from, &to, len, uint(flags));
    };
    let args = [Int(source.number()), Int(target.number()), Int(len), Int(uint(flags))];
    args::at_most(forward(nr::TEE, wait([&from, &to]), args)?, len)
}

/// Whether it is a pipe, of the host's or inside.
fn is_pipe(file: &OpenFile) -> bool {
    let host = file.object().downcast_ref::<HostFile>();
    host.is_some_and(|host| host.kind() == Ok(kind::PIPE))
        || file.object().downcast_ref::<End>().is_some()
}

/// The pages of an enclave cannot be lent to a pipe: they are copied.
pub(crate) fn vmsplice(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, vector, count, _flags, ..] = sys.args;
    let pipe = args::file(fd)?;
    if !is_pipe(&pipe) {
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
