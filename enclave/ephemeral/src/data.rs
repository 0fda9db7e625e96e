//! What is in files: reading and writing within the limit.

use crate::{
    BLOCK, Contents, Error, FileSystem, Ino,
    node::{Body, Time},
    tree::SET_GROUP,
};

const BLOCK_LEN: u64 = BLOCK as u64;

impl FileSystem {
    /// The contents of a file.
    ///
    /// # Errors
    ///
    /// [`Error::IsDirectory`], [`Error::Invalid`].
    pub fn contents(&self, ino: Ino) -> Result<&Contents, Error> {
        match &self.node(ino)?.body {
            Body::File(contents) => Ok(contents),
            Body::Directory { .. } => Err(Error::IsDirectory),
            _ => Err(Error::Invalid),
        }
    }

    /// Contents, which change now, and the blocks that are left.
    fn changing(&mut self, ino: Ino, now: Time) -> Result<&mut Contents, Error> {
        let node = self.node_mut(ino)?;
        match &mut node.body {
            Body::File(contents) => {
                (node.times.modify, node.times.change) = (now, now);
                // Who changes a program must not run it as somebody else.
                if node.mode & 0o6000 != 0 {
                    node.mode &= !0o4000 & !(node.mode << 7 & SET_GROUP);
                }
                Ok(contents)
            }
            Body::Directory { .. } => Err(Error::IsDirectory),
            _ => Err(Error::Invalid),
        }
    }

    /// How many of `len` bytes fit at `offset`.
    fn fitting(&self, contents: &Contents, offset: u64, len: usize) -> Result<usize, Error> {
        let room = Contents::MAX_SIZE.saturating_sub(offset);
        if room == 0 && len > 0 {
            return Err(Error::TooBig);
        }
        let len = len.min(usize::try_from(room).unwrap_or(usize::MAX));
        let left = self.limit.saturating_sub(self.used);
        if contents.missing(offset, len as u64) <= left {
            return Ok(len);
        }
        let block_end = |at: u64| (at / BLOCK_LEN + 1) * BLOCK_LEN;
        let (mut end, mut missing) = (offset, 0);
        while end < offset + len as u64 {
            missing += contents.missing(end, 1);
            if missing > left {
                break;
            }
            end = block_end(end);
        }
        let fits = usize::try_from(end - offset).unwrap_or(usize::MAX).min(len);
        if fits == 0 { Err(Error::NoSpace) } else { Ok(fits) }
    }

    /// Writes at most `len` bytes at `offset`, which `fill` copies; returns how many fit.
    ///
    /// # Errors
    ///
    /// [`Error::NoSpace`], [`Error::TooBig`]; the inner result is that of `fill`.
    pub fn write<E>(
        &mut self,
        ino: Ino,
        offset: u64,
        len: usize,
        now: Time,
        fill: impl FnMut(usize, &mut [u8]) -> Result<(), E>,
    ) -> Result<Result<usize, E>, Error> {
        let fits = self.fitting(self.contents(ino)?, offset, len)?;
        let contents = self.changing(ino, now)?;
        let before = contents.blocks();
        let result = contents.write(offset, fits, fill);
        let added = contents.blocks() - before;
        self.used += added;
        Ok(result.map(|()| fits))
    }

    /// Cuts or extends a file.
    ///
    /// # Errors
    ///
    /// [`Error::TooBig`], [`Error::IsDirectory`], [`Error::Invalid`].
    pub fn truncate(&mut self, ino: Ino, size: u64, now: Time) -> Result<(), Error> {
        let freed = self.changing(ino, now)?.truncate(size)?;
        self.used -= freed;
        Ok(())
    }

    /// Makes a hole (`FALLOC_FL_PUNCH_HOLE`).
    ///
    /// # Errors
    ///
    /// [`Error::IsDirectory`], [`Error::Invalid`].
    pub fn punch(&mut self, ino: Ino, start: u64, end: u64, now: Time) -> Result<(), Error> {
        let freed = self.changing(ino, now)?.punch(start, end);
        self.used -= freed;
        Ok(())
    }

    /// Gives blocks to all holes of a range; with `grow`, the file becomes at least as long.
    ///
    /// # Errors
    ///
    /// [`Error::NoSpace`], [`Error::TooBig`].
    pub fn allocate(
        &mut self,
        ino: Ino,
        start: u64,
        end: u64,
        grow: bool,
        now: Time,
    ) -> Result<(), Error> {
        if end > Contents::MAX_SIZE {
            return Err(Error::TooBig);
        }
        let missing = self.contents(ino)?.missing(start, end - start);
        if missing > self.limit.saturating_sub(self.used) {
            return Err(Error::NoSpace);
        }
        self.changing(ino, now)?.allocate(start, end, grow);
        self.used += missing;
        Ok(())
    }
}
