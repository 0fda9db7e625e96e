//! What the kernel did not take of what it was sent.

use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::{AtomicU64, Ordering};

use enclave_hostcalls::{Call, Errno, Wait};
use enclave_threads::{clock, set_timer};

use super::{MSG_DONTWAIT, MSG_NOSIGNAL, Stream, head::will_be_taken, nr};

/// Streams that hold data which the kernel has not taken, and heads that threads have taken back.
pub(super) static HOLDING: AtomicU64 = AtomicU64::new(0);

/// Whether the program believes data sent that is here still.
#[must_use]
pub fn data_is_left() -> bool {
    HOLDING.load(Ordering::SeqCst) > 0
}

/// Nanoseconds after which it is tried again.
const PATIENCE: u64 = 2_000_000;

/// A piece that the kernel did not take.
pub(super) struct Piece {
    /// Keeps the staging memory, at whose place the rest of the piece is.
    _call: Call,
    at: u64,
    len: u64,
}

impl Piece {
    /// The rest of the piece of `len` bytes that `call` was to send, of which `count` were taken.
    pub(super) fn rest(call: Call, len: u64, count: u64) -> Self {
        let at = call.first_room() + count;
        Self { _call: call, at, len: len - count }
    }
}

/// What has become of what the kernel did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It is sent, or will never be.
    Nothing,
    /// The kernel takes no more of it now.
    Refused,
    /// Somebody else is sending it.
    Busy,
}

impl Stream {
    /// Sends what is left, without waiting.
    pub(super) fn send_what_is_left(&self) -> Left {
        loop {
            let mut state = self.state.lock();
            if state.sending {
                return Left::Busy;
            }
            let Some(mut piece) = state.left.pop_front() else {
                if core::mem::take(&mut state.holding) {
                    HOLDING.fetch_sub(1, Ordering::Relaxed);
                }
                return Left::Nothing;
            };
            state.sending = true;
            drop(state);
            let result = self.send(&piece);
            let mut state = self.state.lock();
            state.sending = false;
            match result {
                Ok(count) if count == piece.len => {}
                Ok(count) => {
                    (piece.at, piece.len) = (piece.at + count, piece.len - count);
                    state.left.push_front(piece);
                }
                Err(errno) if errno == Errno::EINTR || will_be_taken(errno) => {
                    state.left.push_front(piece);
                    return Left::Refused;
                }
                Err(errno) => {
                    state.error = Some(errno);
                    state.left.clear();
                }
            }
        }
    }

    fn send(&self, piece: &Piece) -> Result<u64, Errno> {
        let flags = MSG_DONTWAIT | MSG_NOSIGNAL;
        let mut call = Call::new(nr::SENDTO, 0)?;
        call.args([self.fd.number(), piece.at, piece.len, flags]).count(Wait::No, piece.len)
    }

    pub(super) fn send_later(self: Arc<Self>) {
        let again = move || {
            if self.send_what_is_left() != Left::Nothing {
                self.send_later();
            }
        };
        set_timer(clock::monotonic().saturating_add(PATIENCE), Box::new(again));
    }
}
