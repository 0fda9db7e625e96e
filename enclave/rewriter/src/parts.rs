//! A long mapping, part by part: what has been looked at is not kept.

use alloc::vec::Vec;
use core::ops::Range;

use crate::{Code, Origin, Sites, sites, targets};

/// Bytes whose sites are found at a time.
const PART: usize = 256 << 10;
/// Bytes that are kept around a part: what is displaced lies within a page of its site, and branches to
/// that are looked for still further away.
const MARGIN: usize = targets::REACH + 4096;

/// The code of a file's mapping, as it is read.
#[derive(Debug)]
pub struct Parts {
    addr: u64,
    len: usize,
    /// Bytes from the offset `start` on.
    bytes: Vec<u8>,
    start: usize,
    /// Offset up to which sites have been found.
    done: usize,
}

impl Parts {
    /// The code of `len` bytes that will be mapped at `addr`.
    #[must_use]
    pub fn new(addr: u64, len: usize) -> Self {
        let bytes = Vec::with_capacity(len.min(PART + 2 * MARGIN));
        Self { addr, len, bytes, start: 0, done: 0 }
    }

    /// The sites of the next part, in code that surrounds it; `None` at the end. `read` fills a buffer
    /// from an offset on, and returns how much of it; the code ends where that is less than all.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    pub fn next<E>(
        &mut self,
        read: impl FnOnce(usize, &mut [u8]) -> Result<usize, E>,
    ) -> Result<Option<(Code<'_>, Sites)>, E> {
        if self.done >= self.len {
            return Ok(None);
        }
        self.forget(self.done.saturating_sub(MARGIN));
        self.extend(self.len.min(self.done + PART + MARGIN), read)?;
        let Range { start, end } = self.done..self.len.min(self.done + PART);
        self.done = end;
        let code =
            Code { bytes: &self.bytes, addr: self.addr + self.start as u64, origin: Origin::File };
        let part = start.saturating_sub(self.start)..end.saturating_sub(self.start);
        Ok(Some((code, sites::scan_part(&code, part))))
    }

    /// Drops the bytes before an offset.
    fn forget(&mut self, offset: usize) {
        self.bytes.drain(..(offset - self.start).min(self.bytes.len()));
        self.start = offset;
    }

    /// Reads up to an offset.
    fn extend<E>(
        &mut self,
        end: usize,
        read: impl FnOnce(usize, &mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let have = self.bytes.len();
        let offset = self.start + have;
        if offset >= end {
            return Ok(());
        }
        self.bytes.resize(end - self.start, 0);
        let count = read(offset, self.bytes.get_mut(have..).unwrap_or_default())?;
        if offset + count < end {
            self.bytes.truncate(have + count);
            self.len = offset + count;
        }
        Ok(())
    }
}
