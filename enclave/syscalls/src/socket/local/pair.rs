//! A pair of sockets: what each end has sent, and what has been shut.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use enclave_core::{Missing, Mutex, to_usize, with_pages};
use enclave_descriptors::{Attachment, Channel, Received};
use enclave_files::{OpenFile, WaitQueue, ready};
use enclave_hostcalls::Errno;
use enclave_threads::check_events;

use super::{super::msg, options::Options};
use crate::{ids, process::process, signal::interrupted, wait::Deadline};

/// `POLLRDHUP`.
const READ_HANG_UP: u32 = 0x2000;
/// Most bytes that are copied while a direction is locked.
const PIECE: usize = 64 << 10;

/// Who sent a message, and the files in it.
#[derive(Clone, Default)]
pub(super) struct With {
    /// Process, user and group.
    pub(super) sender: [u32; 3],
    pub(super) files: Vec<Arc<OpenFile>>,
}

impl With {
    /// From the process itself, without files.
    pub(super) fn own() -> Self {
        let [user, group] = ids::of_files();
        Self { sender: [process().pid, user, group], files: Vec::new() }
    }
}

impl Attachment for With {
    fn joins(&self, next: &Self) -> bool {
        self.sender == next.sender && self.files.is_empty() && next.files.is_empty()
    }

    fn is_once(&self) -> bool {
        !self.files.is_empty()
    }

    fn strip(&mut self) {
        self.files = Vec::new();
    }
}

/// Types of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Stream = 1,
    Datagram = 2,
    SeqPacket = 5,
}

/// What one end sends to the other.
struct Direction {
    channel: Channel<With>,
    /// The sender has shut its side, or is gone.
    ended: bool,
    /// The receiver has shut its side, or is gone.
    refused: bool,
    /// The receiver has been closed.
    closed: bool,
    /// The receiver was closed before it had read all, and the sender does not know yet.
    reset: bool,
}

struct Pair {
    kind: Kind,
    /// By sender.
    directions: [Mutex<Direction>; 2],
    /// Who waits for either end.
    queues: [WaitQueue; 2],
    options: [Options; 2],
}

/// A socket of a pair.
pub(crate) struct LocalSocket {
    pair: Arc<Pair>,
    /// Which end: an index.
    end: usize,
    inode: u64,
    /// The other end of a datagram socket is known to be gone.
    disconnected: AtomicBool,
}

/// How data is received.
#[derive(Clone, Copy)]
pub(super) struct How {
    pub(super) flags: u64,
    /// Whether a call must not wait.
    pub(super) nonblocking: bool,
}

impl How {
    pub(super) fn new(file: &OpenFile, flags: u64) -> Self {
        Self { flags, nonblocking: file.nonblocking() || flags & msg::DONTWAIT != 0 }
    }

    fn has(self, flag: u64) -> bool {
        self.flags & flag != 0
    }
}

type Attempt<T> = Result<Result<T, Errno>, Missing>;

impl LocalSocket {
    /// Both ends of a new pair.
    pub(super) fn pair(kind: Kind) -> [Self; 2] {
        static INODES: AtomicU64 = AtomicU64::new(0x3_0000_0000);
        let records = kind != Kind::Stream;
        let direction = || {
            Mutex::new(Direction {
                channel: Channel::new(records, Options::BUFFER),
                ended: false,
                refused: false,
                closed: false,
                reset: false,
            })
        };
        let pair = Arc::new(Pair {
            kind,
            directions: [direction(), direction()],
            queues: [WaitQueue::new(), WaitQueue::new()],
            options: [Options::new(), Options::new()],
        });
        [0, 1].map(|end| Self {
            pair: Arc::clone(&pair),
            end,
            inode: INODES.fetch_add(1, Ordering::Relaxed),
            disconnected: AtomicBool::new(false),
        })
    }

    /// Whether a datagram socket has found that the other end is gone.
    pub(super) fn is_disconnected(&self) -> bool {
        self.disconnected.load(Ordering::Relaxed)
    }

    pub(super) fn kind(&self) -> Kind {
        self.pair.kind
    }

    pub(in crate::socket) fn is_stream(&self) -> bool {
        self.kind() == Kind::Stream
    }

    pub(super) fn options(&self) -> &Options {
        &self.pair.options[self.end]
    }

