//! Signals that have been sent and not yet taken.

use alloc::collections::VecDeque;

use crate::{
    SigInfo, SigSet,
    number::{SIGRTMIN, SYNCHRONOUS},
};

/// A queue of signals: standard ones merge, real-time ones line up.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    set: SigSet,
    queue: VecDeque<SigInfo>,
}

impl Pending {
    /// The signals in it.
    #[must_use]
    pub fn set(&self) -> SigSet {
        self.set
    }

    /// How many signals it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Adds a signal; `false` if it merged with one that waits already.
    pub fn add(&mut self, info: SigInfo) -> bool {
        let signal = info.signal();
        if signal < SIGRTMIN && self.set.contains(signal) {
            return false;
        }
        self.set = self.set | SigSet::one(signal);
        self.queue.push_back(info);
        true
    }

    /// Takes the next signal of `wanted`: faults first, then by number, then by age.
    pub fn take(&mut self, wanted: SigSet) -> Option<SigInfo> {
        let found = self.set & wanted;
        let signal = (found & SYNCHRONOUS).first().or(found.first())?;
        let at = self.queue.iter().position(|info| info.signal() == signal)?;
        let info = self.queue.remove(at);
        if !self.queue.iter().any(|info| info.signal() == signal) {
            self.set = self.set.without(SigSet::one(signal));
        }
        info
    }

    /// Drops the signals of a set.
    pub fn flush(&mut self, set: SigSet) {
        self.set = self.set.without(set);
        self.queue.retain(|info| !set.contains(info.signal()));
    }

    /// Whether a signal of this timer waits.
    #[must_use]
    pub fn has_timer(&self, id: u32) -> bool {
        self.queue.iter().any(|info| info.timer_id() == Some(id))
    }

    /// Drops the signals of a timer.
    pub fn flush_timer(&mut self, id: u32) {
        self.queue.retain(|info| info.timer_id() != Some(id));
        self.set =
            self.queue.iter().fold(SigSet::EMPTY, |set, info| set | SigSet::one(info.signal()));
    }
}
