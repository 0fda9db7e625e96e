//! What the system call layer keeps for each thread.

use alloc::{sync::Arc, vec::Vec};
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
    /// Its name, in bytes of two words; zeroes follow it.
    name: [AtomicU64; 2],
}

/// The task of a thread.
pub(crate) fn of(thread: &Arc<Thread>) -> &Task {
    match thread.data.downcast_ref() {
        Some(task) => task,
        None => enclave_core::fatal("a thread without a task"),
    }
}

/// Longest name of a thread in bytes.
const NAME_MAX: usize = 15;

impl Task {
    /// Name of the thread (`PR_GET_NAME`): at most 15 bytes.
    pub(crate) fn name(&self) -> Vec<u8> {
        let words = self.name.each_ref().map(|word| word.load(Ordering::Relaxed).to_le_bytes());
        let name = words.as_flattened();
        name.iter().copied().take_while(|&byte| byte != 0).collect()
    }

    /// Names it (`PR_SET_NAME`): the name ends at a NUL or after 15 bytes.
    pub(crate) fn set_name(&self, name: &[u8]) {
        let name = name.iter().take(NAME_MAX).take_while(|&&byte| byte != 0);
        let mut words = [[0; 8]; 2];
        words.as_flattened_mut().iter_mut().zip(name).for_each(|(to, &byte)| *to = byte);
        for (word, bytes) in self.name.iter().zip(words) {
            word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
    }

    pub(crate) fn robust_head(&self) -> u64 {
        self.robust[0].load(Ordering::Relaxed)
    }
}
