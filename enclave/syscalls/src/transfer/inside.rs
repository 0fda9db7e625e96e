//! Transfers of which one side at least exists inside only: the data is copied by the runtime.

use alloc::vec;

use enclave_core::{AppPtr, to_usize};
use enclave_files::{HostFile, OpenFile, flag, kind};
use enclave_hostcalls::Errno;

use super::is_pipe;
use crate::{ephemeral, pipe::End, signal::interrupted};

/// Bytes that are copied at a time.
const PIECE: usize = 64 << 10;
/// `SPLICE_F_NONBLOCK`.
const NONBLOCK: u64 = 2;
/// Flags of splice(2) and tee(2).
const FLAGS: u64 = 0xf;

/// Checks that the files were opened for reading and for writing.
fn opened(from: &OpenFile, to: &OpenFile) -> Result<(), Errno> {
    let closed = |file: &OpenFile, mode| {
        file.status() & flag::PATH != 0 || file.status() & flag::ACCMODE == mode
    };
    if closed(from, flag::WRONLY) || closed(to, 0) { Err(Errno::EBADF) } else { Ok(()) }
}

/// Where a side of a transfer stands: at an offset of the program's, or at the file's position.
struct Position<'a> {
    file: &'a OpenFile,
    /// The program's offset, which is moved instead of the file's position.
    offset: Option<(AppPtr<u64>, u64)>,
}

impl<'a> Position<'a> {
    fn new(file: &'a OpenFile, offset: u64) -> Result<Self, Errno> {
        let offset = match AppPtr::new(offset) {
            pointer if pointer.is_null() => None,
            pointer => Some((pointer, pointer.read()?)),
        };
        if offset.is_some_and(|(_, at)| i64::try_from(at).is_err()) {
            return Err(Errno::EINVAL);
        }
        Ok(Self { file, offset })
    }

    fn at(&self) -> Option<u64> {
        self.offset.map(|(_, at)| at)
    }

    fn advance(&mut self, count: usize) {
        if let Some((_, at)) = &mut self.offset {
            *at += count as u64;
        }
    }

