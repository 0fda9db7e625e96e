//! A mapping, part by part: what has been looked at is not kept.

use core::ops::Range;

use crate::{Code, Sites, sites, targets};

/// Bytes of a page: what is displaced lies within so many of its site.
const PAGE: usize = 4096;
/// Bytes that are kept around a part: branches to what is displaced are looked for still further away.
const MARGIN: usize = targets::REACH + PAGE;
/// Bytes whose sites are found at a time.
const PART: usize = Parts::<&mut [u8]>::BUFFER - 2 * MARGIN;

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
    /// Offset up to which sites have been found.
    done: usize,
    /// Offset up to which code was taken.
    taken: usize,
}

impl<B> Parts<B> {
    /// Bytes of the buffer; as many as the code has suffice.
    pub const BUFFER: usize = 1 << 20;
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Parts<B> {
    /// The code of `len` bytes that will be mapped at `addr`.
    #[must_use]
    pub const fn new(addr: u64, len: usize, buffer: B) -> Self {
        Self { addr, len, buffer, start: 0, filled: 0, done: 0, taken: 0 }
    }

    /// The sites of the next part, in code that surrounds it; `None` at the end. `read` fills bytes
    /// from an offset on, and returns how many of them; the code ends where that is less than all.
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
        let bytes = self.buffer.as_ref().get(..self.filled - self.start).unwrap_or_default();
        let code = Code { bytes, addr: self.addr + self.start as u64 };
        let part = start.saturating_sub(self.start)..end.saturating_sub(self.start);
        Ok(Some((code, sites::scan_part(&code, part))))
    }

    /// Offset of the buffer's first byte, and the pages, as offsets, that no site yet to be found changes.
    /// Each is answered once, while the buffer holds it; behind the end of the code are zeros.
    pub fn take_settled(&mut self) -> (usize, Range<usize>) {
        let end = if self.done < self.len {
            self.done.saturating_sub(PAGE)
        } else {
            let end = self.filled.next_multiple_of(PAGE);
            let tail = self.filled - self.start..end - self.start;
            self.buffer.as_mut().get_mut(tail).unwrap_or_default().fill(0);
            end
        };
        let settled = self.taken.min(end)..end;
        self.taken = end;
        (self.start, settled)
    }

    /// The buffer. What it holds must not differ when the next part is asked for.
    pub const fn buffer_mut(&mut self) -> &mut B {
        &mut self.buffer
    }

    /// Drops the bytes before an offset.
    fn forget(&mut self, offset: usize) {
        let kept = offset.min(self.filled) - self.start..self.filled - self.start;
        self.buffer.as_mut().copy_within(kept, 0);
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
