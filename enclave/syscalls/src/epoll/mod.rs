//! epoll(7).
//!
//! An epoll set is one of the host for what the host knows (sockets, pipes, timers), and a list of
//! our own for objects that live inside. The host never sees the program's event data: it gets a
//! token of ours, and what it answers is checked against the registry. Whoever waits outside
//! while an inside object becomes ready is woken by a bell, a descriptor in the host's set.

mod control;
mod inside;
mod looks;
mod registry;
mod set;
mod wait;

pub(crate) use control::{epoll_create, epoll_create1, epoll_ctl};
pub(crate) use wait::{epoll_pwait, epoll_pwait2, epoll_wait};

use enclave_files::OpenFile;
use enclave_hostcalls::Errno;

use self::set::Set;

/// Bits of `epoll_event.events`.
mod event {
    use alloc::sync::Arc;

    use enclave_files::{OpenFile, Told};
    use hostcall_abi::looks::Event;

    pub(super) const ONESHOT: u32 = 1 << 30;
    pub(super) const EDGE: u32 = 1 << 31;
    pub(super) const EXCLUSIVE: u32 = 1 << 28;
    pub(super) const WAKEUP: u32 = 1 << 29;
    /// Bits that say how to report, not what.
    pub(super) const HOW: u32 = ONESHOT | EDGE | EXCLUSIVE | WAKEUP;
    /// Errors and hang-ups: always reported.
    pub(super) const ALWAYS: u32 = Event::ERR | Event::HUP;

    /// Where a file is to know what is reported of it. Of an exclusive registration the host would not report
    /// that it ends.
    pub(super) fn told(file: &OpenFile, events: u32) -> Option<&Arc<Told>> {
        file.stream()?.told().filter(|_| events & EXCLUSIVE == 0)
    }

    /// What the host is to report of a file so that it is known whether all that has come is data
    /// ([`Event::can_be_read`]). It reports the end of a stream
    /// together with `EPOLLIN` in any case, urgent data alone: so that only where it says so once, and not
    /// instead of what is to be reported.
    pub(super) fn of_host(file: &OpenFile, events: u32) -> u32 {
        if events & Event::IN == 0 || told(file, events).is_none() {
            events
        } else if events & (EDGE | ONESHOT) == EDGE {
            events | Event::RDHUP | Event::PRI
        } else {
            events | Event::RDHUP
        }
    }
}

/// `struct epoll_event` in bytes.
const EVENT: u64 = hostcall_abi::looks::Event::BYTES;

/// The epoll set that a file is.
fn set(file: &OpenFile) -> Result<&Set, Errno> {
    file.object().downcast_ref().ok_or(Errno::EINVAL)
}
