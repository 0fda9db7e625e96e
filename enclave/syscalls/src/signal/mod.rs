//! Signals: who gets them, and who is woken for them.
//!
//! The state is `enclave_signals::Signals` under one lock. A thread that has to look at it is
//! flagged ([`TaskSignals::wanted`]) and called out of whatever it does ([`Thread::interrupt`]);
//! it delivers its signals itself on its way back to the program ([`deliver()`]).

mod calls;
mod deliver;
mod frame;
mod host;
mod restart;
mod send;
mod wait;

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use enclave_core::{Mutex, fatal};
use enclave_files::WaitQueue;
use enclave_signals::{Sent, SigInfo, SigSet, Signals, Target};
use enclave_threads::{Thread, current};

use crate::{process::process, task};

pub(crate) use calls::{rt_sigaction, rt_sigpending, rt_sigprocmask, sigaltstack};
pub(crate) use deliver::{before_return, deliver, fault, rt_sigreturn};
pub(crate) use host::hold;
pub(crate) use restart::{keep_deadline, resume_deadline};
pub(crate) use send::{
    broken_pipe, file_too_large, kill, rt_sigqueueinfo, rt_tgsigqueueinfo, send_to_own, tgkill,
    tkill, write_failed,
};
pub(crate) use wait::{pause, restart_syscall, rt_sigsuspend, rt_sigtimedwait, with_mask};

/// What a thread keeps for its signals.
#[derive(Debug, Default)]
pub(crate) struct TaskSignals {
    /// A signal waits for the thread.
    wanted: AtomicBool,
    /// Deadline of an interrupted call that goes on when it is made again; zero for none.
    deadline: AtomicU64,
    /// Vector, error code and address of the last fault.
    fault: [AtomicU64; 3],
}

struct State {
    signals: Signals,
    threads: BTreeMap<u32, Arc<Thread>>,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);
/// Threads that are flagged.
static WANTED: AtomicU64 = AtomicU64::new(0);
/// Woken when a signal was sent: for signalfd.
pub(crate) static ARRIVALS: WaitQueue = WaitQueue::new();
/// Readiness that [`ARRIVALS`] tells.
const POLLIN: u32 = 1;

/// Starts with the first thread, and the signals that the host ignored and blocked.
pub(crate) fn init(leader: &Arc<Thread>, ignored: u64, blocked: u64) {
    let signals = Signals::new(leader.tid(), SigSet(ignored), SigSet(blocked));
    let threads = [(leader.tid(), Arc::clone(leader))].into();
    *STATE.lock() = Some(State { signals, threads });
    enclave_threads::set_signal_hook(host::collect);
    enclave_threads::set_interrupted_hook(interrupted);
    host::update();
}

/// Runs `act` on the state, then wakes the threads it returns.
fn with<R>(act: impl FnOnce(&mut State) -> (R, Vec<u32>)) -> R {
    let mut guard = STATE.lock();
    let Some(state) = guard.as_mut() else { fatal("signals are used before start-up") };
    let (result, wanted) = act(state);
    let threads: Vec<_> = wanted.iter().filter_map(|tid| state.flag(*tid)).collect();
    drop(guard);
    for thread in threads {
        thread.interrupt();
    }
    result
}

/// Runs `act` on the state, which wakes nobody.
fn look<R>(act: impl FnOnce(&mut State) -> R) -> R {
    with(|state| (act(state), Vec::new()))
}

impl State {
    /// Flags a thread; returns it, so that it can be woken.
    fn flag(&self, tid: u32) -> Option<Arc<Thread>> {
        let thread = self.threads.get(&tid)?;
        if !task::of(thread).signals.wanted.swap(true, Ordering::SeqCst) {
            WANTED.fetch_add(1, Ordering::SeqCst);
        }
        Some(Arc::clone(thread))
    }

