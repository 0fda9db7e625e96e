//! Timers: actions at a time of the monotonic clock, run by whichever enclave thread looks next.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{Mutex, own_call};
use hostcall_abi::service;

use crate::{clock, scheduler};

/// Identifies a timer for [`cancel_timer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerId(u64, u64);

type Action = Box<dyn FnOnce() + Send>;

struct Timers {
    sequence: u64,
    queue: BTreeMap<TimerId, Action>,
}

static TIMERS: Mutex<Timers> = Mutex::new(Timers { sequence: 0, queue: BTreeMap::new() });
/// The earliest deadline, for a look without the lock.
static NEXT: AtomicU64 = AtomicU64::new(u64::MAX);

/// Calls `action` once `deadline` (nanoseconds of [`clock::monotonic`]) has passed. It must be
/// short and must not wait.
pub fn set_timer(deadline: u64, action: Box<dyn FnOnce() + Send>) -> TimerId {
    let mut timers = TIMERS.lock();
    timers.sequence += 1;
    let id = TimerId(deadline, timers.sequence);
    timers.queue.insert(id, action);
    update(&timers);
    id
}

/// Cancels a timer; `false` if it has fired already.
pub fn cancel_timer(id: TimerId) -> bool {
    let mut timers = TIMERS.lock();
    let action = timers.queue.remove(&id);
    update(&timers);
    drop(timers);
    action.is_some()
}

fn update(timers: &Timers) {
    let next = timers.queue.first_key_value().map_or(u64::MAX, |(id, _)| id.0);
    NEXT.store(next, Ordering::Release);
    scheduler::update_tick();
}

/// The earliest deadline, `u64::MAX` if there is none.
pub(crate) fn next_deadline() -> u64 {
    NEXT.load(Ordering::Acquire)
}

/// Whether a timer waits to be looked at. Reads the clock only if there is a timer.
#[must_use]
pub fn timers_are_due() -> bool {
    let next = next_deadline();
    next != u64::MAX && next <= clock::monotonic()
}

/// When the host will call an enclave thread out, as far as it was asked to.
static ALARM: AtomicU64 = AtomicU64::new(u64::MAX);

/// Makes the host call this enclave thread out when the next timer is due: for when it runs a
/// thread that may compute for long.
pub fn set_alarm() {
    let next = next_deadline();
    if next == u64::MAX {
        return;
    }
    let alarm = ALARM.load(Ordering::Relaxed);
    if alarm > next || alarm <= clock::monotonic() {
        ALARM.store(next, Ordering::Relaxed);
        own_call(service::ALARM, [next]);
    }
}

/// Runs the actions whose time has come.
pub(crate) fn expire() {
    let next = next_deadline();
    if next == u64::MAX {
        return;
    }
    let now = clock::monotonic();
    if next > now {
        return;
    }
    let mut due = Vec::new();
    let mut timers = TIMERS.lock();
    while let Some(entry) = timers.queue.first_entry()
        && entry.key().0 <= now
    {
        due.push(entry.remove());
    }
    update(&timers);
    drop(timers);
    for action in due {
        action();
    }
}
