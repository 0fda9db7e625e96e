//! A thread of the program, and how it waits.

use alloc::sync::Arc;
use core::{
    any::Any,
    sync::atomic::{AtomicU64, Ordering},
};

use enclave_core::{Context, Stack, UserRegs, own_call, tcs_index, timestamp};
use enclave_runqueue::{RunState, Turn};
use hostcall_abi::service;

use crate::{clock, futex::FutexWait, scheduler, timer};

/// Value of [`Thread::runs_on`] while no enclave thread runs it.
pub(crate) const NOWHERE: u64 = u64::MAX;

/// A thread of the program.
pub struct Thread {
    tid: u32,
    pub(crate) context: Context,
    pub(crate) state: RunState,
    /// The enclave thread that runs it, or [`NOWHERE`].
    pub(crate) runs_on: AtomicU64,
    /// Ticks that it has used so far, without the current stretch.
    pub(crate) used: AtomicU64,
    /// Start of the current stretch, in ticks.
    pub(crate) since: AtomicU64,
    pub(crate) turn: Turn,
    pub(crate) futex: FutexWait,
    /// What the system call layer keeps for each thread.
    pub data: alloc::boxed::Box<dyn Any + Send + Sync>,
}

impl core::fmt::Debug for Thread {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Thread").field("tid", &self.tid).finish_non_exhaustive()
    }
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Somebody woke the thread, or the wait ended for no reason: look at the condition again.
    Woken,
    /// The deadline has passed.
    TimedOut,
}

impl Thread {
    /// A thread that will call `start(argument)` and then enter the program with `regs` and the
    /// XSAVE image `xstate`. It does not run before [`scheduler::spawn`].
    #[must_use]
    pub fn new(
        tid: u32,
        start: extern "sysv64" fn(u64),
        argument: u64,
        regs: &UserRegs,
        xstate: &[u8],
        data: alloc::boxed::Box<dyn Any + Send + Sync>,
    ) -> Arc<Self> {
        Arc::new(Self {
            tid,
            context: Context::new(Stack::new(), start, argument, regs, xstate),
            state: RunState::new(),
            runs_on: AtomicU64::new(NOWHERE),
            used: AtomicU64::new(0),
            since: AtomicU64::new(0),
            turn: Turn::default(),
            futex: FutexWait::default(),
            data,
        })
    }

    /// Thread id, unique in the process.
    #[must_use]
    pub fn tid(&self) -> u32 {
        self.tid
    }

    /// Makes the thread look for work before it goes on: ends its wait, and calls it out of the
    /// program or of a call that it makes on the host.
    pub fn interrupt(self: &Arc<Self>) {
        self.unpark();
        if let Some(index) = self.elsewhere() {
            own_call(service::KICK, [index]);
        }
    }

    /// Whether another enclave thread runs it, inside or in a call that it makes on the host.
    #[must_use]
    pub fn runs_elsewhere(&self) -> bool {
        self.elsewhere().is_some()
    }

    /// The other enclave thread that runs it.
    fn elsewhere(&self) -> Option<u64> {
        let index = self.runs_on.load(Ordering::SeqCst);
        (index != NOWHERE && index != tcs_index()).then_some(index)
    }

    /// Time on enclave threads in nanoseconds, without calls that may block. What the host takes
    /// away from its threads counts too.
    #[must_use]
    pub fn cpu_time(&self) -> u64 {
        let since = self.since.load(Ordering::Relaxed);
        let current = if since == 0 { 0 } else { timestamp().saturating_sub(since) };
        clock::duration(self.used.load(Ordering::Relaxed).saturating_add(current))
    }

    /// Starts a stretch of time that counts.
    pub(crate) fn count_from_now(&self) {
        self.count_from(timestamp());
    }

    /// Ends a stretch of time that counts.
    pub(crate) fn count_until_now(&self) {
        self.count_until(timestamp());
    }

    /// Starts a stretch of time that counts, at `now`.
    pub(crate) fn count_from(&self, now: u64) {
        self.since.store(now.max(1), Ordering::Relaxed);
    }

    /// Ends a stretch of time that counts, at `now`.
    pub(crate) fn count_until(&self, now: u64) {
        let since = self.since.load(Ordering::Relaxed);
        if since != 0 {
            self.since.store(0, Ordering::Relaxed);
            let used = self.used.load(Ordering::Relaxed);
            self.used.store(used.wrapping_add(now.saturating_sub(since)), Ordering::Relaxed);
        }
    }

    /// Ends the wait of the thread, or the next one if it does not wait.
    pub fn unpark(self: &Arc<Self>) {
        if self.state.unpark() {
            scheduler::wake(Arc::clone(self));
        }
    }
}

/// The thread that runs this.
#[must_use]
pub fn current() -> Arc<Thread> {
    enclave_core::current()
}

/// Waits until somebody calls [`Thread::unpark`]; may return early.
pub fn park() {
    let thread = current();
    if thread.state.park() {
        scheduler::leave(&thread);
    }
}

/// Waits until somebody calls [`Thread::unpark`] or `deadline` has passed (nanoseconds of
/// [`clock::monotonic`]; `None` for never). May return [`Wake::Woken`] early.
pub fn park_until(deadline: Option<u64>) -> Wake {
    let Some(deadline) = deadline else {
        park();
        return Wake::Woken;
    };
    if clock::monotonic() >= deadline {
        return Wake::TimedOut;
    }
    let thread = current();
    let id = timer::set_timer(deadline, alloc::boxed::Box::new(move || thread.unpark()));
    park();
    timer::cancel_timer(id);
    if clock::monotonic() >= deadline { Wake::TimedOut } else { Wake::Woken }
}

/// Ends the current thread.
pub fn exit_current() -> ! {
    current().state.exit();
    scheduler::leave_for_ever()
}
