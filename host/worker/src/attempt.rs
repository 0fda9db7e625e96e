//! Calls that may wait, tried without waiting.

use std::sync::atomic::Ordering;

use hostcall_abi::request::{ARG_COUNT, hardly_waits};

use crate::{Attention, NOBODY, Request, cpu::monotonic, readiness::Awaited, watch::watched};

type Args = [u64; ARG_COUNT];

/// A call that may wait.
#[derive(Clone, Copy, Debug)]
pub struct Job(Request);

impl Job {
    /// To be made.
    #[must_use]
    pub const fn new(request: Request) -> Self {
        Self(request)
    }

    /// The call.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.0
    }

    /// Makes the call if it need not wait. Returns whether it is done: if not, it is to be made by a thread
    /// that may wait. Of what can be written in parts, a part may be; the enclave goes on with the rest. `kick` is
    /// the signal whose handler calls [`crate::interrupt`].
    #[must_use]
    pub fn attempt(&self, kick: i32) -> bool {
        let result = attempt(kick, self.0.number(), self.0.args());
        result.is_some_and(|result| {
            self.0.set_result(result);
            true
        })
    }

    /// What the call waits for, if that is one descriptor and the call can be tried again when that is ready.
    #[must_use]
    pub fn awaits(&self) -> Option<Awaited> {
        const IN: u32 = 1;
        let [fd, second, third, fourth, ..] = self.0.args();
        let receives = |flags: u64| flags & (MSG_WAITALL | MSG_OOB | MSG_ERRQUEUE) == 0;
        let flags = match self.0.number() {
            nr::PPOLL if second == 1 => return self.polls(fd, third),
            nr::READ | nr::ACCEPT | nr::ACCEPT4 => 0,
            nr::RECVFROM | nr::RECVMMSG => fourth,
            nr::RECVMSG => third,
            _ => return None,
        };
        let waits = receives(flags) && waits_for_ever(fd);
        waits.then_some(Awaited { fd, events: IN, until: None })
    }

    /// What ppoll(2) of one descriptor waits for.
    fn polls(&self, entry: u64, limit: u64) -> Option<Awaited> {
        let entry = self.0.memory_at(entry, 8)?.word(0).load(Ordering::Relaxed);
        // A negative one is nobody's.
        let fd = Some(entry & 0xffff_ffff).filter(|fd| fd >> 31 == 0)?;
        let events = u32::try_from(entry >> 32 & 0xffff).ok()?;
        let until = match limit {
            0 => None,
            limit => {
                let limit = self.0.memory_at(limit, 16)?;
                let [seconds, nanoseconds] =
                    [0, 1].map(|index| limit.word(index).load(Ordering::Relaxed));
                let limit = seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds);
                Some(monotonic().saturating_add(limit))
            }
        };
        Some(Awaited { fd, events, until })
    }

    /// Makes the call, however long it takes.
    pub fn execute(&self, attention: &Attention) {
        attention.execute(&self.0);
    }
}

/// The command of fcntl(2) that does not wait for a lock, in place of one that does.
fn lock_at_once(command: u64) -> Option<u64> {
    const SETLKW: u64 = 7;
    const OFD_SETLKW: u64 = 38;
    matches!(command, SETLKW | OFD_SETLKW).then(|| command - 1)
}

/// Whether what is received from a descriptor is waited for without a limit: it is a socket without
/// `SO_RCVTIMEO`.
fn waits_for_ever(fd: u64) -> bool {
    const SOL_SOCKET: u64 = 1;
    const SO_RCVTIMEO: u64 = 20;
    let (mut limit, mut len) = ([1_u64; 2], 16_u64);
    let limit_at = std::ptr::from_mut(&mut limit) as u64;
    let len_at = std::ptr::from_mut(&mut len) as u64;
    let result = NOBODY.call(nr::GETSOCKOPT, [fd, SOL_SOCKET, SO_RCVTIMEO, limit_at, len_at, 0]);
    result == 0 && limit == [0; 2]
}

mod nr {
    pub(super) const READ: u64 = 0;
    pub(super) const WRITE: u64 = 1;
    pub(super) const POLL: u64 = 7;
    pub(super) const READV: u64 = 19;
    pub(super) const WRITEV: u64 = 20;
    pub(super) const ACCEPT: u64 = 43;
    pub(super) const SENDTO: u64 = 44;
    pub(super) const RECVFROM: u64 = 45;
    pub(super) const SENDMSG: u64 = 46;
    pub(super) const RECVMSG: u64 = 47;
    pub(super) const GETSOCKOPT: u64 = 55;
    pub(super) const FCNTL: u64 = 72;
    pub(super) const FLOCK: u64 = 73;
    pub(super) const EPOLL_WAIT: u64 = 232;
    pub(super) const PPOLL: u64 = 271;
    pub(super) const EPOLL_PWAIT: u64 = 281;
    pub(super) const ACCEPT4: u64 = 288;
    pub(super) const RECVMMSG: u64 = 299;
    pub(super) const SENDMMSG: u64 = 307;
    pub(super) const PREADV2: u64 = 327;
    pub(super) const PWRITEV2: u64 = 328;
}

