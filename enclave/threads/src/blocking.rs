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
pub struct Blocking(());

impl Blocking {
    /// Grants it if enough enclave threads remain for the other threads of the program: then the
    /// call may be made in place; otherwise it must be handed over. What waits for this enclave
    /// thread is taken over by another one: by one that is woken, or else by one that is busy now.
    ///
    /// A call that the host `can_try` without waiting is handed over in that last case: what waits is
    /// run here as soon as it is known that the call has to wait. To hand others over costs more than
    /// it gains, for most do not wait.
    #[must_use]
    pub fn here(can_try: bool) -> Option<Self> {
        let threads = control().threads;
        let blocked = BLOCKED.fetch_add(1, Ordering::AcqRel) + 1;
        if can_try {
            CALLABLE.enter(own_index());
        }
        let others = live_threads() <= threads || blocked < threads;
        if others && timers_are_watched(blocked) && (leave_queue_to_others() || !can_try) {
            current().count_until_now();
            return Some(Self(()));
        }
        is_back();
        None
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        current().count_from_now();
        is_back();
    }
}

fn is_back() {
    CALLABLE.leave(own_index());
    BLOCKED.fetch_sub(1, Ordering::AcqRel);
}

/// Calls an enclave thread in that is blocked outside, if there is one: it tries its call again, and
/// as that has to wait, it runs what waits.
pub(crate) fn call_one_in() {
    if let Some(index) = CALLABLE.call_in() {
        own_call(service::KICK, [index as u64]);
    }
}
