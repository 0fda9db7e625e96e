//! What is in a pipe: bytes, some of which may be packets (`O_DIRECT`, pipe(7)).

use alloc::collections::VecDeque;

use crate::ByteQueue;

/// Writes of at most this many bytes are not torn (`PIPE_BUF`); also the longest packet, and what
/// a packet counts for.
pub const PIPE_BUF: usize = 4096;

/// Neighbouring bytes of one kind.
#[derive(Clone, Copy, Debug)]
struct Segment {
    len: usize,
    packet: bool,
}

/// What is in a pipe.
#[derive(Debug)]
pub struct PipeBuffer {
    bytes: ByteQueue,
    /// How the bytes are divided; empty if there are no packets among them.
    segments: VecDeque<Segment>,
    capacity: usize,
}

impl PipeBuffer {
    /// An empty pipe that holds `capacity` bytes, a multiple of [`PIPE_BUF`].
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { bytes: ByteQueue::new(), segments: VecDeque::new(), capacity }
    }

    /// Bytes that it holds at most.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Changes the capacity; `false` if there are more bytes now.
    #[must_use]
    pub fn set_capacity(&mut self, capacity: usize) -> bool {
        let fits = self.used() <= capacity;
        if fits {
            self.capacity = capacity;
        }
        fits
    }

    /// Bytes in the pipe.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Part of the capacity that is taken: a packet takes [`PIPE_BUF`], however short it is.
    fn used(&self) -> usize {
        let lost = |segment: &Segment| if segment.packet { PIPE_BUF - segment.len } else { 0 };
        self.bytes.len() + self.segments.iter().map(lost).sum::<usize>()
    }

    /// Whether poll(2) calls it writable.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.capacity.saturating_sub(self.used()) >= PIPE_BUF
    }

    /// How many of `len` bytes can be added now as one piece; zero if the writer has to wait.
    #[must_use]
    pub fn admits(&self, len: usize, packet: bool) -> usize {
        let room = self.capacity.saturating_sub(self.used());
        if packet {
            if room >= PIPE_BUF { len.min(PIPE_BUF) } else { 0 }
        } else if len <= PIPE_BUF && len > room {
            0
        } else {
            len.min(room)
        }
    }

    /// Adds `len` bytes, at most [`PIPE_BUF`] if they are a packet, which `fill` writes: it gets
    /// parts of the pipe and how many bytes come before them.
    ///
    /// # Errors
    ///
    /// That of `fill`; then nothing was added.
    pub fn append<E>(
        &mut self,
        len: usize,
        packet: bool,
        fill: impl FnMut(usize, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.bytes.len();
        self.bytes.append(len, fill)?;
        if packet || !self.segments.is_empty() {
            self.divide(before, len, packet);
        }
        Ok(())
    }

    /// Notes that `len` bytes came behind the `before` that were there.
    fn divide(&mut self, before: usize, len: usize, packet: bool) {
        if self.segments.is_empty() && before > 0 {
            self.segments.push_back(Segment { len: before, packet: false });
        }
        match self.segments.back_mut() {
            Some(last) if !packet && !last.packet => last.len += len,
            _ => self.segments.push_back(Segment { len, packet }),
        }
    }

    /// Takes at most `len` bytes, and not beyond the end of a packet, whose rest is lost. `drain`
    /// reads them: it gets parts and how many bytes came before them. Returns the bytes taken.
    ///
    /// # Errors
    ///
    /// That of `drain`; then nothing was taken.
    pub fn take<E>(
        &mut self,
        len: usize,
        drain: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let taken = self.peek(len, drain)?;
        if self.segments.is_empty() {
            self.bytes.consume(taken);
        } else if taken > 0 {
            self.drop_front(taken);
        }
        Ok(taken)
    }

    /// As [`Self::take`], but the bytes stay.
    ///
    /// # Errors
    ///
    /// That of `drain`.
    pub fn peek<E>(
        &self,
        len: usize,
        mut drain: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let len = len.min(self.whole());
        let [first, second] = self.bytes.front(0, len);
        drain(0, first)?;
        if !second.is_empty() {
            drain(first.len(), second)?;
        }
        Ok(len)
    }

    /// Bytes up to the end of the first packet.
    fn whole(&self) -> usize {
        let mut bytes = 0;
        for segment in &self.segments {
            bytes += segment.len;
            if segment.packet {
                return bytes;
            }
        }
        self.bytes.len()
    }

    fn drop_front(&mut self, mut taken: usize) {
        while taken > 0
            && let Some(first) = self.segments.front_mut()
        {
            let part = taken.min(first.len);
            taken -= part;
            if first.packet || part == first.len {
                self.bytes.consume(first.len);
                self.segments.pop_front();
            } else {
                self.bytes.consume(part);
                first.len -= part;
            }
        }
        if !self.segments.iter().any(|segment| segment.packet) {
            self.segments.clear();
        }
    }

    /// Puts bytes back that were taken and found no other place; they are no packet any more.
    pub fn put_back(&mut self, bytes: &[u8]) {
        if let Some(first) = self.segments.front_mut() {
            if first.packet {
                self.segments.push_front(Segment { len: bytes.len(), packet: false });
            } else {
                first.len += bytes.len();
            }
        }
        self.bytes.unshift(bytes);
    }
}