    fn outgoing(&self) -> &Mutex<Direction> {
        &self.pair.directions[self.end]
    }

    fn incoming(&self) -> &Mutex<Direction> {
        &self.pair.directions[1 - self.end]
    }

    fn wake_both(&self) {
        const ALL: u32 = ready::IN | ready::OUT | ready::ERROR | ready::HANG_UP | READ_HANG_UP;
        self.pair.queues.iter().for_each(|queue| queue.wake(ALL));
    }

    /// Makes the buffer hold as much as the options say.
    pub(super) fn resize(&self, bytes: u32) {
        self.outgoing().lock().channel.set_capacity(to_usize(bytes.into()));
        self.queue_of_own().wake(ready::OUT);
    }

    /// Who waits for this end.
    pub(super) fn queue_of_own(&self) -> &WaitQueue {
        &self.pair.queues[self.end]
    }

    /// The error that is to be told next (`SO_ERROR`).
    pub(super) fn take_error(&self) -> Option<Errno> {
        let mut outgoing = self.outgoing().lock();
        core::mem::take(&mut outgoing.reset).then_some(Errno::ECONNRESET)
    }

    /// Bytes that wait to be received, as `FIONREAD` counts them.
    pub(super) fn pending(&self) -> usize {
        let incoming = self.incoming().lock();
        match self.kind() {
            Kind::Datagram => incoming.channel.first(),
            _ => incoming.channel.len(),
        }
    }

    /// What was sent and not received yet, as `TIOCOUTQ` counts it.
    pub(super) fn unsent(&self) -> usize {
        self.outgoing().lock().channel.used()
    }

    pub(super) fn inode(&self) -> u64 {
        self.inode
    }

    /// Repeats `attempt` until it says something else than `EAGAIN`.
    fn wait_for<T>(
        &self,
        nonblocking: bool,
        timeout: Option<u64>,
        could: impl Fn() -> bool,
        mut attempt: impl FnMut() -> Attempt<T>,
    ) -> Result<T, Errno> {
        let mut deadline = None;
        loop {
            match with_pages(&mut attempt)? {
                Err(Errno::EAGAIN) if !nonblocking => {}
                result => return result,
            }
            let deadline = *deadline.get_or_insert_with(|| Deadline::after(timeout));
            if deadline.passed() {
                return Err(Errno::EAGAIN);
            }
            check_events();
            if interrupted() {
                return Err(deadline.interrupted());
            }
            self.queue_of_own().wait_until(&could, || deadline.park());
        }
    }

    fn try_send(
        &self,
        len: usize,
        with: &With,
        fill: impl FnMut(usize, &mut [u8]) -> Result<(), Missing>,
    ) -> Attempt<usize> {
        let mut outgoing = self.outgoing().lock();
        if outgoing.ended {
            return Ok(Err(Errno::EPIPE));
        }
        if self.is_disconnected() {
            return Ok(Err(Errno::ENOTCONN));
        }
        if outgoing.closed && self.kind() == Kind::Datagram {
            self.disconnected.store(true, Ordering::Relaxed);
            return Ok(Err(Errno::ECONNREFUSED));
        }
        if outgoing.refused {
            return Ok(Err(Errno::EPIPE));
        }
        if !outgoing.channel.can_ever_hold(len) {
            return Ok(Err(Errno::EMSGSIZE));
        }
        let Some(len) = outgoing.channel.admits(len) else { return Ok(Err(Errno::EAGAIN)) };
        let len = if self.is_stream() { len.min(PIECE) } else { len };
        outgoing.channel.send(len, with.clone(), fill)?;
        drop(outgoing);
        self.pair.queues[1 - self.end].wake(ready::IN);
        Ok(Ok(len))
    }

    /// Sends `len` bytes, which `fill` copies; of a stream perhaps fewer, if a signal or an error
    /// comes after some.
    pub(super) fn send(
        &self,
        how: How,
        len: usize,
        mut with: With,
        mut fill: impl FnMut(usize, &mut [u8]) -> Result<(), Missing>,
    ) -> Result<usize, Errno> {
        let could = || {
            let outgoing = self.outgoing().lock();
            outgoing.ended || outgoing.refused || outgoing.channel.admits(len).is_some()
        };
        let timeout = self.options().send_timeout();
        let mut done = 0;
        loop {
            let attempt = || self.try_send(len - done, &with, |at, part| fill(done + at, part));
            match self.wait_for(how.nonblocking, timeout, could, attempt) {
                Ok(count) => done += count,
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            }
            if done == len {
                break;
            }
            with.strip();
        }
        Ok(done)
    }

