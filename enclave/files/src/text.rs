//! Files and directories that are made inside, as those of `/proc/self`.

use alloc::{boxed::Box, vec::Vec};

use enclave_core::{Mutex, to_usize};
use enclave_hostcalls::Errno;

use crate::{DirEntry, Io, Object, OpenFile, Stat, kind};

/// Where a seek leads; `end` is the size.
fn seek(now: u64, end: u64, offset: u64, whence: u64) -> Result<u64, Errno> {
    let base = match whence {
        0 => 0,
        1 => now,
        2 => end,
        _ => return Err(Errno::EINVAL),
    };
    let position = base.checked_add_signed(offset.cast_signed()).ok_or(Errno::EINVAL)?;
    if i64::try_from(position).is_err() { Err(Errno::EINVAL) } else { Ok(position) }
}

type Write = Box<dyn Fn(&[u8]) -> Result<(), Errno> + Send + Sync>;

/// A file whose contents are made when it is opened.
pub struct Text {
    path: Vec<u8>,
    contents: Vec<u8>,
    write: Option<Write>,
    position: Mutex<u64>,
}

impl Text {
    /// A file to be read.
    #[must_use]
    pub fn new(path: &[u8], contents: Vec<u8>) -> Self {
        Self { path: path.to_vec(), contents, write: None, position: Mutex::new(0) }
    }

    /// A file that may be written as well: `write` gets what one call writes.
    #[must_use]
    pub fn writable(
        path: &[u8],
        contents: Vec<u8>,
        write: impl Fn(&[u8]) -> Result<(), Errno> + Send + Sync + 'static,
    ) -> Self {
        Self { write: Some(Box::new(write)), ..Self::new(path, contents) }
    }

    fn mode(&self) -> u32 {
        kind::REGULAR | if self.write.is_some() { 0o644 } else { 0o444 }
    }
}

/// A number that stands for a path.
pub(crate) fn inode(path: &[u8]) -> u64 {
    let hash = path.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    hash >> 32 | 0x1_0000_0000
}

impl Object for Text {
    fn read(&self, _: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        let at = io.at.unwrap_or(*self.position.lock());
        let start = self.contents.len().min(to_usize(at));
        let count = io.fill(&self.contents[start..])?;
        if io.at.is_none() {
            *self.position.lock() = at + count;
        }
        Ok(count)
    }

    fn write(&self, _: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        let write = self.write.as_ref().ok_or(Errno::EACCES)?;
        let mut bytes = Vec::new();
        for buffer in io.buffers {
            bytes.extend_from_slice(&buffer.first(4096).to_vec()?);
        }
        write(&bytes)?;
        Ok(io.len())
    }

    fn seek(&self, offset: u64, whence: u64) -> Result<u64, Errno> {
        let mut position = self.position.lock();
        *position = seek(*position, self.contents.len() as u64, offset, whence)?;
        Ok(*position)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(Stat::inside(self.mode(), inode(&self.path)))
    }

    fn name(&self) -> Vec<u8> {
        self.path.clone()
    }
}

/// A directory that exists inside.
pub struct Directory {
    path: Vec<u8>,
    list: Box<dyn Fn() -> Vec<DirEntry> + Send + Sync>,
    /// Entries that were read.
    position: Mutex<u64>,
}

impl Directory {
    /// A directory with this path; `list` makes its entries.
    #[must_use]
    pub fn new(path: &[u8], list: impl Fn() -> Vec<DirEntry> + Send + Sync + 'static) -> Self {
        Self { path: path.to_vec(), list: Box::new(list), position: Mutex::new(0) }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }
}

impl Object for Directory {
    fn read(&self, _: &OpenFile, _: &Io<'_>) -> Result<u64, Errno> {
        Err(Errno::EISDIR)
    }

    fn seek(&self, offset: u64, whence: u64) -> Result<u64, Errno> {
        let mut position = self.position.lock();
        *position = seek(*position, 0, offset, whence)?;
        Ok(*position)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let mode = kind::DIRECTORY | 0o555;
        Ok(Stat { nlink: 2, ..Stat::inside(mode, inode(&self.path)) })
    }

    fn entries(&self) -> Result<Vec<DirEntry>, Errno> {
        let ino = inode(&self.path);
        let dots = [b".".as_slice(), b".."].map(|name| DirEntry {
            ino,
            kind: kind::DIRECTORY,
            name: name.to_vec(),
        });
        Ok(dots.into_iter().chain((self.list)()).collect())
    }

    fn name(&self) -> Vec<u8> {
        self.path.clone()
    }
}
