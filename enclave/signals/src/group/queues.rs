//! What waits in the queues of a process and its threads.

use super::Signals;
use crate::{SigInfo, SigSet};

impl Signals {
    /// Sets how many signals the queues may hold together; what is in them already stays.
    pub fn limit_queues(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Signals in all queues.
    pub(super) fn queued(&self) -> usize {
        let of_threads = self.threads.values().map(|thread| thread.pending.len());
        self.shared.len() + of_threads.sum::<usize>()
    }

    /// All signals that wait for a thread, blocked or not.
    #[must_use]
    pub fn pending(&self, tid: u32) -> SigSet {
        let [own, shared] = self.pending_by_target(tid);
        own | shared
    }

    /// Those that were sent to the thread, and those that were sent to the process.
    #[must_use]
    pub fn pending_by_target(&self, tid: u32) -> [SigSet; 2] {
        let own = self.threads.get(&tid).map_or(SigSet::EMPTY, |thread| thread.pending.set());
        [own, self.shared.set()]
    }

    /// Takes a signal of `set`, whether it is blocked or not.
    pub fn take(&mut self, tid: u32, set: SigSet) -> Option<SigInfo> {
        let own = self.threads.get_mut(&tid)?.pending.take(set);
        own.or_else(|| self.shared.take(set))
    }

    /// Whether the last signal of a timer has not been taken yet.
    #[must_use]
    pub fn has_timer(&self, id: u32) -> bool {
        self.shared.has_timer(id) || self.threads.values().any(|t| t.pending.has_timer(id))
    }

    /// Drops the signals of a timer that was deleted.
    pub fn flush_timer(&mut self, id: u32) {
        self.shared.flush_timer(id);
        for thread in self.threads.values_mut() {
            thread.pending.flush_timer(id);
        }
    }
}
