//! The scheduler: one loop per enclave thread over a shared run queue.

use alloc::{collections::VecDeque, sync::Arc};
use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{Context, Mutex, Once, abandon, own_call, set_current, switch, tcs_index};
use hostcall_abi::{layout::TCS_COUNT, service};

use crate::{
    Thread, clock, handover,
    host::control,
    thread::NOWHERE,
    thread::state::{EXITED, PARKED, PARKING, RUNNABLE, RUNNING, YIELDING},
    timer,
};

static QUEUE: Mutex<VecDeque<Arc<Thread>>> = Mutex::new(VecDeque::new());
/// Set of enclave threads that sleep outside.
static IDLE: AtomicU64 = AtomicU64::new(0);
/// When the enclave threads that sleep outside will wake by themselves.
static WAKES: [AtomicU64; SLOTS] = [const { AtomicU64::new(u64::MAX) }; SLOTS];
/// Enclave threads that have been started; the first always is.
static STARTED: AtomicU64 = AtomicU64::new(1);
/// Threads of the program.
static LIVE: AtomicU64 = AtomicU64::new(0);
/// Enclave threads that are outside in a call that may block.
static BLOCKED: AtomicU64 = AtomicU64::new(0);
static SIGNAL_HOOK: Once<fn()> = Once::new();
static INTERRUPTED_HOOK: Once<fn() -> bool> = Once::new();

/// The scheduler of each enclave thread.
static SCHEDULERS: [Once<Context>; SLOTS] = [const { Once::new() }; SLOTS];
const SLOTS: usize = 16;
const _: () = assert!(SLOTS as u64 == TCS_COUNT);

fn scheduler() -> &'static Context {
    match usize::try_from(tcs_index()).ok().and_then(|index| SCHEDULERS.get(index)) {
        Some(context) => context,
        None => enclave_core::fatal("an enclave thread has no scheduler"),
    }
}

/// Sets the function that takes signals from the host and gives them to threads.
pub fn set_signal_hook(hook: fn()) {
    SIGNAL_HOOK.set(hook);
}

/// Sets the function that says whether a signal waits for the current thread.
pub fn set_interrupted_hook(hook: fn() -> bool) {
    INTERRUPTED_HOOK.set(hook);
}

/// Whether a signal waits for the current thread, so that its wait should end.
#[must_use]
pub fn interrupted() -> bool {
    INTERRUPTED_HOOK.get().is_some_and(|hook| hook())
}

/// Threads of the program that have not ended.
#[must_use]
pub fn live_threads() -> u64 {
    LIVE.load(Ordering::Relaxed)
}

/// Runs threads on this enclave thread for ever.
pub fn run() -> ! {
    if let Some(slot) = usize::try_from(tcs_index()).ok().and_then(|index| SCHEDULERS.get(index)) {
        slot.set(Context::running());
    }
    loop {
        check_events();
        let next = QUEUE.lock().pop_front();
        match next {
            Some(thread) => run_thread(thread),
            None => idle(),
        }
    }
}

fn run_thread(thread: Arc<Thread>) {
    thread.state.store(RUNNING, Ordering::Release);
    thread.runs_on.store(tcs_index(), Ordering::SeqCst);
    thread.count_from_now();
    set_current(Some(Arc::clone(&thread)));
    switch(scheduler(), &thread.context);
    set_current::<Thread>(None);
    thread.count_until_now();
    thread.runs_on.store(NOWHERE, Ordering::SeqCst);
    match thread.state.load(Ordering::Acquire) {
        EXITED => {
            LIVE.fetch_sub(1, Ordering::Relaxed);
            update_tick();
        }
        PARKING => {
            let parked =
                thread.state.compare_exchange(PARKING, PARKED, Ordering::AcqRel, Ordering::Acquire);
            if parked.is_err() {
                thread.state.store(RUNNABLE, Ordering::Release);
                enqueue(thread);
            }
        }
        _ => {
            // It yielded, or was notified while it was about to wait.
            thread.state.store(RUNNABLE, Ordering::Release);
            enqueue(thread);
        }
    }
}

/// Switches from `thread`, the current one, to the scheduler of this enclave thread.
pub(crate) fn leave(thread: &Arc<Thread>) {
    switch(&thread.context, scheduler());
}

/// Leaves the current thread for ever; the scheduler drops it.
pub(crate) fn leave_for_ever() -> ! {
    abandon(scheduler())
}

/// Starts a thread.
pub fn spawn(thread: Arc<Thread>) {
    LIVE.fetch_add(1, Ordering::Relaxed);
    update_tick();
    enqueue(thread);
}

/// Preemption is wanted while there are other threads to run, or timers to expire.
pub(crate) fn update_tick() {
    let wanted = LIVE.load(Ordering::Relaxed) > 1 || timer::next_deadline() != u64::MAX;
    control().want_tick(wanted);
}

