//! An open file or directory in memory.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{Missing, to_usize, with_pages, with_pages_for};
use enclave_ephemeral::{Attributes, BLOCK, FileSystem, Kind};
use enclave_files::{DirEntry, Io, Object, OpenFile, Stat, flag, kind};
use enclave_hostcalls::Errno;

use super::{Held, errno, locks, now, open::reopen, records};
use crate::limits;

/// Most bytes that are copied while the file system is locked.
const PIECE: usize = 64 << 10;
/// `RWF_APPEND`.
const APPEND: u64 = 0x10;

/// An open file or directory in memory.
pub(crate) struct MemoryFile {
    node: Arc<Held>,
    /// Changed while the file system is locked.
    position: AtomicU64,
    path: Vec<u8>,
}

/// Type bits of [`Stat::mode`].
pub(super) fn type_bits(kind: Kind) -> u32 {
    match kind {
        Kind::File => kind::REGULAR,
        Kind::Directory => kind::DIRECTORY,
        Kind::Link => kind::LINK,
        Kind::Pipe => kind::PIPE,
    }
}

/// What stat(2) says of a node.
pub(super) fn stat(device: u64, node: &Attributes) -> Stat {
    Stat {
        dev: device,
        ino: node.ino,
        nlink: node.links,
        mode: type_bits(node.kind) | node.mode,
        uid: node.user,
        gid: node.group,
        size: node.size,
        blksize: BLOCK as u64,
        blocks: node.blocks * (BLOCK as u64 / 512),
        atime: node.times.access,
        mtime: node.times.modify,
        ctime: node.times.change,
        ..Stat::default()
    }
}

impl MemoryFile {
    pub(super) fn new(node: Arc<Held>, path: Vec<u8>) -> Self {
        Self { node, position: AtomicU64::new(0), path }
    }

    /// The node.
    pub(crate) fn node(&self) -> &Arc<Held> {
        &self.node
    }

    pub(super) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Moves on by what was transferred at the current position.
    fn advance(&self, at: Option<u64>, end: u64) {
        if at.is_none() {
            self.position.store(end, Ordering::Relaxed);
        }
    }

    fn read_piece(
        &self,
        len: usize,
        at: Option<u64>,
        drain: impl FnMut(usize, &[u8]) -> Result<(), Missing>,
    ) -> Result<Result<usize, Errno>, Missing> {
        let mut fs = self.node.mount.fs.lock();
        let offset = at.unwrap_or_else(|| self.position());
        let contents = match fs.contents(self.node.ino) {
            Ok(contents) => contents,
            Err(error) => return Ok(Err(errno(error))),
        };
        let count = contents.read(offset, len.min(PIECE), drain)?;
        self.advance(at, offset + count as u64);
        fs.touch(self.node.ino, now());
        Ok(Ok(count))
    }

    fn write_piece(
        &self,
        len: usize,
        at: Option<u64>,
        append: bool,
        fill: impl FnMut(usize, &mut [u8]) -> Result<(), Missing>,
    ) -> Result<Result<usize, Errno>, Missing> {
        let ino = self.node.ino;
        let mut fs = self.node.mount.fs.lock();
        let offset = match append {
            true => fs.contents(ino).map_or(0, |contents| contents.size()),
            false => at.unwrap_or_else(|| self.position()),
        };
        let room = limits::file_size().saturating_sub(offset);
        if room == 0 {
            return Ok(Err(Errno::EFBIG));
        }
        let len = room.min(len.min(PIECE) as u64);
        let count = match fs.write(ino, offset, to_usize(len), now(), fill) {
            Ok(written) => written?,
            Err(error) => return Ok(Err(errno(error))),
        };
        self.advance(at, offset + count as u64);
        Ok(Ok(count))
    }

