//! The scheduler: one loop per enclave thread over its run queue.
//!
//! A tick is wanted of the host as long as there are several threads, so nothing that was left in
//! a queue for its waker to run waits for longer than that.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering, fence};

use enclave_core::{
    Context, Once, RawSpin, abandon, fatal, has_current, own_call, set_current, tcs_index,
    timestamp, want_reschedule,
};
use enclave_runqueue::{Class, Left, Queues, Waker};
use hostcall_abi::layout::TCS_COUNT;

use crate::{
    Thread,
    blocking::call_one_in,
    handover,
    host::control,
    idle::{SLEEPERS, idle, may_wake, wake_another},
    thread::NOWHERE,
    timer,
};

pub(crate) static QUEUES: Queues<RawSpin, Arc<Thread>, SLOTS> = Queues::new();
/// Threads of the program.
static LIVE: AtomicU64 = AtomicU64::new(0);
static IDLE_HOOK: Once<fn()> = Once::new();
static TICK_HOOK: Once<fn() -> bool> = Once::new();
static SIGNAL_HOOK: Once<fn()> = Once::new();
static INTERRUPTED_HOOK: Once<fn() -> bool> = Once::new();

/// The scheduler of each enclave thread.
static SCHEDULERS: [Once<Context>; SLOTS] = [const { Once::new() }; SLOTS];
pub(crate) const SLOTS: usize = 16;
const _: () = assert!(SLOTS as u64 == TCS_COUNT);

/// Index of this enclave thread.
pub(crate) fn own_index() -> usize {
    match usize::try_from(tcs_index()) {
        Ok(index) if index < SLOTS => index,
        _ => fatal("an enclave thread has no scheduler"),
    }
}

/// Sets the function that takes signals from the host and gives them to threads.
pub fn set_signal_hook(hook: fn()) {
    SIGNAL_HOOK.set(hook);
}

/// Sets the function that is called before an enclave thread sleeps.
pub fn set_idle_hook(hook: fn()) {
    IDLE_HOOK.set(hook);
}

/// Sets what says whether there is something that a tick is to do, though only one thread computes.
pub fn set_tick_hook(hook: fn() -> bool) {
    TICK_HOOK.set(hook);
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
    let own = own_index();
    SCHEDULERS[own].set(Context::running());
    // All but the first are started because there is something to do.
    let mut searching = own != 0;
    loop {
        check_events();
        let now = timestamp();
        let Some(thread) = QUEUES.pop(own, now).or_else(|| QUEUES.steal(own, now)) else {
            if let Some(hook) = IDLE_HOOK.get() {
                hook();
            }
            searching = idle(own, searching);
            continue;
        };
        let found = core::mem::take(&mut searching);
        if found {
            SLEEPERS.end_search();
        }
        if QUEUES.waiting(own) != 0 || found && QUEUES.may_steal(own, now) {
            if may_wake() {
                wake_another();
            } else if found {
                // Whoever was blocked outside meanwhile counted on the one that searched.
                call_one_in();
            }
        }
        run_thread(own, thread);
    }
}

fn run_thread(own: usize, thread: Arc<Thread>) {
    if thread.turn.computes() {
        timer::set_alarm();
    }
    thread.state.run();
    thread.runs_on.store(tcs_index(), Ordering::SeqCst);
    let now = timestamp();
    thread.turn.begin(now);
    thread.count_from(now);
    set_current(Some(Arc::clone(&thread)));
    enclave_core::run(&SCHEDULERS[own], &thread.context);
    set_current::<Thread>(None);
    let now = timestamp();
    thread.count_until(now);
    thread.runs_on.store(NOWHERE, Ordering::SeqCst);
    match thread.state.left(|| thread.turn.end(now)) {
        Left::Exited => {
            LIVE.fetch_sub(1, Ordering::Relaxed);
            update_tick();
        }
        Left::Parked => {}
        Left::Runnable(class) => {
            QUEUES.push(own, class, thread, now);
        }
    }
}

/// Switches from `thread`, the current one, to the scheduler of this enclave thread.
pub(crate) fn leave(thread: &Arc<Thread>) {
    enclave_core::leave(&thread.context, &SCHEDULERS[own_index()]);
}