pub(crate) fn enqueue(thread: Arc<Thread>) {
    QUEUE.lock().push_back(thread);
    wake_one();
}

/// Wakes an idle enclave thread, or starts another one if there may be more.
fn wake_one() {
    let mut idle = IDLE.load(Ordering::Acquire);
    while idle != 0 {
        let bit = idle & idle.wrapping_neg();
        match IDLE.compare_exchange_weak(idle, idle & !bit, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return wake(u64::from(bit.trailing_zeros())),
            Err(now) => idle = now,
        }
    }
    let started = STARTED.load(Ordering::Relaxed);
    // The enclave thread that calls this may go on for long: another one takes the new thread.
    let useful = started < control().threads && started < LIVE.load(Ordering::Relaxed);
    if useful
        && STARTED
            .compare_exchange(started, started + 1, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    {
        enclave_core::prepare_thread(started);
        own_call(service::SPAWN, [started]);
    }
}

const FUTEX: u64 = 202;
const FUTEX_WAKE_PRIVATE: u64 = 129;

fn wake(index: u64) {
    let word = control().idle_word(index);
    word.write(0);
    own_call(FUTEX, [word.address(), FUTEX_WAKE_PRIVATE, 1]);
}

/// Sleeps outside until there is something to do.
fn idle() {
    let index = tcs_index();
    let bit = 1 << index;
    let word = control().idle_word(index);
    word.write(1);
    let deadline = timer::next_deadline();
    if let Some(wakes) = usize::try_from(index).ok().and_then(|index| WAKES.get(index)) {
        wakes.store(deadline, Ordering::Release);
    }
    IDLE.fetch_or(bit, Ordering::AcqRel);
    // Whoever queues a thread from here on sees the bit; what was queued before, we see.
    let nothing = QUEUE.lock().is_empty() && !control().has_events();
    let now = clock::monotonic();
    if nothing && deadline == timer::next_deadline() && deadline > now {
        // The host is asked to sleep; when it lies, we only look again.
        own_call(service::IDLE, [word.address(), deadline.saturating_sub(now)]);
    }
    IDLE.fetch_and(!bit, Ordering::AcqRel);
    word.write(0);
}

/// Does what has come in: completed requests, timers, signals.
pub fn check_events() {
    handover::collect();
    timer::expire();
    if let Some(hook) = SIGNAL_HOOK.get() {
        hook();
    }
}

/// Whether anything may have come in that [`check_events`] would do.
#[must_use]
pub fn poll_now() -> bool {
    control().has_events() || timer::next_deadline() != u64::MAX
}

/// Whether threads wait for an enclave thread.
pub(crate) fn others_wait() -> bool {
    !QUEUE.lock().is_empty()
}

/// Leaves the enclave once, to let whoever else there is on this processor run.
pub(crate) fn give_processor_away() {
    const SCHED_YIELD: u64 = 24;
    own_call(SCHED_YIELD, []);
}

/// Gives the enclave thread to another thread, if one is runnable.
pub fn yield_now() {
    if QUEUE.lock().is_empty() {
        return;
    }
    let thread = crate::current();
    let _ = thread.state.compare_exchange(RUNNING, YIELDING, Ordering::AcqRel, Ordering::Acquire);
    leave(&thread);
}

/// Whether timers will expire while this enclave thread, the last of `blocked`, is outside.
fn timers_are_watched(blocked: u64) -> bool {
    let deadline = timer::next_deadline();
    if deadline == u64::MAX {
        return true;
    }
    let idle = IDLE.load(Ordering::Acquire);
    let awake_in_time =
        |index: usize| WAKES.get(index).is_some_and(|at| at.load(Ordering::Acquire) <= deadline);
    if (0..SLOTS).any(|index| idle >> index & 1 == 1 && awake_in_time(index)) {
        return true;
    }
    if idle != 0 {
        // It went to sleep before the timer was set: it looks again.
        wake(u64::from(idle.trailing_zeros()));
        return true;
    }
    STARTED.load(Ordering::Relaxed) > blocked
}

/// Permission to block this enclave thread in a call outside.
#[derive(Debug)]
pub struct Blocking(());

impl Blocking {
    /// Grants it if enough enclave threads remain for the other threads of the program: then the
    /// call may be made in place; otherwise it must be handed over.
    #[must_use]
    pub fn here() -> Option<Self> {
        let threads = control().threads;
        let blocked = BLOCKED.fetch_add(1, Ordering::AcqRel) + 1;
        let others = LIVE.load(Ordering::Relaxed) <= threads || blocked < threads;
        if others && timers_are_watched(blocked) {
            crate::current().count_until_now();
            return Some(Self(()));
        }
        BLOCKED.fetch_sub(1, Ordering::AcqRel);
        None
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        crate::current().count_from_now();
        BLOCKED.fetch_sub(1, Ordering::AcqRel);
    }
}
