//! What the system call layer keeps for each thread.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use enclave_threads::Thread;

use crate::{signal::TaskSignals, twins::LastFault};

/// State of a thread of the program.
#[derive(Debug, Default)]
pub(crate) struct Task {
    /// Cleared and woken when the thread ends (`set_tid_address`, `CLONE_CHILD_CLEARTID`).
    pub(crate) clear_tid: AtomicU64,
    /// Head and length of the robust list.
    pub(crate) robust: [AtomicU64; 2],
    /// What it keeps for its signals.
    pub(crate) signals: TaskSignals,
    /// Where it has faulted last.
    pub(crate) twins: LastFault,
}

/// The task of a thread.
pub(crate) fn of(thread: &Arc<Thread>) -> &Task {
    match thread.data.downcast_ref() {
        Some(task) => task,
        None => enclave_core::fatal("a thread without a task"),
    }
}

impl Task {
    pub(crate) fn robust_head(&self) -> u64 {
        self.robust[0].load(Ordering::Relaxed)
    }
}
