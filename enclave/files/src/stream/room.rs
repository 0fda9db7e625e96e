//! How much data the kernel takes for a stream at once.

use enclave_core::HostSlice;
use enclave_hostcalls::{Call, Errno};

use super::nr;
use crate::HostFd;

/// What the kernel's own structures may take of the room for one piece, in bytes.
const OVERHEAD: u64 = 4 << 10;
/// Room that is believed, in bytes, and below which it is asked for again.
const MOST: u64 = 1 << 20;
const LITTLE: u64 = 256 << 10;

/// How much room there is, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Bytes.
    free: u64,
    /// What was taken since the kernel was asked.
    since: u64,
    /// Where the answer will be, while there is a question.
    asked: Option<HostSlice>,
}

/// What a piece of `len` bytes takes, as the kernel counts.
const fn cost(len: u64) -> u64 {
    2 * len + OVERHEAD
}

impl Room {
    /// Whether there is room for a piece of `len` bytes.
    pub(super) const fn has(&self, len: u64) -> bool {
        cost(len) <= self.free
    }

    /// Takes room for a piece of `len` bytes that is sent in any case. Returns whether there is enough.
    pub(super) const fn take(&mut self, len: u64) -> bool {
        let enough = self.has(len);
        self.free = self.free.saturating_sub(cost(len));
        // An answer that is under way may not know of it.
        self.since = self.since.saturating_add(cost(len));
        enough
    }

    /// Whether so little is known that the kernel is to be asked.
    pub(super) fn is_to_be_asked(&self) -> bool {
        self.asked.is_none() && self.free < LITTLE
    }

    /// A call that asks, whose end is told to [`Self::answered`].
    pub(super) fn ask(&mut self, fd: &HostFd) -> Result<Call, Errno> {
        const SOL_SOCKET: u64 = 1;
        const SO_MEMINFO: u64 = 55;
        const BYTES: u64 = 36;
        let mut call = Call::new(nr::GETSOCKOPT, BYTES.next_multiple_of(8) + 8)?;
        let (answer, len) = (call.room(BYTES), call.room(8));
        len.word(0).write(BYTES);
        call.args([fd.number(), SOL_SOCKET, SO_MEMINFO, answer.address(), len.address()]);
        (self.asked, self.since) = (Some(answer), 0);
        Ok(call)
    }

    /// The call that asked has ended, or was called off. Returns whether it makes sense to ask again.
    pub(super) fn answered(&mut self, result: Option<Result<u64, Errno>>) -> bool {
        let (Some(answer), Some(Ok(_))) = (self.asked.take(), result) else {
            return result.is_none();
        };
        // `SK_MEMINFO_WMEM_ALLOC`, `_SNDBUF` and `_WMEM_QUEUED` are the numbers 2, 3 and 5.
        let halves = |word: u64| [word & 0xffff_ffff, word >> 32];
        let [[allocated, buffer], [_, queued]] =
            [1, 2].map(|index| halves(answer.word(index).read()));
        let free = buffer.saturating_sub(allocated.max(queued)) / 2;
        self.free = free.min(MOST).saturating_sub(self.since);
        true
    }

    /// Nothing that is known holds any more, nor what is being asked.
    pub(super) fn forget(&mut self) {
        (self.free, self.since) = (0, MOST);
    }
}
