//! One direction of a pair of sockets: a stream of bytes, or records, with what comes with them
//! (unix(7)).

use alloc::collections::VecDeque;

use crate::ByteQueue;

/// What a record takes of the capacity besides its bytes: even empty ones cannot pile up.
const OVERHEAD: usize = 512;

/// What comes with data: its sender, descriptors.
pub trait Attachment: Clone {
    /// Whether data with `next` may follow in the same message of a stream.
    fn joins(&self, next: &Self) -> bool;
    /// Whether it holds something that is given out once, with the first byte of its message.
    fn is_once(&self) -> bool;
    /// Takes that away.
    fn strip(&mut self);
}

#[derive(Debug)]
struct Message<A> {
    len: usize,
    with: A,
}

/// One direction of a pair of sockets.
#[derive(Debug)]
pub struct Channel<A> {
    bytes: ByteQueue,
    messages: VecDeque<Message<A>>,
    /// Messages keep their borders.
    records: bool,
    capacity: usize,
}

/// What was received.
#[derive(Debug, PartialEq, Eq)]
pub struct Received<A> {
    /// Bytes that were copied.
    pub count: usize,
    /// Length of the record; for a stream, as `count`.
    pub whole: usize,
    /// What came with it.
    pub with: A,
}

impl<A: Attachment> Channel<A> {
    /// An empty one that holds about `capacity` bytes.
    #[must_use]
    pub fn new(records: bool, capacity: usize) -> Self {
        Self { bytes: ByteQueue::new(), messages: VecDeque::new(), records, capacity }
    }

    /// Changes the capacity.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// Whether there is nothing to receive.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes that wait to be received.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of the first message.
    #[must_use]
    pub fn first(&self) -> usize {
        self.messages.front().map_or(0, |message| message.len)
    }

    /// Part of the capacity that is taken.
    #[must_use]
    pub fn used(&self) -> usize {
        self.bytes.len() + if self.records { self.messages.len() * OVERHEAD } else { 0 }
    }

    /// Whether poll(2) calls it writable.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.used() <= self.capacity / 4
    }

    /// How many of `len` bytes can be sent now; `None` if the sender has to wait. Records are sent
    /// as a whole while any room is left.
    #[must_use]
    pub fn admits(&self, len: usize) -> Option<usize> {
        let room = self.capacity.checked_sub(self.used()).filter(|&room| room > 0)?;
        Some(if self.records { len } else { len.min(room) })
    }

    /// Whether a record of this length can ever be sent.
    #[must_use]
    pub const fn can_ever_hold(&self, len: usize) -> bool {
        !self.records || len <= self.capacity.saturating_sub(32)
    }

    /// Sends `len` bytes, which `fill` writes: it gets parts and how many bytes come before them.
    ///
    /// # Errors
    ///
    /// That of `fill`; then nothing was sent.
    pub fn send<E>(
        &mut self,
        len: usize,
        with: A,
        fill: impl FnMut(usize, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.bytes.append(len, fill)?;
        match self.messages.back_mut() {
            Some(last) if !self.records && last.with.joins(&with) => last.len += len,
            _ if self.records || len > 0 => self.messages.push_back(Message { len, with }),
            _ => {}
        }
        Ok(())
    }

    /// Receives at most `len` bytes, which `drain` reads: of one record, whose rest is lost, or of
    /// a stream up to the end of a message with something that is given out once. With
    /// `by_sender`, what does not join is not received together. `None` if there is nothing.
    ///
    /// # Errors
    ///
    /// That of `drain`; then everything stays.
    pub fn receive<E>(
        &mut self,
        len: usize,
        by_sender: bool,
        drain: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<Option<Received<A>>, E> {
        let received = self.peek(len, by_sender, drain)?;
        if let Some(received) = &received {
            if self.records {
                self.bytes.consume(received.whole);
                self.messages.pop_front();
            } else {
                self.drop_front(received.count);
            }
        }
        Ok(received)
    }

    /// As [`Self::receive`], but everything stays.
    ///
    /// # Errors
    ///
    /// That of `drain`.
    pub fn peek<E>(
        &self,
        len: usize,
        by_sender: bool,
        mut drain: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<Option<Received<A>>, E> {
        let Some(first) = self.messages.front() else { return Ok(None) };
        let mut with = first.with.clone();
        let count = match self.records {
            true => len.min(first.len),
            false => self.together(len, by_sender, &mut with),
        };
        let [one, other] = self.bytes.front(0, count);
        drain(0, one)?;
        if !other.is_empty() {
            drain(one.len(), other)?;
        }
        let whole = if self.records { first.len } else { count };
        Ok(Some(Received { count, whole, with }))
    }

    /// How many of `len` bytes of a stream are received together, and with what.
    fn together(&self, len: usize, by_sender: bool, with: &mut A) -> usize {
        let mut count = 0;
        for message in &self.messages {
            let mut sender = message.with.clone();
            sender.strip();
            if count == len || by_sender && count > 0 && !with.joins(&sender) {
                break;
            }
            count += message.len.min(len - count);
            if message.with.is_once() {
                *with = message.with.clone();
                break;
            }
        }
        count
    }

    fn drop_front(&mut self, mut count: usize) {
        self.bytes.consume(count);
        while count > 0
            && let Some(first) = self.messages.front_mut()
        {
            let part = count.min(first.len);
            count -= part;
            first.len -= part;
            first.with.strip();
            if first.len == 0 {
                self.messages.pop_front();
            }
        }
    }
}
