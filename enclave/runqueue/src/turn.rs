//! What is remembered of a thread's turns: whether it computes, and what it does after it has woken
//! another one.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// Ticks (about three milliseconds) after which a thread that is called out has had its turn.
const OVER: u64 = 1 << 23;
/// Ticks (more than a millisecond) after which a thread that has just made a call outside lets others
/// run that wait.
const ENOUGH: u64 = 1 << 22;
/// Ticks (about a millisecond) after which a thread counts as one that computes.
const LONG: u64 = 1 << 22;
/// Ticks (about twenty microseconds) within which a thread that has woken another one should wait
/// itself, so that waking an enclave thread would be a waste.
const SOON: u64 = 1 << 16;

/// What a thread that wakes another one will do then, by what it did the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waker {
    /// It has not woken any yet.
    Unknown,
    /// It will wait soon.
    Waits,
    /// It will go on.
    Lingers,
}

impl Waker {
    /// Whether it has been seen to wait.
    #[must_use]
    pub fn is_known_to_wait(self) -> bool {
        self == Self::Waits
    }

    /// Whether it has not been seen to go on.
    #[must_use]
    pub fn may_wait(self) -> bool {
        self != Self::Lingers
    }
}

/// The turns of one thread. Only the enclave thread that runs it changes them.
#[derive(Debug, Default)]
pub struct Turn {
    /// Start of the turn.
    since: AtomicU64,
    /// When it first woke another thread in this turn; zero for never.
    woke: AtomicU64,
    history: AtomicU8,
    computes: AtomicBool,
}

const WAITS: u8 = 1;
const LINGERS: u8 = 2;

impl Turn {
    /// Begins a turn.
    pub fn begin(&self, now: u64) {
        self.since.store(now, Ordering::Relaxed);
    }

    /// Ends a turn, as the thread waits.
    pub fn end(&self, now: u64) {
        self.computes.store(self.is_longer_than(LONG, now), Ordering::Relaxed);
        let woke = self.woke.load(Ordering::Relaxed);
        if woke != 0 {
            let soon = now.saturating_sub(woke) < SOON;
            self.remember(if soon { WAITS } else { LINGERS });
        }
    }

    /// Whether the thread, called out, has had its turn; then it is known to compute.
    pub fn is_over(&self, now: u64) -> bool {
        let over = self.is_longer_than(OVER, now);
        if over {
            self.computes.store(true, Ordering::Relaxed);
            if self.woke.load(Ordering::Relaxed) != 0 {
                self.remember(LINGERS);
            }
        }
        over
    }

    /// Whether the thread, which is at a place where others can take over cheaply, has run long enough.
    #[must_use]
    pub fn is_enough(&self, now: u64) -> bool {
        self.is_longer_than(ENOUGH, now)
    }

    /// Whether the last turns were long.
    #[must_use]
    pub fn computes(&self) -> bool {
        self.computes.load(Ordering::Relaxed)
    }

    /// The thread wakes another one: what it will do then.
    pub fn wakes(&self, now: u64) -> Waker {
        if self.woke.load(Ordering::Relaxed) == 0 {
            self.woke.store(now.max(1), Ordering::Relaxed);
        }
        match self.history.load(Ordering::Relaxed) {
            WAITS => Waker::Waits,
            LINGERS => Waker::Lingers,
            _ => Waker::Unknown,
        }
    }

    fn is_longer_than(&self, ticks: u64, now: u64) -> bool {
        now.saturating_sub(self.since.load(Ordering::Relaxed)) >= ticks
    }

    fn remember(&self, history: u8) {
        self.woke.store(0, Ordering::Relaxed);
        self.history.store(history, Ordering::Relaxed);
    }
}
