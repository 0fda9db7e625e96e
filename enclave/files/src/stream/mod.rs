//! Streams whose data is sent with the next call that leaves ([`Call::post_for`]).
//!
//! A write to a stream socket that does not wait says that the kernel has taken the data, no more: it
//! may be lost still when the other side has gone. So the program can be told so before the kernel has
//! it, as long as the kernel has room. How much room there is, is asked now and then, and counted down
//! by more than what is sent.
//!
//! If the kernel does not take all of it nevertheless (its memory is short, or it lies), what is left is
//! kept and tried again until it is gone; nothing that the program sends goes before it. An error that a
//! posted call has met is told to the next call that sends or receives.

mod cork;
mod data;
mod head;
mod incoming;
mod left;
mod receive;
mod room;
mod told;

use alloc::{collections::VecDeque, sync::Arc};
use core::{fmt, sync::atomic::Ordering};

use enclave_core::Mutex;
use enclave_hostcalls::{
    Call, Errno, Kind, Queue, Sender, Wait, can_hold, can_post, flush, misbehaved,
};
use enclave_threads::{give_processor_away, yield_now};

pub use self::{
    cork::Cork,
    data::Data,
    head::{Behind, keep_heads_waiting},
    incoming::Moment,
    left::data_is_left,
    told::Told,
};
use self::{
    head::{Head, will_be_taken},
    incoming::Incoming,
    left::{HOLDING, Left, Piece},
    room::Room,
};
use crate::HostFd;

mod nr {
    pub(super) const POLL: u64 = 7;
    pub(super) const SENDTO: u64 = 44;
    pub(super) const GETSOCKOPT: u64 = 55;
}

const MSG_DONTWAIT: u64 = 0x40;
const MSG_NOSIGNAL: u64 = 0x4000;
const MSG_MORE: u64 = 0x8000;
const POLLOUT: u64 = 4;
/// Longest piece that is posted, in bytes.
const LONGEST: u64 = 16 << 10;

/// Whether data may be sent as a piece.
fn is_plain(data: Data<'_>, flags: u64) -> bool {
    flags & !(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE) == 0 && (1..=LONGEST).contains(&data.len())
}

/// Where a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// Another process of the machine (`AF_UNIX`).
    Local,
}

/// A stream socket of the host.
pub struct Stream {
    fd: Arc<HostFd>,
    transport: Transport,
    state: Mutex<State>,
    cork: Cork,
    incoming: Arc<Incoming>,
    told: Arc<Told>,
    queue: Queue,
}

#[derive(Default)]
struct State {
    room: Room,
    /// Never post: there is no telling what the kernel would say.
    never: bool,
    /// Pieces that were posted and have not come back.
    under_way: usize,
    /// The last of them, if it is the head of something.
    head: Option<Head>,
    /// What the kernel did not take, in order. Not empty only while `holding`.
    left: VecDeque<Piece>,
    holding: bool,
    /// Whether somebody sends what is left.
    sending: bool,
    error: Option<Errno>,
}

impl State {
    /// Whether a piece of `len` bytes may be posted: by a cork alone if nothing else is under way, for then it
    /// is sent before the program learns how much room there is.
    fn may_post(&self, len: u64, corked: bool) -> bool {
        let may = !self.never && !self.holding && !self.sending && self.error.is_none();
        may && (can_post() && self.room.has(len) || corked && can_hold() && self.under_way == 0)
    }
}

impl Stream {
    pub(crate) fn new(fd: Arc<HostFd>, transport: Transport) -> Arc<Self> {
        let (cork, incoming) = (Cork::new(Arc::clone(&fd)), Incoming::new(Arc::clone(&fd)));
        Arc::new(Self {
            fd,
            transport,
            state: Mutex::default(),
            cork,
            incoming,
            told: Arc::default(),
            queue: Queue::default(),
        })
    }

    /// Whether it goes by TCP.
    pub fn is_tcp(&self) -> bool {
        self.transport == Transport::Tcp
    }

