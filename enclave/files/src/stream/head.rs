//! The head of an answer, which waits inside for its body.
//!
//! What a program sends through a corked connection may not leave before more comes or the cork is out. So it
//! need not be the kernel's at once: it is posted, with room behind it. Little of a file that the program
//! sends next is put there, and both leave by one call.

use alloc::{sync::Arc, vec};
use core::sync::atomic::{AtomicBool, Ordering};

use enclave_core::{HostSlice, to_usize};
use enclave_hostcalls::{Call, Errno, Kind, Wait, can_post, take_back};

use super::{MSG_DONTWAIT, MSG_NOSIGNAL, Stream, left::HOLDING};

/// Longest head that has room behind it, and that room, in bytes.
pub(super) const LONGEST: u64 = 1 << 10;
pub(super) const ROOM: u64 = 14 << 10;

/// A piece that was posted last, and may be taken back.
#[derive(Debug)]
pub(super) struct Head {
    /// The host's memory that it begins, and all the room behind it.
    memory: HostSlice,
    len: u64,
}

impl Head {
    /// The head that `call` sends, of `len` bytes, with `room` behind it.
    pub(super) fn new(call: &Call, len: u64, room: u64) -> Option<Self> {
        Some(Self { memory: HostSlice::new(call.first_room(), len + room).ok()?, len })
    }
}

/// Whether heads stay where they wait.
static STAYING: AtomicBool = AtomicBool::new(false);

/// Whether heads that wait are sent as they are, since the process is about to end: no thread takes one back to
/// add its body.
pub fn keep_heads_waiting(keep: bool) {
    STAYING.store(keep, Ordering::SeqCst);
}

/// A head that a thread has taken back counts as data that is left.
struct TakenBack;

impl TakenBack {
    /// `None` if heads are to stay where they wait.
    fn new() -> Option<Self> {
        HOLDING.fetch_add(1, Ordering::SeqCst);
        let taken = Self;
        (!STAYING.load(Ordering::SeqCst)).then_some(taken)
    }
}

impl Drop for TakenBack {
    fn drop(&mut self) {
        HOLDING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The room behind a head.
#[derive(Clone, Copy, Debug)]
pub struct Behind<'a>(&'a Head);

impl Behind<'_> {
    /// Where it begins.
    #[must_use]
    pub fn address(self) -> u64 {
        self.0.memory.address() + self.0.len
    }

    /// Has `read` fill so many bytes of it at most; returns how many it filled.
    ///
    /// # Errors
    ///
    /// As `read`.
    pub fn fill(
        self,
        count: u64,
        read: impl FnOnce(&mut [u8]) -> Result<usize, Errno>,
    ) -> Result<u64, Errno> {
        let mut bytes = vec![0; to_usize(count)];
        let count = read(&mut bytes)?;
        self.0.memory.write_bytes_at(self.0.len, &bytes[..count]);
        Ok(count as u64)
    }
}

impl Stream {
    /// Sends up to `count` bytes that `read` puts behind a head that waits for them, together with it. `None`
    /// if no head waits, or there is nothing to be read: nothing has changed then.
    ///
    /// # Errors
    ///
    /// As sendfile(2) to a socket that does not wait.
    pub fn send_with_head(
        self: &Arc<Self>,
        count: u64,
        read: impl FnOnce(Behind<'_>) -> Result<u64, Errno>,
    ) -> Option<Result<u64, Errno>> {
        let (mut call, head, taken) = self.take_head(count)?;
        let body = match read(Behind(&head)) {
            Ok(body) if body > 0 => body,
            _ => {
                self.put_back(call, head.len, Some(head), taken);
                return None;
            }
        };
        let begun = self.cork.begin_all();
        let at = head.memory.address();
        call.args([self.fd.number(), at, head.len + body, MSG_DONTWAIT | MSG_NOSIGNAL]);
        if can_post() && self.state.lock().room.take(head.len + body) {
            self.cork.all_sent(begun);
            self.put_back(call, head.len + body, None, taken);
            return Some(Ok(body));
        }
        let sent = call.count(Wait::No, head.len + body);
        if sent == Ok(head.len + body) {
            self.cork.all_sent(begun);
        }
        Some(match self.head_is_sent(call, head, sent, taken) {
            Ok(0) => Err(Errno::EAGAIN),
            result => result,
        })
    }

    /// Sends a head that waits, if one does: `more` if what comes belongs to it.
    pub(super) fn send_head(self: &Arc<Self>, more: bool) {
        let Some((mut call, head, taken)) = self.take_head(0) else { return };
        let begun = self.cork.begin_all();
        if !more {
            call.arg(3, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        let sent = call.count(Wait::No, head.len);
        if !more && sent == Ok(head.len) {
            self.cork.all_sent(begun);
        }
        if let Err(errno) = self.head_is_sent(call, head, sent, taken)
            && !will_be_taken(errno)
        {
            self.keep(errno);
        }
    }

    /// Takes the head that waits, if it has room for `count` bytes. Nobody sends anything until
    /// [`Self::put_back`] or [`Self::head_is_sent`].
    fn take_head(self: &Arc<Self>, count: u64) -> Option<(Call, Head, TakenBack)> {
        let mut state = self.state.lock();
        if state.sending
            || state.head.as_ref().is_none_or(|head| head.memory.len() - head.len < count)
        {
            return None;
        }
        let taken = TakenBack::new()?;
        let head = state.head.take()?;
        state.sending = true;
        drop(state);
        let call = take_back(&**self, head.memory.address());
        let mut state = self.state.lock();
        match call {
            Some(call) => {
                state.under_way -= 1;
                Some((call, head, taken))
            }
            // It is on its way.
            None => {
                state.sending = false;
                None
            }
        }
    }

    /// What was taken back, now a piece of `len` bytes, waits again: as a `head`, or as it is.
    fn put_back(self: &Arc<Self>, call: Call, len: u64, head: Option<Head>, taken: TakenBack) {
        let mut state = self.state.lock();
        state.under_way += 1;
        state.head = head;
        state.sending = false;
        drop(state);
        call.post_for(self.clone(), Kind::Piece(len));
        drop(taken);
    }

    /// The head was sent, and something behind it. Returns how much of the latter; what the kernel did not take
    /// of the head is kept.
    fn head_is_sent(
        self: &Arc<Self>,
        call: Call,
        head: Head,
        sent: Result<u64, Errno>,
        taken: TakenBack,
    ) -> Result<u64, Errno> {
        let mut state = self.state.lock();
        state.sending = false;
        let count = match sent {
            Ok(count) if count >= head.len => return Ok(count - head.len),
            Ok(count) => count,
            Err(errno) if will_be_taken(errno) => 0,
            Err(errno) => {
                state.never = true;
                return Err(errno);
            }
        };
        state.under_way += 1;
        drop(state);
        self.clone().sent(call, head.len, Some(Ok(count)));
        drop(taken);
        sent.and(Err(Errno::EAGAIN))
    }
}

/// Whether the kernel takes later what it did not take now.
pub(super) const fn will_be_taken(errno: Errno) -> bool {
    matches!(errno, Errno::EAGAIN | Errno::ENOMEM | Errno::ENOBUFS)
}
