//! Calls that may wait, tried without waiting.

use hostcall_abi::request::{ARG_COUNT, is_error};

use crate::{Attention, NOBODY, Request, watch::watched};

type Args = [u64; ARG_COUNT];

/// A call that may wait, and what has been done of it.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    request: Request,
    /// Bytes that a first attempt has written.
    done: u64,
}

impl Job {
    /// The whole call.
    #[must_use]
    pub const fn new(request: Request) -> Self {
        Self { request, done: 0 }
    }

    /// The call.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Makes the call if it need not wait. Returns whether it is done; if not, all that remains is
    /// to be made by a thread that may wait. `kick` is the signal whose handler calls
    /// [`crate::interrupt`].
    pub fn attempt(&mut self, kick: i32) -> bool {
        let args = self.request.args();
        let number = self.request.number();
        let Some(result) = attempt(kick, number, args) else { return false };
        if matches!(number, nr::WRITE | nr::SENDTO) && result < args[2] && !is_error(result) {
            // What may wait writes all.
            self.done = result;
            return false;
        }
        self.request.set_result(result);
        true
    }

    /// Makes what remains of the call, however long it takes.
    pub fn execute(&self, attention: &Attention) {
        if self.done == 0 {
            return attention.execute(&self.request);
        }
        let [fd, buffer, len, rest @ ..] = self.request.args();
        let [flags, address, address_len] = rest;
        let rest = [fd, buffer + self.done, len - self.done, flags, address, address_len];
        let result = attention.call(self.request.number(), rest);
        let more = if is_error(result) { 0 } else { result };
        self.request.set_result(self.done + more);
    }
}

mod nr {
    pub(super) const READ: u64 = 0;
    pub(super) const WRITE: u64 = 1;
    pub(super) const POLL: u64 = 7;
    pub(super) const SENDTO: u64 = 44;
    pub(super) const RECVFROM: u64 = 45;
    pub(super) const RECVMSG: u64 = 47;
    pub(super) const EPOLL_WAIT: u64 = 232;
    pub(super) const OPENAT: u64 = 257;
    pub(super) const EPOLL_PWAIT: u64 = 281;
    pub(super) const PREADV2: u64 = 327;
    pub(super) const PWRITEV2: u64 = 328;
    pub(super) const OPENAT2: u64 = 437;
}

const EAGAIN: u64 = 11;
const EINVAL: u64 = 22;
const EOPNOTSUPP: u64 = 95;
const RWF_NOWAIT: u64 = 8;
const MSG_WAITALL: u64 = 0x100;
const MSG_DONTWAIT: u64 = 0x40;
/// The offset of preadv2(2) that stands for the current position.
const CURRENT: u64 = u64::MAX;

/// The result of a call if it need not wait.
fn attempt(kick: i32, number: u64, args: Args) -> Option<u64> {
    let [first, second, third, fourth, fifth, sixth] = args;
    let now = |number, args| NOBODY.call(number, args);
    match number {
        nr::READ | nr::WRITE => {
            let vector = [second, third];
            let at_once = if number == nr::READ { nr::PREADV2 } else { nr::PWRITEV2 };
            let vector = std::ptr::from_ref(&vector) as u64;
            let result = now(at_once, [first, vector, 1, CURRENT, CURRENT, RWF_NOWAIT]);
            // What cannot be asked not to wait says that it is not supported.
            [EAGAIN, EOPNOTSUPP, EINVAL]
                .iter()
                .all(|e| result != e.wrapping_neg())
                .then_some(result)
        }
        nr::OPENAT | nr::OPENAT2 => watched(kick, number, args),
        nr::SENDTO => {
            let result = now(number, [first, second, third, fourth | MSG_DONTWAIT, fifth, sixth]);
            (result != EAGAIN.wrapping_neg()).then_some(result)
        }
        nr::RECVFROM if fourth & MSG_WAITALL == 0 => {
            let result = now(number, [first, second, third, fourth | MSG_DONTWAIT, fifth, sixth]);
            (result != EAGAIN.wrapping_neg()).then_some(result)
        }
        nr::RECVMSG if third & MSG_WAITALL == 0 => {
            let result = now(number, [first, second, third | MSG_DONTWAIT, 0, 0, 0]);
            (result != EAGAIN.wrapping_neg()).then_some(result)
        }
        nr::POLL => Some(now(number, [first, second, 0, 0, 0, 0])).filter(|&result| result != 0),
        nr::EPOLL_WAIT | nr::EPOLL_PWAIT => {
            let result = now(number, [first, second, third, 0, fifth, sixth]);
            Some(result).filter(|&result| result != 0)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hostcall_abi::request::can_be_tried;

    use super::*;

    /// A call on a descriptor that nobody has is answered at once, if it is tried at all; open(2) is
    /// watched instead.
    #[test]
    fn the_enclave_knows_which_calls_are_tried() {
        const NOBODYS: u64 = u32::MAX as u64;
        let opens = [nr::OPENAT, nr::OPENAT2];
        for number in (0..512).filter(|number| !opens.contains(number)) {
            let tried = attempt(libc::SIGUSR1, number, [NOBODYS, 1, 0, 0, 0, 0]).is_some();
            assert_eq!(tried, can_be_tried(number), "system call {number}");
        }
    }
}
