//! Calls that block an enclave thread outside.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::{
    current,
    host::control,
    idle::timers_are_watched,
    scheduler::{leave_queue_to_others, live_threads},
};

/// Enclave threads that are outside in a call that may block.
static BLOCKED: AtomicU64 = AtomicU64::new(0);

/// Permission to block this enclave thread in a call outside.
#[derive(Debug)]
pub struct Blocking(());

impl Blocking {
    /// Grants it if enough enclave threads remain for the other threads of the program: then the
    /// call may be made in place; otherwise it must be handed over. What waits for this enclave
    /// thread is taken over by another one: by one that is woken, or else by one that is busy now.
    /// (To hand calls over whenever all are busy costs more than it gains: most do not wait.)
    #[must_use]
    pub fn here() -> Option<Self> {
        let threads = control().threads;
        let blocked = BLOCKED.fetch_add(1, Ordering::AcqRel) + 1;
        let others = live_threads() <= threads || blocked < threads;
        if others && timers_are_watched(blocked) {
            leave_queue_to_others();
            current().count_until_now();
            return Some(Self(()));
        }
        BLOCKED.fetch_sub(1, Ordering::AcqRel);
        None
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        current().count_from_now();
        BLOCKED.fetch_sub(1, Ordering::AcqRel);
    }
}