/// Leaves the current thread for ever; the scheduler drops it.
pub(crate) fn leave_for_ever() -> ! {
    abandon(&SCHEDULERS[own_index()])
}

/// Starts a thread.
pub fn spawn(thread: Arc<Thread>) {
    LIVE.fetch_add(1, Ordering::Relaxed);
    update_tick();
    enqueue(thread, Waker::is_known_to_wait);
}

/// Makes a thread run that has waited.
pub(crate) fn wake(thread: Arc<Thread>) {
    enqueue(thread, Waker::may_wait);
}

/// Queues a thread behind the current one. Whether another enclave thread is woken for it depends
/// on whether the current one `will_wait` soon, as wakers mostly do.
fn enqueue(thread: Arc<Thread>, will_wait: fn(Waker) -> bool) {
    let now = timestamp();
    let queued = QUEUES.push(own_index(), Class::Woken, thread, now);
    if !has_current() {
        // The scheduler itself, which looks at its queue next.
        return;
    }
    let current = crate::current();
    if current.turn.computes() {
        want_reschedule();
    }
    let waker = current.turn.wakes(now);
    if may_wake() && (queued > 1 || !will_wait(waker)) {
        wake_another();
    }
}

/// Preemption is wanted while there are other threads to run, timers to expire, or something else is to be done
/// at a tick ([`set_tick_hook`]). To be called when one of these changes.
pub fn update_tick() {
    let posted = || TICK_HOOK.get().is_some_and(|hook| hook());
    let wanted =
        || LIVE.load(Ordering::Relaxed) > 1 || timer::next_deadline() != u64::MAX || posted();
    loop {
        let now = wanted();
        control().want_tick(now);
        // Others do this at the same time: the last word is the true one.
        fence(Ordering::SeqCst);
        if now == wanted() {
            return;
        }
    }
}

/// Does what has come in: completed requests, timers, signals.
pub fn check_events() {
    handover::collect();
    timer::expire();
    if let Some(hook) = SIGNAL_HOOK.get() {
        hook();
    }
}

/// Whether threads wait for this enclave thread.
pub(crate) fn others_wait() -> bool {
    QUEUES.waiting(own_index()) != 0
}

/// To be called before this enclave thread leaves for a call that may take long: what waits for it
/// may be taken over by any other, and one that sleeps is woken for that. `false` if a thread waits, here
/// or elsewhere, and all other enclave threads are busy.
pub(crate) fn leave_queue_to_others() -> bool {
    let own = own_index();
    if others_wait() {
        QUEUES.release(own);
    } else if !QUEUES.may_steal(own, timestamp()) {
        return true;
    }
    wake_another()
}

/// Leaves the enclave once, to let whoever else there is on this processor run.
pub fn give_processor_away() {
    const SCHED_YIELD: u64 = 24;
    own_call(SCHED_YIELD, []);
}

/// Gives the enclave thread to another thread, if one is runnable.
pub fn yield_now() {
    if others_wait() {
        give_way(Class::Yielded);
    }
}

/// Does what a tick is for: a thread that was woken goes before the current one, and if that has
/// had its turn, so does one that only computes.
pub fn preempt() {
    let (own, now) = (own_index(), timestamp());
    timer::set_alarm();
    let thread = crate::current();
    let over = thread.turn.is_over(now);
    let class = if over && (QUEUES.waiting(own) != 0 || QUEUES.balance(own, now)) {
        Class::Expired
    } else if !thread.turn.computes() && (QUEUES.has_woken(own) || is_enough()) {
        Class::Interrupted
    } else if QUEUES.has_woken(own) {
        Class::Preempted
    } else {
        return;
    };
    // What gives way would wait here, while an enclave thread waits outside for something else.
    if !may_wake() {
        call_one_in();
    }
    give_way(class);
}

/// To be asked after a call outside: whether the current thread should let another one run, which costs
/// little here. A server's threads that always find their next request there would else keep others
/// waiting until a tick.
#[must_use]
pub fn is_enough() -> bool {
    others_wait() && has_current() && crate::current().turn.is_enough(timestamp())
}

fn give_way(class: Class) {
    let thread = crate::current();
    thread.state.give_way(class);
    leave(&thread);
}