const EAGAIN: u64 = 11;
const EACCES: u64 = 13;
const EINVAL: u64 = 22;
const EOPNOTSUPP: u64 = 95;
const POLLIN: u64 = 1;
const LOCK_NB: u64 = 4;
const RWF_NOWAIT: u64 = 8;
const MSG_OOB: u64 = 0x1;
const MSG_WAITALL: u64 = 0x100;
const MSG_ERRQUEUE: u64 = 0x2000;
const MSG_DONTWAIT: u64 = 0x40;
/// The offset of preadv2(2) that stands for the current position.
const CURRENT: u64 = u64::MAX;

/// The result of a call if it need not wait.
fn attempt(kick: i32, number: u64, args: Args) -> Option<u64> {
    let [first, second, third, fourth, fifth, sixth] = args;
    let now = |number, args| NOBODY.call(number, args);
    let unless_it_waits = |result: u64| (result != EAGAIN.wrapping_neg()).then_some(result);
    match number {
        nr::READ | nr::WRITE | nr::READV | nr::WRITEV | nr::PREADV2 | nr::PWRITEV2 => {
            let reads = matches!(number, nr::READ | nr::READV | nr::PREADV2);
            let at_once = if reads { nr::PREADV2 } else { nr::PWRITEV2 };
            let one = [second, third];
            let [vector, count] = match number {
                nr::READ | nr::WRITE => [std::ptr::from_ref(&one) as u64, 1],
                _ => [second, third],
            };
            let [low, high, flags] = match number {
                nr::PREADV2 | nr::PWRITEV2 => [fourth, fifth, sixth],
                _ => [CURRENT, CURRENT, 0],
            };
            let result = now(at_once, [first, vector, count, low, high, flags | RWF_NOWAIT]);
            // What cannot be asked not to wait says that it is not supported.
            [EAGAIN, EOPNOTSUPP, EINVAL]
                .iter()
                .all(|e| result != e.wrapping_neg())
                .then_some(result)
        }
        number if hardly_waits(number) => watched(kick, number, args),
        nr::RECVFROM | nr::RECVMMSG if fourth & MSG_WAITALL != 0 => None,
        nr::RECVMSG if third & MSG_WAITALL != 0 => None,
        nr::SENDTO | nr::SENDMMSG | nr::RECVFROM | nr::RECVMMSG => {
            let result = now(number, [first, second, third, fourth | MSG_DONTWAIT, fifth, sixth]);
            unless_it_waits(result)
        }
        nr::SENDMSG | nr::RECVMSG => {
            let result = now(number, [first, second, third | MSG_DONTWAIT, 0, 0, 0]);
            unless_it_waits(result)
        }
        nr::ACCEPT | nr::ACCEPT4 => {
            let entry = first & 0xffff_ffff | POLLIN << 32;
            let waits = now(nr::POLL, [std::ptr::from_ref(&entry) as u64, 1, 0, 0, 0, 0]) == 0;
            // Another thread may take what has come.
            if waits { None } else { watched(kick, number, args) }
        }
        nr::FLOCK => {
            let result = now(number, [first, second | LOCK_NB, 0, 0, 0, 0]);
            unless_it_waits(result)
        }
        nr::FCNTL if let Some(at_once) = lock_at_once(second) => {
            let result = now(number, [first, at_once, third, 0, 0, 0]);
            let held = result == EAGAIN.wrapping_neg() || result == EACCES.wrapping_neg();
            (!held).then_some(result)
        }
        nr::POLL | nr::PPOLL => {
            Some(now(nr::POLL, [first, second, 0, 0, 0, 0])).filter(|&result| result != 0)
        }
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

    /// A call on a descriptor that nobody has is answered at once, if it is tried at all; what brings data
    /// to a disk or connects is left to a thread that may block.
    #[test]
    fn the_enclave_knows_which_calls_are_tried() {
        const NOBODYS: u64 = i32::MAX as u64;
        const SETLKW: u64 = 7;
        const CONNECT: u64 = 42;
        let others = [74, 75, CONNECT];
        for number in (0..512).filter(|number| !others.contains(number)) {
            let second = if number == nr::FCNTL { SETLKW } else { 1 };
            let tried = attempt(libc::SIGUSR1, number, [NOBODYS, second, 0, 0, 0, 0]).is_some();
            assert_eq!(tried, can_be_tried(number), "system call {number}");
        }
    }
}
