//! A mapping, part by part: each is rewritten for itself, and none has to be before another.

use core::ops::Range;

use crate::{Code, Sites, sites, targets};

/// Bytes of a page.
const PAGE: usize = 4096;
/// Bytes that are looked at around a part: branches to what is displaced in it may be there.
const MARGIN: usize = targets::REACH + PAGE;

/// The code of a file's mapping, as it is read into a buffer.
#[derive(Debug)]
pub struct Parts<B> {
    addr: u64,
    len: usize,
    buffer: B,
    /// Offset of the buffer's first byte.
    start: usize,
    /// Offset up to which it holds code.
    filled: usize,
}

impl<B> Parts<B> {
    /// Bytes of the longest part, for which a buffer of 1 MiB suffices.
    pub const LONGEST: usize = (1 << 20) - 2 * MARGIN;

    /// Bytes of a buffer for parts of so many bytes.
    #[must_use]
    pub const fn buffer_for(part: usize) -> usize {
        part + 2 * MARGIN
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Parts<B> {
    /// The code of `len` bytes that will be mapped at `addr`.
    #[must_use]
    pub const fn new(addr: u64, len: usize, buffer: B) -> Self {
        Self { addr, len, buffer, start: 0, filled: 0 }
    }

    /// The sites of a part, which begins at a page, in code that surrounds it. What the buffer holds of that
    /// already must not have been changed. `read` fills bytes from an offset on, and returns how many of
    /// them; the code ends where that is less than all.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    pub fn show<E>(
        &mut self,
        part: Range<usize>,
        read: impl FnOnce(usize, &mut [u8]) -> Result<usize, E>,
    ) -> Result<(Code<'_>, Sites), E> {
        self.forget(part.start.saturating_sub(MARGIN));
        self.extend(self.len.min(part.end + MARGIN), read)?;
        let len = self.filled - self.start;
        let bytes = self.buffer.as_ref().get(..len).unwrap_or_default();
        let code = Code { bytes, addr: self.addr + self.start as u64 };
        let part = self.place_of(part.start).min(len)..self.place_of(part.end).min(len);
        Ok((code, sites::scan_part(&code, part)))
    }

    /// Where the buffer holds the pages of the part that was shown last; behind the end of the code are
    /// zeros.
    pub fn pages(&mut self, part: &Range<usize>) -> Range<usize> {
        let end = part.end.min(self.filled.next_multiple_of(PAGE)).max(part.start);
        let tail = self.place_of(self.filled.min(end))..self.place_of(end);
        self.buffer.as_mut().get_mut(tail).unwrap_or_default().fill(0);
        self.place_of(part.start)..self.place_of(end)
    }

    /// The buffer.
    pub const fn buffer_mut(&mut self) -> &mut B {
        &mut self.buffer
    }

    /// Place of an offset in the buffer.
    const fn place_of(&self, offset: usize) -> usize {
        offset.saturating_sub(self.start)
    }

    /// Drops the bytes before an offset, and all if none is behind it.
    fn forget(&mut self, offset: usize) {
        if offset < self.start || self.filled < offset {
            self.filled = offset;
        } else {
            let kept = offset - self.start..self.filled - self.start;
            self.buffer.as_mut().copy_within(kept, 0);
        }
        self.start = offset;
    }

    /// Reads up to an offset.
    fn extend<E>(
        &mut self,
        end: usize,
        read: impl FnOnce(usize, &mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let offset = self.filled;
        if offset >= end {
            return Ok(());
        }
        let room = offset - self.start..end - self.start;
        let count = read(offset, self.buffer.as_mut().get_mut(room).unwrap_or_default())?;
        self.filled = offset + count;
        if self.filled < end {
            self.len = self.filled;
        }
        Ok(())
    }
}
