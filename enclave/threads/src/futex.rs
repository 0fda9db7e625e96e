//! Futexes: they never leave the enclave (futex(2)).

use alloc::{collections::VecDeque, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use enclave_core::{AppPtr, Fault, Mutex};

use crate::{Thread, Wake, current, park_until};

const BUCKETS: usize = 256;

struct Waiter {
    thread: Arc<Thread>,
    address: AtomicU64,
    bitset: u32,
    woken: AtomicBool,
}

type Queue = VecDeque<Arc<Waiter>>;

static TABLE: [Mutex<Queue>; BUCKETS] = [const { Mutex::new(VecDeque::new()) }; BUCKETS];

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
    let waiter = Arc::new(Waiter {
        thread: current(),
        address: AtomicU64::new(address),
        bitset,
        woken: AtomicBool::new(false),
    });
    // Queue first and look then: a wake-up in between finds us. (Not under the bucket's lock: the
    // look may fault and take other locks.)
    bucket(address).lock().push_back(Arc::clone(&waiter));
    match word.load() {
        Ok(value) if value == expected => {}
        other => {
            let woken = !withdraw(&waiter);
            return match other {
                Err(Fault) => Err(FutexError::Fault),
                Ok(_) if woken => Ok(()),
                Ok(_) => Err(FutexError::Again),
            };
        }
    }
    loop {
        if waiter.woken.load(Ordering::Acquire) {
            return Ok(());
        }
        let stop = if interrupted() { Some(FutexError::Interrupted) } else { None };
        let stop = stop.or_else(|| match park_until(deadline) {
            Wake::TimedOut => Some(FutexError::TimedOut),
            Wake::Woken => None,
        });
        if let Some(error) = stop {
            return if withdraw(&waiter) { Err(error) } else { Ok(()) };
        }
    }
}

/// Takes a waiter out of its queue; `false` if it was woken already.
fn withdraw(waiter: &Arc<Waiter>) -> bool {
    loop {
        let address = waiter.address.load(Ordering::Acquire);
        let mut queue = bucket(address).lock();
        if waiter.woken.load(Ordering::Acquire) {
            return false;
        }
        if let Some(at) = queue.iter().position(|other| Arc::ptr_eq(other, waiter)) {
            queue.remove(at);
            return true;
        }
        // It was moved to another futex between the look at the address and the lock.
    }
}

/// Takes up to `count` waiters of `address` whose bitset overlaps out of the queue.
fn take(queue: &mut Queue, address: u64, count: u32, bitset: u32) -> Vec<Arc<Waiter>> {
    let mut taken = Vec::new();
    let mut at = 0;
    while at < queue.len() && u32::try_from(taken.len()).is_ok_and(|len| len < count) {
        let waiter = &queue[at];
        if waiter.address.load(Ordering::Relaxed) == address && waiter.bitset & bitset != 0 {
            taken.extend(queue.remove(at));
        } else {
            at += 1;
        }
    }
    for waiter in &taken {
        waiter.woken.store(true, Ordering::Release);
    }
    taken
}

/// Wakes up to `count` waiters of `address` whose bitset overlaps; returns how many.
pub fn wake(address: u64, count: u32, bitset: u32) -> u32 {
    let taken = take(&mut bucket(address).lock(), address, count, bitset);
    for waiter in &taken {
        waiter.thread.unpark();
    }
    u32::try_from(taken.len()).unwrap_or(u32::MAX)
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
    let mut moved = Vec::new();
    let woken = {
        let source: &mut Queue = match (&mut second, from_is_first) {
            (Some(second), false) => second,
            _ => &mut first,
        };
        let woken = take(source, from, wake_count, u32::MAX);
        let mut at = 0;
        while at < source.len() && u32::try_from(moved.len()).is_ok_and(|len| len < move_count) {
            if source[at].address.load(Ordering::Relaxed) == from {
                moved.extend(source.remove(at));
            } else {
                at += 1;
            }
        }
        woken
    };
    let target: &mut Queue = match (&mut second, from_is_first) {
        (Some(second), true) => second,
        _ => &mut first,
    };
    let count = u32::try_from(moved.len()).unwrap_or(u32::MAX);
    for waiter in moved {
        waiter.address.store(to, Ordering::Release);
        target.push_back(waiter);
    }
    drop(second);
    drop(first);
    for waiter in &woken {
        waiter.thread.unpark();
    }
    Ok((u32::try_from(woken.len()).unwrap_or(u32::MAX), count))
}
