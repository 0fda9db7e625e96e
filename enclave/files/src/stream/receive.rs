//! Receiving from a stream: from the kernel, or what is known already.

use alloc::sync::Arc;

use enclave_core::{AppSlice, HostSlice};
use enclave_hostcalls::{Errno, has_both_ends};

use super::{Data, Moment, Stream, Told};

impl Stream {
    /// Receives into `plain` buffers what was seen already ([`Self::saw`]), else by `receive`, which may
    /// `wait`. An error that a piece or a look has met comes behind all data.
    ///
    /// # Errors
    ///
    /// As `receive`, or that.
    pub fn receive_by(
        &self,
        plain: Option<&[AppSlice]>,
        wait: bool,
        receive: impl FnOnce() -> Result<u64, Errno>,
    ) -> Result<u64, Errno> {
        let known = |buffers: &[AppSlice]| {
            let asks = !wait && buffers.iter().any(|buffer| !buffer.is_empty());
            let tell = asks && !has_both_ends();
            let drained = || (tell && self.told.is_drained()).then_some(Err(Errno::EAGAIN));
            self.incoming.give(buffers, tell, self.told.reports()).or_else(drained)
        };
        let result = plain.and_then(known).unwrap_or_else(|| self.receive(plain, receive));
        match result {
            Ok(0) | Err(Errno::EAGAIN) => self.error().map_or(result, Err),
            Err(errno) if errno != Errno::EINTR => {
                self.post_no_more();
                result
            }
            _ => result,
        }
    }

    fn receive(
        &self,
        plain: Option<&[AppSlice]>,
        receive: impl FnOnce() -> Result<u64, Errno>,
    ) -> Result<u64, Errno> {
        let told = self.told.asks();
        let result = self.incoming.receive_by(receive);
        if told {
            let room = plain.map_or(0, |buffers| Data::App(buffers).len());
            self.told.received(result.is_ok_and(|count| (1..room).contains(&count)));
        }
        result
    }

    /// What the program is told of it is to be told here, too; `None` if it need not be.
    pub fn told(&self) -> Option<&Arc<Told>> {
        self.is_tcp().then_some(&self.told)
    }

    /// The host has looked at what has come `between` two moments: it says what `result` is, and has left
    /// as many bytes in `room`. Returns whether it shall look again.
    pub fn saw(&self, between: [Moment; 2], room: HostSlice, result: Result<u64, Errno>) -> bool {
        // What it is reported with has not been reported.
        self.is_tcp() && self.incoming.saw(between, room, result, self.told.reports() + 1)
    }

    /// To be called when something else may come next than was seen.
    pub fn forget_seen(&self) {
        self.told.forget();
        self.incoming.forget();
    }

    /// To be called when somebody else may receive, or what is received may change.
    pub fn look_no_more(&self) {
        self.told.readable(true);
        self.incoming.look_no_more();
    }
}
