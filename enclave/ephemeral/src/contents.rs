//! The contents of a file: its size, and blocks where it is not a hole.

use crate::{
    Error,
    blocks::{BLOCK, Blocks},
};

const BLOCK_LEN: u64 = BLOCK as u64;
const ZEROS: [u8; BLOCK] = [0; BLOCK];

/// The contents of a file.
#[derive(Debug, Default)]
pub struct Contents {
    blocks: Blocks,
    size: u64,
}

/// Offset in its block.
fn within(offset: u64) -> usize {
    usize::try_from(offset % BLOCK_LEN).unwrap_or(0)
}

impl Contents {
    /// Longest file in bytes.
    pub const MAX_SIZE: u64 = i64::MAX as u64;

    /// Bytes, holes included.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Blocks that are no holes.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.blocks.count()
    }

    /// Blocks that a write of `len` bytes at `offset` would add.
    #[must_use]
    pub fn missing(&self, offset: u64, len: u64) -> u64 {
        if len == 0 {
            return 0;
        }
        let (first, last) = (offset / BLOCK_LEN, (offset + (len - 1)) / BLOCK_LEN);
        if first == last {
            return self.blocks.get(first).is_none().into();
        }
        last - first + 1 - self.blocks.count_in(first..last + 1)
    }

    /// Reads at most `len` bytes at `offset`: `drain` gets parts and how many bytes come before
    /// them. Returns the bytes read.
    ///
    /// # Errors
    ///
    /// That of `drain`.
    pub fn read<E>(
        &self,
        offset: u64,
        len: usize,
        mut drain: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let rest = self.size.saturating_sub(offset);
        let len = len.min(usize::try_from(rest).unwrap_or(usize::MAX));
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let start = within(at);
            let count = (BLOCK - start).min(len - done);
            let block = self.blocks.get(at / BLOCK_LEN).unwrap_or(&ZEROS);
            drain(done, &block[start..start + count])?;
            done += count;
        }
        Ok(len)
    }

    /// Writes `len` bytes at `offset`, which `fill` copies: it gets parts and how many bytes come
    /// before them. The file grows as far as that succeeds.
    ///
    /// # Errors
    ///
    /// That of `fill`: what comes before is written.
    pub fn write<E>(
        &mut self,
        offset: u64,
        len: usize,
        mut fill: impl FnMut(usize, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let start = within(at);
            let count = (BLOCK - start).min(len - done);
            let block = self.blocks.make(at / BLOCK_LEN);
            if let Err(error) = fill(done, &mut block[start..start + count]) {
                // A part may be copied: what is behind the end must not show when the file grows.
                self.clear(at.max(self.size), at + count as u64);
                return Err(error);
            }
            done += count;
            self.size = self.size.max(at + count as u64);
        }
        Ok(())
    }

    /// Cuts or extends; returns the blocks that became free.
    ///
    /// # Errors
    ///
    /// [`Error::TooBig`].
    pub fn truncate(&mut self, size: u64) -> Result<u64, Error> {
        if size > Self::MAX_SIZE {
            return Err(Error::TooBig);
        }
        let freed = if size < self.size { self.forget(size) } else { 0 };
        self.size = size;
        Ok(freed)
    }

    /// Everything behind `size` becomes zero.
    fn forget(&mut self, size: u64) -> u64 {
        let keep = size.div_ceil(BLOCK_LEN);
        let freed = self.blocks.remove(keep..u64::MAX);
        self.clear(size, keep * BLOCK_LEN);
        freed
    }

    /// Zeros a part of one block, if it is there.
    fn clear(&mut self, start: u64, end: u64) {
        if start < end && self.blocks.get(start / BLOCK_LEN).is_some() {
            let block = self.blocks.make(start / BLOCK_LEN);
            let first = within(start);
            let len = usize::try_from(end - start).unwrap_or(0);
            block[first..first + len].fill(0);
        }
    }

    /// Makes a hole; the size stays. Returns the blocks that became free.
    pub fn punch(&mut self, start: u64, end: u64) -> u64 {
        let (first, last) = (start.div_ceil(BLOCK_LEN), end / BLOCK_LEN);
        if first > last {
            self.clear(start, end);
            return 0;
        }
        self.clear(start, first * BLOCK_LEN);
        self.clear(last * BLOCK_LEN, end);
        self.blocks.remove(first..last)
    }

    /// Gives blocks to all holes of a range; with `grow`, the file becomes at least as long.
    pub fn allocate(&mut self, start: u64, end: u64, grow: bool) {
        for index in start / BLOCK_LEN..end.div_ceil(BLOCK_LEN) {
            self.blocks.make(index);
        }
        if grow {
            self.size = self.size.max(end);
        }
    }

    /// The next data (`SEEK_DATA`) at or behind `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::NoData`] if there is none.
    pub fn next_data(&self, offset: u64) -> Result<u64, Error> {
        if offset >= self.size {
            return Err(Error::NoData);
        }
        let found = self.blocks.next(offset / BLOCK_LEN).map(|block| offset.max(block * BLOCK_LEN));
        found.filter(|&found| found < self.size).ok_or(Error::NoData)
    }

    /// The next hole (`SEEK_HOLE`) at or behind `offset`; there is one behind the end.
    ///
    /// # Errors
    ///
    /// [`Error::NoData`] if the offset is behind the end.
    pub fn next_hole(&self, offset: u64) -> Result<u64, Error> {
        if offset >= self.size {
            return Err(Error::NoData);
        }
        let mut block = offset / BLOCK_LEN;
        while self.blocks.get(block).is_some() {
            block += 1;
        }
        Ok(offset.max(block * BLOCK_LEN).min(self.size))
    }
}
