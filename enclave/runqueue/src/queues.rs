//! The queues of all enclave threads.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use lock_api::{Mutex, RawMutex};

use crate::{Class, RunQueue};

/// A queue and what others see of it without taking its lock, in cache lines of its own.
#[repr(align(128))]
struct Slot<R: RawMutex, T> {
    queue: Mutex<R, RunQueue<T>>,
    len: AtomicUsize,
    stealable_from: AtomicU64,
}

impl<R: RawMutex, T> Slot<R, T> {
    /// Changes the queue, and publishes what has become of it.
    fn change<O>(&self, change: impl FnOnce(&mut RunQueue<T>) -> O) -> O {
        let mut queue = self.queue.lock();
        let output = change(&mut queue);
        self.len.store(queue.len(), Ordering::Release);
        // Sequentially consistent: see `Sleepers`.
        self.stealable_from.store(queue.stealable_from(), Ordering::SeqCst);
        output
    }

    fn may_steal(&self, now: u64) -> bool {
        self.stealable_from.load(Ordering::SeqCst) <= now
    }
}

/// `N` queues, each of which one enclave thread takes its threads from.
///
/// # Panics
///
/// All operations, if an index is not below `N`.
pub struct Queues<R: RawMutex, T, const N: usize>([Slot<R, T>; N]);

impl<R: RawMutex, T, const N: usize> Queues<R, T, N> {
    /// Empty queues.
    #[must_use]
    pub const fn new() -> Self {
        Self(
            [const {
                Slot {
                    queue: Mutex::new(RunQueue::new()),
                    len: AtomicUsize::new(0),
                    stealable_from: AtomicU64::new(u64::MAX),
                }
            }; N],
        )
    }

    /// Adds a thread to queue `index`; returns how many are in it then.
    pub fn push(&self, index: usize, class: Class, thread: T, now: u64) -> usize {
        self.0[index].change(|queue| {
            queue.push(class, thread, now);
            queue.len()
        })
    }

    /// Takes the thread that is to run next on enclave thread `index`, of its own.
    pub fn pop(&self, index: usize, now: u64) -> Option<T> {
        if self.waiting(index) == 0 {
            return None;
        }
        self.0[index].change(|queue| queue.pop(now))
    }

    /// Lets others steal from queue `index` at once. Whoever sleeps or searches must be looked for
    /// afterwards only: it may have left a thread to us.
    pub fn release(&self, index: usize) {
        self.0[index].change(RunQueue::release);
    }

    /// Threads in queue `index`.
    #[must_use]
    pub fn waiting(&self, index: usize) -> usize {
        self.0[index].len.load(Ordering::Acquire)
    }

    /// Whether a thread waits in queue `index` that goes before those that compute.
    #[must_use]
    pub fn has_woken(&self, index: usize) -> bool {
        self.waiting(index) != 0 && self.0[index].queue.lock().has_woken()
    }

    /// Whether any other queue has something for `thief`.
    #[must_use]
    pub fn may_steal(&self, thief: usize, now: u64) -> bool {
        (0..N).any(|index| index != thief && self.0[index].may_steal(now))
    }

    /// Takes half of another queue over into that of `thief`, and returns the first of it.
    pub fn steal(&self, thief: usize, now: u64) -> Option<T> {
        let mut loot = self.loot(thief, usize::MAX, now, |_| true)?;
        let first = loot.pop(now);
        if !loot.is_empty() {
            self.0[thief].change(|queue| queue.append(loot));
        }
        first
    }

    /// Takes one thread over from a queue that has more than that of `thief`, so that threads that
    /// compute get equal shares of all enclave threads. Says whether there was one.
    pub fn balance(&self, thief: usize, now: u64) -> bool {
        let own = self.waiting(thief);
        let loot = self.loot(thief, 1, now, |len| len > own);
        loot.is_some_and(|loot| self.0[thief].change(|queue| queue.append(loot)))
    }

    /// What the first of the others has to give whose length is `wanted`.
    fn loot(
        &self,
        thief: usize,
        limit: usize,
        now: u64,
        wanted: impl Fn(usize) -> bool,
    ) -> Option<RunQueue<T>> {
        // From the next one on: thieves do not all begin with the same victim.
        (thief + 1..N)
            .chain(0..thief)
            .filter(|&victim| wanted(self.waiting(victim)) && self.0[victim].may_steal(now))
            .map(|victim| self.0[victim].change(|queue| queue.steal(limit, now)))
            .find(|loot| !loot.is_empty())
    }
}

impl<R: RawMutex, T, const N: usize> Default for Queues<R, T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: RawMutex, T, const N: usize> core::fmt::Debug for Queues<R, T, N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let lengths = core::array::from_fn::<usize, N, _>(|index| self.waiting(index));
        f.debug_tuple("Queues").field(&lengths).finish()
    }
}
