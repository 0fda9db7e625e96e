//! The queue of one enclave thread.

use alloc::collections::VecDeque;

/// Ticks (about ten milliseconds) after which threads that compute get a turn, however many are
/// woken meanwhile.
pub const TURN: u64 = 1 << 25;
/// Ticks (about ten microseconds) for which a woken thread is left to the enclave thread of its
/// waker.
pub const FRESH: u64 = 1 << 15;
/// Threads that one steal takes of each kind at most.
const BATCH: usize = 32;

/// Why a thread is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// What it waited for has come, or it is new.
    Woken,
    /// It gave way to a woken one before its turn was over.
    Preempted,
    /// The same, but it is one of those that wait soon: it takes turns with them.
    Interrupted,
    /// It lets others run: those that have yielded before it, and one of those that compute.
    Yielded,
    /// It had its turn.
    Expired,
}

/// Threads that are runnable.
#[derive(Debug)]
pub struct RunQueue<T> {
    woken: VecDeque<T>,
    yielded: VecDeque<T>,
    rest: VecDeque<T>,
    /// When the last thread was woken.
    woken_at: u64,
    /// Since when those that were not woken have had no turn.
    others_since: u64,
    /// The thread that was taken last is one of those.
    other_runs: bool,
    /// How many of those in `yielded` go before the next in `rest`.
    pass: usize,
}

impl<T> RunQueue<T> {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            woken: VecDeque::new(),
            yielded: VecDeque::new(),
            rest: VecDeque::new(),
            woken_at: 0,
            others_since: 0,
            other_runs: false,
            pass: 0,
        }
    }

    /// Threads in the queue.
    #[must_use]
    pub fn len(&self) -> usize {
        self.woken.len() + self.others()
    }

    /// Threads that were not woken.
    fn others(&self) -> usize {
        self.yielded.len() + self.rest.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a thread waits that goes before those that compute.
    #[must_use]
    pub fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// Adds a thread at time `now`.
    pub fn push(&mut self, class: Class, thread: T, now: u64) {
        if self.others() == 0 {
            self.others_since = now;
        }
        match class {
            Class::Woken => {
                self.woken.push_back(thread);
                self.woken_at = now;
            }
            Class::Yielded => self.yielded.push_back(thread),
            Class::Interrupted => self.woken.push_back(thread),
            Class::Preempted => self.rest.push_front(thread),
            Class::Expired => self.rest.push_back(thread),
        }
    }

    /// Takes the thread that is to run next.
    pub fn pop(&mut self, now: u64) -> Option<T> {
        if core::mem::take(&mut self.other_runs) {
            self.others_since = now;
        }
        let due = self.others() > 0 && now.saturating_sub(self.others_since) >= TURN;
        if !due && let Some(thread) = self.woken.pop_front() {
            return Some(thread);
        }
        self.other_runs = true;
        if self.pass == 0 || self.yielded.is_empty() {
            self.pass = self.yielded.len();
            if let Some(thread) = self.rest.pop_front() {
                return Some(thread);
            }
        }
        self.pass = self.pass.saturating_sub(1);
        self.yielded.pop_front()
    }

    /// Adds all threads of another queue behind those of this one; says whether there were any.
    pub fn append(&mut self, mut other: Self) -> bool {
        let any = !other.is_empty();
        if self.others() == 0 {
            self.others_since = other.others_since;
        }
        self.woken_at = self.woken_at.max(other.woken_at);
        self.woken.append(&mut other.woken);
        self.yielded.append(&mut other.yielded);
        self.rest.append(&mut other.rest);
        any
    }

    /// Time from which on there is something to steal: `u64::MAX` for never.
    #[must_use]
    pub fn stealable_from(&self) -> u64 {
        match (self.woken.len(), self.others()) {
            (0, 0) => u64::MAX,
            (1, 0) => self.woken_at.saturating_add(FRESH),
            _ => 0,
        }
    }

    /// Gives up the claim on a woken thread: its waker will not be there to run it.
    pub fn release(&mut self) {
        self.woken_at = 0;
    }

    /// Takes up to half of the threads, or the only one: those that would run first.
    pub fn steal(&mut self, limit: usize, now: u64) -> Self {
        // A woken one that is alone among others is left to its waker while it is fresh.
        let alone = self.woken.len() == 1 && now < self.woken_at.saturating_add(FRESH);
        let half = |len: usize, left: usize| len.div_ceil(2).min(BATCH).min(left);
        let woken = if alone { 0 } else { half(self.woken.len(), limit) };
        let yielded = half(self.yielded.len(), limit - woken);
        let rest = half(self.rest.len(), limit - woken - yielded);
        Self {
            woken: self.woken.drain(..woken).collect(),
            yielded: self.yielded.drain(..yielded).collect(),
            rest: self.rest.drain(..rest).collect(),
            woken_at: self.woken_at,
            others_since: self.others_since,
            other_runs: false,
            pass: 0,
        }
    }
}

impl<T> Default for RunQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}
