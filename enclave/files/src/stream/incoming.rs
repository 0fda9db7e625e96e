//! What the kernel has for a stream, seen before the program asks for it.
//!
//! A server that is told of connections with something to read leaves the enclave once more for each. So the
//! host looks at what has come for them together with the wait that reports them (`MSG_PEEK`), and that is
//! given to the program when it receives. What the program has got is taken from the kernel by a posted
//! call, which no other call overtakes ([`Kind::Taking`]): whoever asks the kernel sees what he would have
//! seen.
//!
//! Only calls of this process receive from the stream, so what was seen comes next, unless the program has
//! received meanwhile. Times of changes tell.
//!
//! Many a server receives once more, to be told that there is no more. If the look has seen all, and the
//! program has learned of nothing that can be received since, it is told so: as if what has come since were
//! still on its way. Only a peer of this process itself could tell the difference
//! ([`has_both_ends`](enclave_hostcalls::has_both_ends)).

use alloc::{sync::Arc, vec, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{AppSlice, HostSlice, Mutex, MutexGuard, to_usize};
use enclave_hostcalls::{Call, Errno, Kind, Queue, Sender, can_post, flush, misbehaved};
use enclave_threads::{give_processor_away, yield_now};

use crate::HostFd;

const RECVFROM: u64 = 45;
const MSG_TRUNC: u64 = 0x20;
const MSG_DONTWAIT: u64 = 0x40;

/// Looks in a row that may be of no use: a program may be told of a connection more than once before it receives
/// (memcached, of each that is new).
const PATIENCE: u32 = 4;
/// As many as there are where nobody is to look again.
const NEVER: u32 = u32::MAX;

/// Counts moments at which looks began, and at which the program may have learned what can be received.
static TIME: AtomicU64 = AtomicU64::new(0);

/// A moment at which looks begin, or have been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(u64);

impl Moment {
    /// From here on, a look may be made; or until here, the program may have been told what can be received.
    pub fn now() -> Self {
        Self(TIME.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn is_now(self) -> bool {
        self.0 == TIME.load(Ordering::SeqCst)
    }
}

/// What has come for one stream.
pub(super) struct Incoming {
    fd: Arc<HostFd>,
    state: Mutex<State>,
    queue: Queue,
}

#[derive(Default)]
struct State {
    /// What comes next, and is the kernel's still.
    seen: Option<Seen>,
    /// The end of the look that has seen all, as long as the program has got that and nothing else, if
    /// nobody was told meanwhile what can be received.
    empty: Option<Moment>,
    /// The last moment before what comes next has changed.
    changed: u64,
    /// Whether somebody gives the program what was seen.
    giving: bool,
    /// Calls under way that receive from the kernel.
    receiving: u32,
    /// Looks in a row that were of no use.
    useless: u32,
    /// What a look has met: the kernel tells it once.
    error: Option<Errno>,
    /// The kernel did not take what the program has got: nobody knows what comes next.
    lost: bool,
}

impl State {
    fn changes(&mut self) {
        self.changed = TIME.load(Ordering::SeqCst);
    }
}

/// What a look has seen.
struct Seen {
    bytes: Vec<u8>,
    /// When it was all, if that is known.
    all: Option<Moment>,
    /// How much of it the program has got.
    given: usize,
    /// What [`Told::reports`](super::Told::reports) says until more is reported.
    reports: u64,
}

impl Seen {
    /// Copies as much as fits to the program; returns how much that was.
    fn copy_to(&self, buffers: &[AppSlice]) -> Result<usize, Errno> {
        let mut rest = &self.bytes[self.given..];
        for buffer in buffers {
            let (part, behind) = rest.split_at(rest.len().min(to_usize(buffer.len())));
            buffer.first(part.len() as u64).write_bytes(part)?;
            rest = behind;
        }
        Ok(self.bytes.len() - self.given - rest.len())
    }

    /// What is left behind the next `count` bytes.
    fn after(mut self, count: usize) -> Option<Self> {
        self.given += count;
        (self.given < self.bytes.len()).then_some(self)
    }
}

impl Incoming {
    pub(super) fn new(fd: Arc<HostFd>) -> Arc<Self> {
        Arc::new(Self { fd, state: Mutex::default(), queue: Queue::default() })
    }

    /// The host has looked between two moments, and has left what it saw in `room`, or says that it could
    /// not. Returns whether it shall look again.
    pub(super) fn saw(
        &self,
        [begin, end]: [Moment; 2],
        room: HostSlice,
        result: Result<u64, Errno>,
        reports: u64,
    ) -> bool {
        let mut state = self.when_nobody_gives();
        state.empty = None;
        state.seen = None;
        state.useless = state.useless.saturating_add(1);
        let good = state.useless <= PATIENCE
            && state.receiving == 0
            && state.changed < begin.0
            && !state.lost;
        match result {
            Ok(count) if count > room.len() => {
                misbehaved("the host misbehaved: it saw more than there was room for")
            }
            // If there may be more, a program that was told so once asks for all of it.
            Ok(count) if count > 0 && count < room.len() && good => {
                let mut bytes = vec![0; to_usize(count)];
                room.part(0, count).read_bytes(&mut bytes);
                let all = (begin.0 + 1 == end.0).then_some(end);
                state.seen = Some(Seen { bytes, all, given: 0, reports });
            }
            Ok(_) | Err(Errno::EAGAIN | Errno::ENOMEM | Errno::ENOBUFS | Errno::EINTR) => {}
            // A socket that listens: the kernel says so as often as it is asked.
            Err(Errno::ENOTCONN) => {}
            Err(errno) => state.error = Some(errno),
        }
        state.useless < PATIENCE
    }

    /// What was seen is not to be given to the program: it may not come next.
    pub(super) fn forget(&self) {
        let mut state = self.when_nobody_gives();
        state.changes();
        state.empty = None;
        let seen = state.seen.take();
        drop(state);
        drop(seen);
    }

    /// As [`Self::forget`], for ever.
    pub(super) fn look_no_more(&self) {
        self.state.lock().useless = NEVER;
        self.forget();
    }

    /// What a look has met, once.
    pub(super) fn error(&self) -> Option<Errno> {
        self.state.lock().error.take()
    }

    fn when_nobody_gives(&self) -> MutexGuard<'_, State> {
        loop {
            let state = self.state.lock();
            if !state.giving {
                return state;
            }
            drop(state);
            yield_now();
            give_processor_away();
        }
    }

    /// Gives the program what was seen, or tells it once that this was all if it may be told (`tell`); `None`
    /// if the kernel is to be asked, as it is if more was reported since, by the last of so many `reports`: who is told
    /// of that may take a short answer for all of it.
    pub(super) fn give(
        self: &Arc<Self>,
        buffers: &[AppSlice],
        tell: bool,
        reports: u64,
    ) -> Option<Result<u64, Errno>> {
        let mut state = self.when_nobody_gives();
        let empty = state.empty.take();
        let Some(seen) = state.seen.take().filter(|seen| reports <= seen.reports) else {
            let known = tell && empty.is_some_and(Moment::is_now);
            return known.then_some(Err(Errno::EAGAIN));
        };
        state.giving = true;
        drop(state);
        let copied = seen.copy_to(buffers);
        let taken = copied.as_ref().map_or(Ok(0), |&count| self.take(count));
        let mut state = self.state.lock();
        state.giving = false;
        if state.useless != NEVER {
            state.useless = 0;
        }
        state.changes();
        let all = seen.all;
        state.seen = seen.after(taken.ok()?);
        if state.seen.is_none() {
            state.empty = all;
        }
        Some(copied.map(|count| count as u64))
    }

    /// Has the kernel lose the next `count` bytes, which the program has got; returns how many.
    fn take(self: &Arc<Self>, count: usize) -> Result<usize, Errno> {
        if count == 0 {
            return Ok(0);
        }
        if !can_post() {
            flush();
        }
        let mut call = Call::new(RECVFROM, 0)?;
        call.args([self.fd.number(), 0, count as u64, MSG_TRUNC | MSG_DONTWAIT]);
        call.post_for(self.clone(), Kind::Taking(count as u64));
        Ok(count)
    }

    /// Receives from the kernel by `receive`.
    ///
    /// # Errors
    ///
    /// As that, and `ECONNRESET` if nobody knows what comes next.
    pub(super) fn receive_by(
        &self,
        receive: impl FnOnce() -> Result<u64, Errno>,
    ) -> Result<u64, Errno> {
        let mut state = self.when_nobody_gives();
        if state.lost {
            return Err(Errno::ECONNRESET);
        }
        state.receiving += 1;
        state.empty = None;
        let seen = state.seen.take();
        drop(state);
        drop(seen);
        let result = receive();
        let mut state = self.state.lock();
        state.receiving -= 1;
        state.changes();
        result
    }
}

impl Sender for Incoming {
    fn queue(&self) -> &Queue {
        &self.queue
    }

    fn holds(&self) -> bool {
        false
    }

    fn made(self: Arc<Self>, _: Call, kind: Kind, result: Option<Result<u64, Errno>>) -> bool {
        let taken = matches!((kind, result), (Kind::Taking(all), Some(Ok(count))) if count == all);
        if !taken {
            self.state.lock().lost = true;
        }
        false
    }
}