    /// Moves `len` bytes in pieces: `piece` gets what is done and returns how many it moved.
    fn all(
        len: usize,
        at: Option<u64>,
        mut piece: impl FnMut(usize, usize, Option<u64>) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let mut done = 0;
        while done < len {
            match piece(done, len - done, at.map(|at| at + done as u64)) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn appends(&self, file: &OpenFile, flags: u64) -> bool {
        file.status() & flag::APPEND != 0 || flags & APPEND != 0
    }

    fn seek_in(&self, fs: &FileSystem, offset: u64, whence: u64) -> Result<u64, Errno> {
        const DATA: u64 = 3;
        const HOLE: u64 = 4;
        let node = fs.attributes(self.node.ino).map_err(errno)?;
        let base = match whence {
            0 => 0,
            1 => self.position(),
            2 => node.size,
            DATA => {
                return fs
                    .contents(node.ino)
                    .and_then(|file| file.next_data(offset))
                    .map_err(errno);
            }
            HOLE => {
                return fs
                    .contents(node.ino)
                    .and_then(|file| file.next_hole(offset))
                    .map_err(errno);
            }
            _ => return Err(Errno::EINVAL),
        };
        let position = base.checked_add_signed(offset.cast_signed()).ok_or(Errno::EINVAL)?;
        if i64::try_from(position).is_err() { Err(Errno::EINVAL) } else { Ok(position) }
    }
}

/// Whether the flags of a transfer are known.
fn check(io: &Io<'_>) -> Result<(), Errno> {
    const KNOWN: u64 = 0xff;
    if io.flags & !KNOWN == 0 { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        locks::release(self);
        records::release(self);
    }
}

impl Object for MemoryFile {
    fn read(&self, _: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        check(io)?;
        let count = Self::all(to_usize(io.len()), io.at, |done, len, at| {
            let drain = |from: usize, part: &[u8]| io.scatter(done + from, part);
            with_pages_for(len, |len| self.read_piece(len, at, drain))?
        })?;
        if count == 0 {
            // A directory says so even if nothing is asked for.
            self.node.mount.fs.lock().contents(self.node.ino).map_err(errno)?;
        }
        Ok(count as u64)
    }

    fn write(&self, file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        check(io)?;
        let append = self.appends(file, io.flags);
        let count = Self::all(to_usize(io.len()), io.at, |done, len, at| {
            let fill = |from: usize, part: &mut [u8]| io.gather(done + from, part);
            with_pages_for(len, |len| self.write_piece(len, at, append, fill))?
        })?;
        Ok(count as u64)
    }

    fn fetch(&self, _: &OpenFile, bytes: &mut [u8], at: Option<u64>) -> Result<usize, Errno> {
        Self::all(bytes.len(), at, |done, len, at| {
            let mut drain = |from: usize, part: &[u8]| {
                bytes[done + from..done + from + part.len()].copy_from_slice(part);
                Ok(())
            };
            with_pages(|| self.read_piece(len, at, &mut drain))?
        })
    }

    fn store(&self, file: &OpenFile, bytes: &[u8], at: Option<u64>) -> Result<usize, Errno> {
        let append = self.appends(file, 0);
        Self::all(bytes.len(), at, |done, len, at| {
            let fill = |from: usize, part: &mut [u8]| {
                part.copy_from_slice(&bytes[done + from..done + from + part.len()]);
                Ok(())
            };
            with_pages(|| self.write_piece(len, at, append, fill))?
        })
    }

    fn seek(&self, offset: u64, whence: u64) -> Result<u64, Errno> {
        let fs = self.node.mount.fs.lock();
        let position = self.seek_in(&fs, offset, whence)?;
        self.position.store(position, Ordering::Relaxed);
        Ok(position)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        self.node.stat()
    }

    fn list(&self, position: u64) -> Result<Vec<(DirEntry, u64)>, Errno> {
        let mut fs = self.node.mount.fs.lock();
        let entries = fs.list(self.node.ino, position).map_err(errno)?;
        fs.touch(self.node.ino, now());
        let entry = |(entry, kind): (enclave_ephemeral::Entry, Kind)| {
            let kind = type_bits(kind);
            (DirEntry { ino: entry.ino, kind, name: entry.name }, entry.next)
        };
        Ok(entries.into_iter().map(entry).collect())
    }

    fn reopen(&self, flags: u64) -> Result<Arc<OpenFile>, Errno> {
        reopen(&self.node, flags)
    }

    fn name(&self) -> Vec<u8> {
        self.path.clone()
    }
}