    /// Sends data: with the next call that leaves if it may not wait, else by `send`, behind all that was
    /// posted.
    ///
    /// # Errors
    ///
    /// As [`Self::post`], [`Self::settle`] and `send`.
    pub fn send_by(
        self: &Arc<Self>,
        data: Data<'_>,
        flags: u64,
        wait: bool,
        send: impl FnOnce() -> Result<u64, Errno>,
    ) -> Result<u64, Errno> {
        if !wait && is_plain(data, flags) {
            let with_cork = self.cork.begin(flags);
            let corked = with_cork != flags;
            let sent = match self.post(data, with_cork, corked) {
                Some(posted) => posted,
                None if corked => self.send_now(data, with_cork),
                None => self.send_behind(wait, send),
            };
            if corked {
                self.cork.end();
            }
            return sent;
        }
        self.cork.tell()?;
        self.send_behind(wait, send)
    }

    fn send_behind(
        self: &Arc<Self>,
        wait: bool,
        send: impl FnOnce() -> Result<u64, Errno>,
    ) -> Result<u64, Errno> {
        self.settle(wait)?;
        send().inspect(|_| self.ask())
    }

    /// Sends data by a call of its own, without waiting.
    fn send_now(self: &Arc<Self>, data: Data<'_>, flags: u64) -> Result<u64, Errno> {
        let call = self.piece(data, flags, 0)?;
        self.send_behind(false, || call.count(Wait::No, data.len()))
    }

    /// Has plain data sent without waiting, with the next call that leaves, or what belongs to it if there is a
    /// cork. `None` if it is to be sent by a call of its own, after [`Self::settle`].
    ///
    /// # Errors
    ///
    /// `EFAULT` if the program cannot read a buffer.
    fn post(
        self: &Arc<Self>,
        data: Data<'_>,
        flags: u64,
        corked: bool,
    ) -> Option<Result<u64, Errno>> {
        let len = data.len();
        // Staged only if it will be of use.
        if !self.state.lock().may_post(len, corked) {
            return None;
        }
        let room = if corked && len <= head::LONGEST { head::ROOM } else { 0 };
        let call = match self.piece(data, flags, room) {
            Ok(call) => call,
            Err(Errno::ENOMEM) => return None,
            Err(errno) => return Some(Err(errno)),
        };
        // Before the piece, which is taken back if it is a head, and can be only while it is the last one.
        self.ask();
        let mut state = self.state.lock();
        if !state.may_post(len, corked) {
            return None;
        }
        // With nothing else under way, it may be more than there is room for.
        state.room.take(len);
        state.under_way += 1;
        state.head = corked.then(|| Head::new(&call, len, room)).flatten();
        drop(state);
        call.post_for(self.clone(), Kind::Piece(len));
        Some(Ok(len))
    }

    /// A call that sends data, with room behind it for more.
    fn piece(&self, data: Data<'_>, flags: u64, room: u64) -> Result<Call, Errno> {
        let len = data.len();
        let mut call = Call::new(nr::SENDTO, len + room)?;
        let at = data.stage(&mut call)?;
        call.args([self.fd.number(), at, len, flags | MSG_DONTWAIT | MSG_NOSIGNAL]);
        Ok(call)
    }

    /// Asks how much room there is, if little is known of it: to be called when data is sent.
    fn ask(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.never || !state.room.is_to_be_asked() || !can_post() {
            return;
        }
        let Ok(call) = state.room.ask(&self.fd) else { return };
        drop(state);
        call.post_for(self.clone(), Kind::Question);
    }

    /// To be called when the program changes how much the kernel takes: nothing that is known holds.
    pub fn forget_room(&self) {
        self.state.lock().room.forget();
    }

    /// To be called when the program knows, or may know, that sending fails: each piece leaves by itself
    /// from here on.
    pub fn post_no_more(&self) {
        self.state.lock().never = true;
    }

    /// To be called before data is sent by another call, or the stream is shut down: what was posted is
    /// sent first, and the kernel knows the options.
    ///
    /// # Errors
    ///
    /// As [`Self::settle`], and `ENOMEM`.
    pub fn before_sending(self: &Arc<Self>, wait: bool) -> Result<(), Errno> {
        self.settle(wait)?;
        self.cork.tell()
    }

