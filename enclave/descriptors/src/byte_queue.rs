//! A queue of bytes in one ring of memory, which grows.

use alloc::{boxed::Box, vec};

/// Bytes of the first ring.
const FIRST: usize = 1024;

/// A queue of bytes.
#[derive(Debug, Default)]
pub struct ByteQueue {
    /// The ring; its length is zero or a power of two.
    ring: Box<[u8]>,
    start: usize,
    len: usize,
}

impl ByteQueue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes in the queue.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The two parts of the ring that hold `len` bytes from `offset` of the queue: start and
    /// length of the first, length of the second, which begins with the ring.
    fn parts(&self, offset: usize, len: usize) -> (usize, usize, usize) {
        let start = (self.start + offset) & self.ring.len().wrapping_sub(1);
        let first = len.min(self.ring.len() - start);
        (start, first, len - first)
    }

    fn reserve(&mut self, more: usize) {
        let wanted = self.len + more;
        if wanted <= self.ring.len() {
            return;
        }
        let mut ring = vec![0; wanted.max(FIRST).next_power_of_two()].into_boxed_slice();
        let mut at = 0;
        for part in self.front(0, self.len) {
            ring[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        (self.ring, self.start) = (ring, 0);
    }

    /// Adds `len` bytes at the end, which `fill` writes: it gets parts and how many bytes come
    /// before them.
    ///
    /// # Errors
    ///
    /// That of `fill`; then nothing was added.
    pub fn append<E>(
        &mut self,
        len: usize,
        mut fill: impl FnMut(usize, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.reserve(len);
        let (start, first, second) = self.parts(self.len, len);
        let (begin, end) = self.ring.split_at_mut(start);
        fill(0, &mut end[..first])?;
        if second > 0 {
            fill(first, &mut begin[..second])?;
        }
        self.len += len;
        Ok(())
    }

    /// Puts bytes back before the first.
    pub fn unshift(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.start = self.start.wrapping_sub(bytes.len()) & self.ring.len().wrapping_sub(1);
        self.len += bytes.len();
        let (start, first, second) = self.parts(0, bytes.len());
        self.ring[start..start + first].copy_from_slice(&bytes[..first]);
        self.ring[..second].copy_from_slice(&bytes[first..]);
    }

    /// The `len` bytes from `offset`, in two parts.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    #[must_use]
    pub fn front(&self, offset: usize, len: usize) -> [&[u8]; 2] {
        assert!(offset <= self.len && len <= self.len - offset);
        let (start, first, second) = self.parts(offset, len);
        [&self.ring[start..start + first], &self.ring[..second]]
    }

    /// Removes the first `len` bytes.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub fn consume(&mut self, len: usize) {
        assert!(len <= self.len);
        self.len -= len;
        self.start =
            if self.len == 0 { 0 } else { (self.start + len) & self.ring.len().wrapping_sub(1) };
    }
}