    /// Brings the flag of the current thread up to date.
    fn refresh(&self, thread: &Arc<Thread>) {
        if self.signals.is_wanted(thread.tid()) {
            self.flag(thread.tid());
        } else if task::of(thread).signals.wanted.swap(false, Ordering::SeqCst) {
            WANTED.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// A thread that the current one has made, before it runs.
pub(crate) fn thread_started(thread: &Arc<Thread>) {
    let parent = current().tid();
    crate::sched::thread_started(parent, thread.tid());
    look(|state| {
        state.signals.add_thread(thread.tid(), parent);
        state.threads.insert(thread.tid(), Arc::clone(thread));
    });
}

/// The current thread ends.
pub(crate) fn thread_ended() {
    let thread = current();
    crate::time::thread_ended(&thread);
    crate::sched::thread_ended(thread.tid());
    with(|state| {
        let other = state.signals.remove_thread(thread.tid());
        state.threads.remove(&thread.tid());
        if task::of(&thread).signals.wanted.swap(false, Ordering::SeqCst) {
            WANTED.fetch_sub(1, Ordering::SeqCst);
        }
        ((), other.into_iter().collect())
    });
}

/// All threads.
pub(crate) fn threads() -> Vec<Arc<Thread>> {
    look(|state| state.threads.values().cloned().collect())
}

/// The thread with this id.
pub(crate) fn find_thread(tid: u32) -> Option<Arc<Thread>> {
    look(|state| state.threads.get(&tid).cloned())
}

/// Whether an id is the process's, or that of one of its threads, which the host does not know.
pub(crate) fn is_own(id: u32) -> bool {
    id == process().pid || find_thread(id).is_some()
}

/// Whether a signal waits for the current thread, so that its call must end.
pub(crate) fn interrupted() -> bool {
    WANTED.load(Ordering::SeqCst) != 0 && task::of(&current()).signals.wanted.load(Ordering::SeqCst)
}

/// How a thread stands to signals, as `/proc/self/status` shows it.
pub(crate) struct Standing {
    pub(crate) pending: SigSet,
    /// What waits for any thread of the process.
    pub(crate) shared: SigSet,
    pub(crate) blocked: SigSet,
    pub(crate) ignored: SigSet,
    pub(crate) caught: SigSet,
}

/// How a thread stands to signals.
pub(crate) fn standing(tid: u32) -> Standing {
    look(|state| {
        let (caught, ignored) = state.signals.dispositions();
        let [pending, shared] = state.signals.pending_by_target(tid);
        Standing { pending, shared, blocked: state.signals.blocked(tid), ignored, caught }
    })
}

/// Sends a signal; `false` if it is a real-time signal and the queue is full.
pub(crate) fn send(target: Target, info: SigInfo) -> bool {
    let sent = with(|state| {
        let sent = state.signals.send(target, info);
        let woken = if let Ok(Sent::Wakes(tid)) = sent { alloc::vec![tid] } else { Vec::new() };
        (sent, woken)
    });
    if matches!(sent, Ok(Sent::Waits | Sent::Wakes(_))) {
        ARRIVALS.wake(POLLIN);
    }
    sent.is_ok()
}

/// Takes a signal of `set` that waits for the current thread or for the process: for signalfd.
pub(crate) fn take(set: SigSet) -> Option<SigInfo> {
    let thread = current();
    let info = look(|state| {
        let info = state.signals.take(thread.tid(), set);
        state.refresh(&thread);
        info
    });
    info.map(crate::timer::taken)
}

/// Sets how many signals the queues may hold together.
pub(crate) fn limit_queues(limit: usize) {
    look(|state| state.signals.limit_queues(limit));
}

/// The signals that wait for the current thread, blocked or not.
pub(crate) fn pending() -> SigSet {
    let tid = current().tid();
    look(|state| state.signals.pending(tid))
}

/// Whether a signal of timer `id` has not been taken yet.
pub(crate) fn has_timer(id: u32) -> bool {
    look(|state| state.signals.has_timer(id))
}

/// Drops the signals of a timer.
pub(crate) fn flush_timer(id: u32) {
    look(|state| state.signals.flush_timer(id));
}