    /// Sends by `send`, behind all that was posted, `count` bytes none of which have to wait for more.
    ///
    /// # Errors
    ///
    /// As [`Self::settle`] and `send`.
    pub fn send_all_by(
        self: &Arc<Self>,
        wait: bool,
        count: u64,
        send: impl FnOnce() -> Result<u64, Errno>,
    ) -> Result<u64, Errno> {
        self.settle(wait)?;
        let begun = self.cork.begin_all();
        send().inspect(|&sent| {
            if sent == count {
                self.cork.all_sent(begun);
            }
        })
    }

    /// To be called when the program takes the cork out: what waits for more waits no longer.
    pub fn uncork(self: &Arc<Self>) {
        self.send_head(false);
    }

    /// Its cork, if it goes by TCP.
    pub fn cork(&self) -> Option<&Cork> {
        self.is_tcp().then_some(&self.cork)
    }

    /// Has what was posted sent. With `wait` it takes as long as it takes, until a signal comes.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if the kernel has no room for it, `EINTR`, or what an earlier piece has met.
    fn settle(self: &Arc<Self>, wait: bool) -> Result<(), Errno> {
        self.send_head(true);
        if self.state.lock().under_way > 0 {
            flush();
        }
        loop {
            match self.send_what_is_left() {
                Left::Nothing => break,
                Left::Busy => {
                    yield_now();
                    give_processor_away();
                    continue;
                }
                Left::Refused if !wait => return Err(Errno::EAGAIN),
                Left::Refused => {}
            }
            let mut call = Call::new(nr::POLL, 8)?;
            let entry = call.room(8);
            entry.word(0).write(self.fd.number() | POLLOUT << 32);
            call.args([entry.address(), 1, u64::MAX]).count(Wait::Maybe, 1)?;
        }
        self.error().map_or(Ok(()), Err)
    }

    /// Keeps an error for the next call that sends or receives.
    pub fn keep(&self, errno: Errno) {
        self.state.lock().error = Some(errno);
    }

    /// Keeps an error that a call has met after it had sent a part of its data.
    pub fn keep_late(&self, errno: Errno) {
        if !matches!(errno, Errno::EAGAIN | Errno::EINTR) {
            self.keep(errno);
        }
    }

    /// What an earlier piece has met, once.
    pub fn error(&self) -> Option<Errno> {
        let mut state = self.state.lock();
        state.never |= state.error.is_some();
        state.error.take().or_else(|| self.incoming.error())
    }

    /// A piece of `len` bytes was made. Returns whether something holds the stream from here on.
    fn sent(self: Arc<Self>, call: Call, len: u64, result: Option<Result<u64, Errno>>) -> bool {
        let mut state = self.state.lock();
        state.under_way -= 1;
        if state.under_way == 0 {
            state.head = None;
        }
        let count = match result {
            _ if state.error.is_some() => return true,
            Some(Ok(count)) if count > len || count > 0 && state.holding => {
                misbehaved("the host misbehaved: it sent what it cannot have sent")
            }
            Some(Ok(count)) => count,
            Some(Err(errno)) if will_be_taken(errno) => 0,
            None => 0,
            Some(Err(errno)) => {
                state.error = Some(errno);
                return true;
            }
        };
        if count == len {
            return false;
        }
        state.left.push_back(Piece::rest(call, len, count));
        let first = !core::mem::replace(&mut state.holding, true);
        drop(state);
        if first {
            HOLDING.fetch_add(1, Ordering::Relaxed);
            self.send_later();
        }
        true
    }
}

impl Sender for Stream {
    fn queue(&self) -> &Queue {
        &self.queue
    }

    fn holds(&self) -> bool {
        let state = self.state.lock();
        state.holding || state.error.is_some()
    }

    fn made(self: Arc<Self>, call: Call, kind: Kind, result: Option<Result<u64, Errno>>) -> bool {
        if let Kind::Piece(len) = kind {
            return self.sent(call, len, result);
        }
        let mut state = self.state.lock();
        state.never |= !state.room.answered(result);
        false
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("fd", &self.fd).finish_non_exhaustive()
    }
}
