//! Calls that block an enclave thread outside.

use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::own_call;
use enclave_runqueue::Outside;
use hostcall_abi::service;

use crate::{
    current,
    host::control,
    idle::timers_are_watched,
    scheduler::{leave_queue_to_others, live_threads, own_index},
};

/// Enclave threads that are outside in a call that may block.
static BLOCKED: AtomicU64 = AtomicU64::new(0);

/// Those of them whose call can be given up and tried once more.
static CALLABLE: Outside = Outside::new();

/// Permission to block this enclave thread in a call outside.
#[derive(Debug)]
pub struct Blocking {
    callable: bool,
}

impl Blocking {
    /// Grants it if enough enclave threads remain for the other threads of the program, and one that is
    /// woken takes over what waits for this one: then the call may be made in place. Otherwise it must be
    /// handed over: what waits is run here as soon as it is known that the call has to wait, for enclave
    /// threads that are busy may never come to it.
    ///
    /// From a call that can be made again, `callable`, the thread is called in when others need it. One
    /// that `hardly_waits` may be made in place whatever waits, unless the thread was just called in from such a
    /// one: to hand it over costs more than it gains.
    #[must_use]
    pub fn here(callable: bool, hardly_waits: bool) -> Option<Self> {
        let own = own_index();
        let risks = hardly_waits && !CALLABLE.was_called_in(own);
        let threads = control().threads;
        let blocked = BLOCKED.fetch_add(1, Ordering::AcqRel) + 1;
        if callable {
            CALLABLE.enter(own);
        }
        let others = live_threads() <= threads || blocked < threads;
        if others && timers_are_watched(blocked) && (leave_queue_to_others() || risks) {
            current().count_until_now();
            return Some(Self { callable });
        }
        is_back(callable);
        None
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        current().count_from_now();
        is_back(self.callable);
    }
}

fn is_back(callable: bool) {
    if callable {
        CALLABLE.leave(own_index());
    }
    BLOCKED.fetch_sub(1, Ordering::AcqRel);
}

/// Calls an enclave thread in that is blocked outside, if there is one: it tries its call again, and
/// as that has to wait, it runs what waits.
pub(crate) fn call_one_in() {
    if let Some(index) = CALLABLE.call_in() {
        own_call(service::KICK, [index as u64]);
    }
}
