//! Whether a thread runs, waits to run, or waits for something; and how its waits end.

use core::{
    fmt::Debug,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::Class;

/// On an enclave thread.
const RUNNING: u32 = 0;
/// Decided to wait; its registers may not be saved yet.
const PARKING: u32 = 1;
/// Waits, may be made runnable.
const PARKED: u32 = 2;
/// Was woken while it ran or was about to wait.
const NOTIFIED: u32 = 3;
/// In a run queue.
const RUNNABLE: u32 = 4;
/// Gave its enclave thread away for once.
const YIELDING: u32 = 5;
/// Done.
const EXITED: u32 = 6;
/// Gave its enclave thread away for a thread that was woken.
const PREEMPTED: u32 = 7;
/// The same, as one that waits soon.
const INTERRUPTED: u32 = 9;
/// Gave its enclave thread away after its turn.
const EXPIRED: u32 = 8;

/// An atomic word, with acquire and release ordering.
pub trait Word: Debug {
    /// A word.
    fn new(value: u32) -> Self;
    /// What it is.
    fn load(&self) -> u32;
    /// Replaces the word, and returns what it was.
    fn swap(&self, value: u32) -> u32;
    /// Replaces the word if it is `seen`, else returns what it is.
    ///
    /// # Errors
    ///
    /// The value that is not `seen`.
    fn replace(&self, seen: u32, value: u32) -> Result<u32, u32>;
}

impl Word for AtomicU32 {
    fn new(value: u32) -> Self {
        Self::new(value)
    }

    fn load(&self) -> u32 {
        self.load(Ordering::Acquire)
    }

    fn swap(&self, value: u32) -> u32 {
        self.swap(value, Ordering::AcqRel)
    }

    fn replace(&self, seen: u32, value: u32) -> Result<u32, u32> {
        self.compare_exchange(seen, value, Ordering::AcqRel, Ordering::Acquire)
    }
}

/// What has become of a thread that has left its enclave thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It has ended.
    Exited,
    /// It waits: whoever unparks it queues it.
    Parked,
    /// It is to be queued now.
    Runnable(Class),
}

/// The state of one thread.
///
/// No wake-up is lost: what was written before [`Self::unpark`] is seen by the thread after the wait
/// that this ends. Where there is nothing to change, that holds only because the word is replaced
/// nevertheless: a mere look could be answered before the writes are seen, and a thread that is just
/// about to look would see neither them nor a reason not to wait. (A test tries all interleavings,
/// with [Loom](https://docs.rs/loom).)
#[derive(Debug)]
pub struct RunState<W = AtomicU32>(W);

impl<W: Word> RunState<W> {
    /// Of a thread that is to be queued.
    #[must_use]
    pub fn new() -> Self {
        Self(W::new(RUNNABLE))
    }

    /// The thread was taken from a queue, and is run.
    pub fn run(&self) {
        self.0.swap(RUNNING);
    }

    /// The current thread wants to wait, and leaves if this says so; `false` if it was unparked
    /// meanwhile: then this was its wait.
    pub fn park(&self) -> bool {
        let parks = self.0.replace(RUNNING, PARKING).is_ok();
        if !parks {
            self.0.swap(RUNNING);
        }
        parks
    }

    /// The current thread gives way, and will be queued as one of `class`.
    pub fn give_way(&self, class: Class) {
        let state = match class {
            Class::Woken => NOTIFIED,
            Class::Yielded => YIELDING,
            Class::Preempted => PREEMPTED,
            Class::Interrupted => INTERRUPTED,
            Class::Expired => EXPIRED,
        };
        // If it was unparked meanwhile, it counts as woken.
        let _ = self.0.replace(RUNNING, state);
    }

    /// The current thread ends.
    pub fn exit(&self) {
        self.0.swap(EXITED);
    }

    /// The thread has left: its registers are saved. If it is about to wait, `parks` is called before
    /// it may run elsewhere.
    #[must_use]
    pub fn left(&self, parks: impl FnOnce()) -> Left {
        let class = match self.0.load() {
            EXITED => return Left::Exited,
            PARKING => {
                parks();
                if self.0.replace(PARKING, PARKED).is_ok() {
                    return Left::Parked;
                }
                Class::Woken
            }
            YIELDING => Class::Yielded,
            PREEMPTED => Class::Preempted,
            INTERRUPTED => Class::Interrupted,
            EXPIRED => Class::Expired,
            // It was unparked while it was about to wait, or to give way.
            _ => Class::Woken,
        };
        self.0.swap(RUNNABLE);
        Left::Runnable(class)
    }

    /// Ends the wait of the thread, or the next one if it does not wait. `true` if the caller must
    /// queue it.
    #[must_use]
    pub fn unpark(&self) -> bool {
        let mut seen = PARKED;
        loop {
            let next = match seen {
                PARKED => RUNNABLE,
                RUNNABLE | EXITED => seen,
                _ => NOTIFIED,
            };
            match self.0.replace(seen, next) {
                Ok(_) => return seen == PARKED,
                Err(now) => seen = now,
            }
        }
    }
}

impl<W: Word> Default for RunState<W> {
    fn default() -> Self {
        Self::new()
    }
}
