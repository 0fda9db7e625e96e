//! Enclave threads that have nothing to do: how they search, sleep, and are woken.

use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{own_call, prepare_thread, timestamp};
use enclave_runqueue::Sleepers;
use hostcall_abi::service;

use crate::{
    clock,
    host::control,
    scheduler::{QUEUES, SLOTS, live_threads},
    timer,
};

pub(crate) static SLEEPERS: Sleepers = Sleepers::new();
/// Enclave threads that have been started; the first always is.
static STARTED: AtomicU64 = AtomicU64::new(1);

/// Ticks (about twenty microseconds) for which an enclave thread searches before it sleeps, and
/// the length of sleeps that are not worth their exit: only after such a one is searched at all.
const SEARCH: u64 = 1 << 16;

/// What is known of the sleep of one enclave thread.
struct Sleep {
    /// When it will wake by itself, in nanoseconds.
    until: AtomicU64,
    /// When it was called, in ticks.
    called: AtomicU64,
    /// How long the last sleep was until then, in ticks.
    last: AtomicU64,
}

static SLEEPS: [Sleep; SLOTS] = [const {
    Sleep {
        until: AtomicU64::new(u64::MAX),
        called: AtomicU64::new(0),
        last: AtomicU64::new(u64::MAX),
    }
}; SLOTS];

/// Whether another enclave thread may be woken or started.
pub(crate) fn may_wake() -> bool {
    SLEEPERS.any() || may_start(STARTED.load(Ordering::Relaxed))
}

fn may_start(started: u64) -> bool {
    started < control().threads && started < live_threads()
}

/// Makes another enclave thread look for work, unless one does already: wakes one that sleeps, or
/// starts one if there may be more. `false` if all are busy.
pub(crate) fn wake_another() -> bool {
    if let Some(index) = SLEEPERS.claim() {
        wake(index);
        return true;
    }
    SLEEPERS.searching() || start()
}

fn start() -> bool {
    let started = STARTED.load(Ordering::Relaxed);
    if !may_start(started) || !SLEEPERS.begin_search() {
        return false;
    }
    let next = started + 1;
    let first =
        STARTED.compare_exchange(started, next, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    if !first {
        SLEEPERS.end_search();
        return false;
    }
    prepare_thread(started);
    if own_call(service::SPAWN, [started]) != 0 {
        // It never comes: the rest must do.
        SLEEPERS.end_search();
    }
    true
}

const FUTEX: u64 = 202;
const FUTEX_WAKE_PRIVATE: u64 = 129;

fn wake(index: usize) {
    SLEEPS[index].called.store(timestamp(), Ordering::Relaxed);
    let word = control().idle_word(index as u64);
    word.write(0);
    own_call(FUTEX, [word.address(), FUTEX_WAKE_PRIVATE, 1]);
}

/// Waits until there may be something to do, at first inside if that was worth it lately. Says
/// whether this enclave thread is the one that searches, as it was told whether it is so far.
pub(crate) fn idle(own: usize, searching: bool) -> bool {
    let sleep = &SLEEPS[own];
    let pays = sleep.last.load(Ordering::Relaxed) < SEARCH;
    let searching = searching || pays && SLEEPERS.begin_search();
    if pays && searching && search(own) {
        return true;
    }
    let word = control().idle_word(own as u64);
    word.write(1);
    let deadline = timer::next_deadline();
    // One that wakes for timers is enough.
    let until = if wakes_by(deadline, Some(own)) { u64::MAX } else { deadline };
    sleep.until.store(until, Ordering::Release);
    sleep.called.store(0, Ordering::Relaxed);
    SLEEPERS.fall_asleep(own, searching);
    let start = timestamp();
    // Whoever queues a thread from here on sees us; what was queued before, we see.
    let nothing = !QUEUES.may_steal(own, start) && !control().has_events();
    let now = clock::monotonic();
    if nothing && deadline == timer::next_deadline() && deadline > now {
        // The host is asked to sleep; when it lies, we only look again.
        own_call(service::IDLE, [word.address(), until.saturating_sub(now)]);
        let called = match sleep.called.load(Ordering::Relaxed) {
            0 => timestamp(),
            called => called,
        };
        sleep.last.store(called.saturating_sub(start), Ordering::Relaxed);
    }
    let claimed = SLEEPERS.wake_up(own);
    word.write(0);
    claimed
}

/// Looks for work for a while.
fn search(own: usize) -> bool {
    let start = timestamp();
    loop {
        let now = timestamp();
        if QUEUES.may_steal(own, now) || control().has_events() {
            return true;
        }
        if now.saturating_sub(start) > SEARCH {
            return false;
        }
        core::hint::spin_loop();
    }
}

/// Whether one that sleeps, other than `except`, wakes by itself by `deadline`.
fn wakes_by(deadline: u64, except: Option<usize>) -> bool {
    (0..SLOTS).any(|index| {
        Some(index) != except
            && SLEEPERS.contains(index)
            && SLEEPS[index].until.load(Ordering::Acquire) <= deadline
    })
}

/// Whether timers will expire while this enclave thread, the last of `blocked`, is outside.
pub(crate) fn timers_are_watched(blocked: u64) -> bool {
    let deadline = timer::next_deadline();
    if deadline == u64::MAX || wakes_by(deadline, None) {
        return true;
    }
    if SLEEPERS.any() {
        // It went to sleep before the timer was set: it looks again.
        return wake_another();
    }
    STARTED.load(Ordering::Relaxed) > blocked
}