    /// Moves the position of a file back to where it is not read yet.
    fn step_back(&self, count: usize) -> Result<(), Errno> {
        const SEEK_CUR: u64 = 1;
        if self.offset.is_none() && count > 0 {
            let back = i64::try_from(count).map_err(|_| Errno::EINVAL)?;
            self.file.seek((-back).cast_unsigned(), SEEK_CUR)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Errno> {
        if let Some((pointer, at)) = self.offset {
            pointer.write(&at)?;
        }
        Ok(())
    }
}

pub(super) fn sendfile(
    from: &OpenFile,
    to: &OpenFile,
    offset: u64,
    count: u64,
) -> Result<u64, Errno> {
    opened(from, to)?;
    let mut source = Position::new(from, offset)?;
    let source_kind = match from.object().downcast_ref::<HostFile>() {
        Some(file) => file.kind()?,
        None => from.stat()?.kind(),
    };
    if !matches!(source_kind, kind::REGULAR | kind::BLOCK) || to.status() & flag::APPEND != 0 {
        return Err(Errno::EINVAL);
    }
    let done = copy(&mut source, &mut Position { file: to, offset: None }, count)?;
    source.finish()?;
    Ok(done)
}

/// Copies up to `len` bytes, piece by piece; less where a side ends, refuses or is interrupted.
fn copy(source: &mut Position<'_>, target: &mut Position<'_>, len: u64) -> Result<u64, Errno> {
    let (from, to) = (source.file, target.file);
    let mut buffer = vec![0; PIECE.min(to_usize(len))];
    let mut done = 0;
    let waits = !to.nonblocking();
    while done < len {
        let part = buffer.len().min(to_usize(len - done));
        let fetched = match from.fetch(from, &mut buffer[..part], source.at()) {
            Ok(0) => break,
            Ok(fetched) => fetched,
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno),
        };
        let stored = to.store(to, &buffer[..fetched], target.at());
        let kept = *stored.as_ref().unwrap_or(&0);
        source.step_back(fetched - kept)?;
        source.advance(kept);
        target.advance(kept);
        done += kept as u64;
        match stored {
            Err(errno) if done == 0 => return Err(errno),
            Ok(kept) if (kept == fetched || waits && kept > 0) && !interrupted() => {}
            _ => break,
        }
    }
    Ok(done)
}

pub(super) fn copy_file_range(
    from: &OpenFile,
    to: &OpenFile,
    Range { offsets, len }: Range,
    flags: u64,
) -> Result<u64, Errno> {
    let (Some(one), Some(other)) = (ephemeral::of(from), ephemeral::of(to)) else {
        return Err(Errno::EXDEV);
    };
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    opened(from, to)?;
    if to.status() & flag::APPEND != 0 {
        return Err(Errno::EBADF);
    }
    for file in [from, to] {
        match file.stat()?.kind() {
            kind::REGULAR => {}
            kind::DIRECTORY => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
    }
    let [mut source, mut target] =
        [Position::new(from, offsets[0])?, Position::new(to, offsets[1])?];
    let start =
        |position: &Position<'_>| position.at().map_or_else(|| position.file.seek(0, 1), Ok);
    let starts = [start(&source)?, start(&target)?];
    let same = core::ptr::eq(one.mount, other.mount) && one.ino == other.ino;
    if same && starts[0].abs_diff(starts[1]) < len {
        return Err(Errno::EINVAL);
    }
    let done = copy(&mut source, &mut target, len)?;
    source.finish()?;
    target.finish()?;
    Ok(done)
}

/// What of two files splice(2) moves.
pub(super) struct Range {
    /// Pointers to the offsets of source and target.
    pub(super) offsets: [u64; 2],
    pub(super) len: u64,
}

pub(super) fn splice(
    from: &OpenFile,
    to: &OpenFile,
    Range { offsets, len }: Range,
    flags: u64,
) -> Result<u64, Errno> {
    if flags & !FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(0);
    }
    opened(from, to)?;
    let pipes = [from, to].map(is_pipe);
    for (is_pipe, offset) in pipes.into_iter().zip(offsets) {
        if is_pipe && offset != 0 {
            return Err(Errno::ESPIPE);
        }
    }
    let ends = [from, to].map(|file| file.object().downcast_ref::<End>());
    let same = matches!(ends, [Some(one), Some(other)] if one.is_same_pipe(other));
    if !pipes.contains(&true) || same || to.status() & flag::APPEND != 0 {
        return Err(Errno::EINVAL);
    }
    let [mut source, mut target] =
        [Position::new(from, offsets[0])?, Position::new(to, offsets[1])?];
    let room = ends[1].map_or(Ok(PIECE), |end| room(end, to, flags))?;
    let mut buffer = vec![0; to_usize(len).min(room).min(PIECE)];
    let fetched = match ends[0] {
        Some(end) => {
            end.fetch_or_wait(flags & NONBLOCK == 0 && !from.nonblocking(), &mut buffer)?
        }
        None => from.fetch(from, &mut buffer, source.at())?,
    };
    let stored = to.store(to, &buffer[..fetched], target.at());
    let moved = *stored.as_ref().unwrap_or(&0);
    let rest = &buffer[moved..fetched];
    match ends[0] {
        Some(end) if !rest.is_empty() => end.put_back(rest),
        Some(_) => {}
        None => source.step_back(rest.len())?,
    }
    stored?;
    source.advance(moved);
    target.advance(moved);
    source.finish()?;
    target.finish()?;
    Ok(moved as u64)
}

/// Bytes that a pipe takes now; waits until it takes some.
fn room(end: &End, file: &OpenFile, flags: u64) -> Result<usize, Errno> {
    end.wait_for_room(flags & NONBLOCK == 0 && !file.nonblocking())
}

pub(super) fn tee(from: &OpenFile, to: &OpenFile, len: u64, flags: u64) -> Result<u64, Errno> {
    if flags & !FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(0);
    }
    opened(from, to)?;
    // What a pipe of the host holds can be looked at by the host only.
    let (Some(source), true) = (from.object().downcast_ref::<End>(), is_pipe(to)) else {
        return Err(Errno::EINVAL);
    };
    let target = to.object().downcast_ref::<End>();
    if target.is_some_and(|target| source.is_same_pipe(target)) {
        return Err(Errno::EINVAL);
    }
    let room = target.map_or(Ok(PIECE), |end| room(end, to, flags))?;
    let wait = flags & NONBLOCK == 0 && !from.nonblocking();
    let bytes = source.peek(wait, to_usize(len).min(room))?;
    Ok(to.store(to, &bytes, None)? as u64)
}
