//! Futexes: they never leave the enclave (futex(2)).

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use enclave_core::{AppPtr, Fault, Mutex, timestamp};
use enclave_runqueue::{Ticket, Waiters};

use crate::{Thread, Wake, current, park_until};

const BUCKETS: usize = 256;

type Queue = Waiters<Arc<Thread>>;

static TABLE: [Mutex<Queue>; BUCKETS] = [const { Mutex::new(Waiters::new()) }; BUCKETS];

/// The wait of a thread on a futex; it has one at a time.
#[derive(Debug, Default)]
pub(crate) struct FutexWait {
    address: AtomicU64,
    woken: AtomicBool,
}

fn bucket_index(address: u64) -> usize {
    let hash = (address >> 2).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
    usize::try_from(hash).unwrap_or(0) % BUCKETS
}

fn bucket(address: u64) -> &'static Mutex<Queue> {
    &TABLE[bucket_index(address)]
}

/// Why a wait on a futex ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FutexError {
    /// The word is not accessible or not aligned (EFAULT).
    Fault,
    /// The word had another value (EAGAIN).
    Again,
    /// The deadline has passed (ETIMEDOUT).
    TimedOut,
    /// The caller's `interrupted` said so (EINTR).
    Interrupted,
}

impl From<Fault> for FutexError {
    fn from(Fault: Fault) -> Self {
        Self::Fault
    }
}

/// Waits while the word at `address` is `expected`, until a wake-up with an overlapping `bitset`,
/// until `deadline` (nanoseconds of the monotonic clock), or until `interrupted` says to stop.
///
/// # Errors
///
/// [`FutexError`] says why the wait ended without a wake-up.
pub fn wait(
    address: u64,
    expected: u32,
    bitset: u32,
    deadline: Option<u64>,
    interrupted: impl Fn() -> bool,
) -> Result<(), FutexError> {
    let word = AppPtr::<u32>::new(address);
    let thread = current();
    let ticket = Ticket { address, since: timestamp(), tid: thread.tid() };
    thread.futex.address.store(address, Ordering::Release);
    thread.futex.woken.store(false, Ordering::Release);
    // Queue first and look then: a wake-up in between finds us. (Not under the bucket's lock: the
    // look may fault and take other locks.)
    bucket(address).lock().add(ticket, bitset, Arc::clone(&thread));
    match word.load() {
        Ok(value) if value == expected => {}
        other => {
            let woken = !withdraw(&thread, ticket);
            return match other {
                Err(Fault) => Err(FutexError::Fault),
                Ok(_) if woken => Ok(()),
                Ok(_) => Err(FutexError::Again),
            };
        }
    }
    loop {
        if thread.futex.woken.load(Ordering::Acquire) {
            return Ok(());
        }
        let stop = if interrupted() { Some(FutexError::Interrupted) } else { None };
        let stop = stop.or_else(|| match park_until(deadline) {
            Wake::TimedOut => Some(FutexError::TimedOut),
            Wake::Woken => None,
        });
        if let Some(error) = stop {
            return if withdraw(&thread, ticket) { Err(error) } else { Ok(()) };
        }
    }
}

/// Takes a waiter out of its queue; `false` if it was woken already.
fn withdraw(thread: &Thread, ticket: Ticket) -> bool {
    loop {
        let address = thread.futex.address.load(Ordering::Acquire);
        let mut queue = bucket(address).lock();
        if thread.futex.woken.load(Ordering::Acquire) {
            return false;
        }
        if queue.remove(&Ticket { address, ..ticket }).is_some() {
            return true;
        }
        // It was moved to another futex between the look at the address and the lock.
    }
}

/// Threads that were taken out of a queue: mostly one.
struct Woken {
    first: Option<Arc<Thread>>,
    rest: Vec<Arc<Thread>>,
}

impl Woken {
    /// Takes up to `count` waiters of `address` whose bitset overlaps out of the queue.
    fn take(queue: &mut Queue, address: u64, count: u32, bitset: u32) -> Self {
        let mut taken = queue.take(address, count, bitset).map(|(_, _, thread)| {
            thread.futex.woken.store(true, Ordering::Release);
            thread
        });
        Self { first: taken.next(), rest: taken.collect() }
    }

    /// Lets them run, and returns how many. No lock may be held.
    fn run(self) -> u32 {
        let all = || self.first.iter().chain(&self.rest);
        all().for_each(Thread::unpark);
        u32::try_from(all().count()).unwrap_or(u32::MAX)
    }
}

/// Wakes up to `count` waiters of `address` whose bitset overlaps; returns how many.
pub fn wake(address: u64, count: u32, bitset: u32) -> u32 {
    let woken = Woken::take(&mut bucket(address).lock(), address, count, bitset);
    woken.run()
}

/// Wakes up to `wake_count` waiters of `from`, and moves up to `move_count` others to `to`.
/// Returns (woken, moved). With `expected`, only if the word at `from` has that value.
///
/// # Errors
///
/// [`FutexError::Again`] if the value differs, [`FutexError::Fault`].
pub fn requeue(
    from: u64,
    to: u64,
    wake_count: u32,
    move_count: u32,
    expected: Option<u32>,
) -> Result<(u32, u32), FutexError> {
    if let Some(expected) = expected
        && AppPtr::<u32>::new(from).load()? != expected
    {
        return Err(FutexError::Again);
    }
    let (low, high) =
        (bucket_index(from).min(bucket_index(to)), bucket_index(from).max(bucket_index(to)));
    let mut first = TABLE[low].lock();
    let mut second = if low == high { None } else { Some(TABLE[high].lock()) };
    let from_is_first = bucket_index(from) == low;
    let source = match (&mut second, from_is_first) {
        (Some(second), false) => second,
        _ => &mut first,
    };
    let woken = Woken::take(source, from, wake_count, u32::MAX);
    let moved: Vec<_> = source.take(from, move_count, u32::MAX).collect();
    let target = match (&mut second, from_is_first) {
        (Some(second), true) => second,
        _ => &mut first,
    };
    let count = u32::try_from(moved.len()).unwrap_or(u32::MAX);
    for (ticket, bitset, thread) in moved {
        thread.futex.address.store(to, Ordering::Release);
        target.add(Ticket { address: to, ..ticket }, bitset, thread);
    }
    drop(second);
    drop(first);
    Ok((woken.run(), count))
}