    fn try_receive(
        &self,
        how: How,
        len: usize,
        drain: impl FnMut(usize, &[u8]) -> Result<(), Missing>,
    ) -> Attempt<Received<With>> {
        let mut incoming = self.incoming().lock();
        let by_sender = self.options().passes_credentials();
        let received = match how.has(msg::PEEK) {
            true => incoming.channel.peek(len, by_sender, drain)?,
            false => incoming.channel.receive(len, by_sender, drain)?,
        };
        let over = match self.kind() {
            Kind::Datagram => incoming.refused,
            _ => incoming.ended || incoming.refused,
        };
        drop(incoming);
        match received {
            Some(received) => {
                if !how.has(msg::PEEK) {
                    self.pair.queues[1 - self.end].wake(ready::OUT);
                }
                Ok(Ok(received))
            }
            None => Ok(match self.take_error() {
                Some(errno) => Err(errno),
                None if over => Ok(Received { count: 0, whole: 0, with: With::default() }),
                None => Err(Errno::EAGAIN),
            }),
        }
    }

    /// Receives at most `len` bytes, which `drain` copies; as many of a stream, if that is wanted,
    /// unless it ends, descriptors come, or a signal.
    pub(super) fn receive(
        &self,
        how: How,
        len: usize,
        mut drain: impl FnMut(usize, &[u8]) -> Result<(), Missing>,
    ) -> Result<Received<With>, Errno> {
        let could = || {
            let incoming = self.incoming().lock();
            !incoming.channel.is_empty() || incoming.ended || incoming.refused
        };
        let timeout = self.options().receive_timeout();
        let all = self.is_stream() && how.has(msg::WAITALL) && !how.has(msg::PEEK);
        let first = || self.try_receive(how, len, &mut drain);
        let mut received = self.wait_for(how.nonblocking, timeout, could, first)?;
        while all && received.count > 0 && received.count < len && received.with.files.is_empty() {
            let done = received.count;
            let next = || self.try_receive(how, len - done, |at, part| drain(done + at, part));
            match self.wait_for(how.nonblocking, timeout, could, next) {
                Ok(more) if more.count > 0 => {
                    received.count += more.count;
                    received.whole = received.count;
                    received.with.files = more.with.files;
                }
                _ => break,
            }
        }
        Ok(received)
    }

    /// What the socket is ready for.
    pub(super) fn events(&self) -> u32 {
        let outgoing = self.outgoing().lock();
        let mut events = if outgoing.channel.is_writable() { ready::OUT } else { 0 };
        events |= if outgoing.reset { ready::ERROR } else { 0 };
        let (ended, refused) = (outgoing.ended, outgoing.refused);
        drop(outgoing);
        let incoming = self.incoming().lock();
        let connected = self.kind() != Kind::Datagram;
        let no_more = incoming.refused || connected && incoming.ended;
        events |= if incoming.channel.is_empty() { 0 } else { ready::IN };
        events |= if no_more { ready::IN | READ_HANG_UP } else { 0 };
        let both = no_more && (ended || connected && refused);
        events | if both { ready::HANG_UP } else { 0 }
    }

    /// shutdown(2): 0 for receiving, 1 for sending, 2 for both.
    pub(super) fn shut(&self, how: u64) -> Result<(), Errno> {
        if how > 2 {
            return Err(Errno::EINVAL);
        }
        if how != 1 {
            self.incoming().lock().refused = true;
        }
        if how != 0 {
            self.outgoing().lock().ended = true;
        }
        self.wake_both();
        Ok(())
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        let mut incoming = self.incoming().lock();
        (incoming.refused, incoming.closed) = (true, true);
        incoming.reset = !incoming.channel.is_empty() && self.kind() != Kind::Datagram;
        // What was never received goes: it may hold files, which are closed without the lock.
        let rest = core::mem::replace(&mut incoming.channel, Channel::new(true, 0));
        drop(incoming);
        drop(rest);
        self.outgoing().lock().ended = true;
        self.wake_both();
    }
}
