//! Calls that wait for one descriptor: a single thread waits for all of them by epoll(7).
//!
//! A server with a thread for each connection waits in as many calls as it has clients. To wait in
//! each takes a thread of the host and two switches to it; here it takes one call to epoll_ctl(2),
//! and what has come for many is found by one call.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use crate::{Job, NOBODY, cpu::monotonic};

/// Events that are taken at once.
const BATCH: usize = 64;
/// `struct epoll_event` in bytes.
const EVENT: usize = 12;
/// What stands for the descriptor that wakes the thread.
const WAKE: u64 = u64::MAX;

/// What a call waits for.
#[derive(Clone, Copy, Debug)]
pub struct Awaited {
    pub(crate) fd: u64,
    /// Events, as poll(2) and epoll(7) number them.
    pub(crate) events: u32,
    /// When it has waited long enough, in nanoseconds of the monotonic clock.
    pub(crate) until: Option<u64>,
}

/// A call that waits.
#[derive(Debug)]
struct Waiting {
    job: Job,
    until: Option<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// By descriptor: one call for each, others have to wait elsewhere.
    waiting: HashMap<u64, Waiting>,
    /// Descriptors by the address of the request.
    requests: HashMap<u64, u64>,
    /// Deadlines, with their descriptors.
    deadlines: BTreeSet<(u64, u64)>,
    /// When the thread will look at them.
    looks_at: u64,
}

impl State {
    fn insert(&mut self, awaited: Awaited, job: Job) {
        let Awaited { fd, until, .. } = awaited;
        self.requests.insert(job.request().address(), fd);
        self.deadlines.extend(until.map(|until| (until, fd)));
        self.waiting.insert(fd, Waiting { job, until });
    }

    fn remove(&mut self, fd: u64) -> Option<Job> {
        let Waiting { job, until } = self.waiting.remove(&fd)?;
        self.requests.remove(&job.request().address());
        if let Some(until) = until {
            self.deadlines.remove(&(until, fd));
        }
        Some(job)
    }
}

/// The descriptors of the thread that waits.
#[derive(Clone, Copy, Debug)]
struct Files {
    epoll: u64,
    /// An eventfd.
    wake: u64,
}

/// Calls that wait for one descriptor each.
#[derive(Debug, Default)]
pub struct Readiness {
    files: OnceLock<Option<Files>>,
    state: Mutex<State>,
}

/// What has become of calls that waited.
#[derive(Debug)]
pub enum Ended {
    /// Their descriptors are ready: they can be tried again.
    Ready(Job),
    /// They have waited long enough, and have their result.
    TimedOut(Job),
}

impl Readiness {
    /// Waits for what a call waits for, for which some thread has to call [`Self::next`]. Returns whether
    /// that can be: one call can wait for each descriptor.
    pub fn add(&self, job: Job, awaited: Awaited) -> bool {
        let Some(files) = self.files() else { return false };
        let mut state = self.lock();
        if state.waiting.contains_key(&awaited.fd) || !arm(files, awaited) {
            return false;
        }
        state.insert(awaited, job);
        let sooner = awaited.until.is_some_and(|until| until < state.looks_at);
        drop(state);
        if sooner {
            let one = 1_u64;
            NOBODY.call(nr::WRITE, [files.wake, std::ptr::from_ref(&one) as u64, 8, 0, 0, 0]);
        }
        true
    }

    /// Takes out a call that waits, which ends with `EINTR`.
    pub fn cancel(&self, address: u64) -> Option<Job> {
        let mut state = self.lock();
        let fd = *state.requests.get(&address)?;
        let job = state.remove(fd)?;
        drop(state);
        job.request().set_result(crate::execute::EINTR);
        Some(job)
    }

    /// Waits until some calls need not wait any longer, and gives them to `ended`. `false` if no call can
    /// ever wait here.
    #[must_use]
    pub fn next(&self, mut ended: impl FnMut(Ended)) -> bool {
        let Some(files) = self.files() else { return false };
        let mut events = [0_u8; BATCH * EVENT];
        let buffer = std::ptr::from_mut(&mut events) as u64;
        let args = [files.epoll, buffer, BATCH as u64, self.patience(), 0, 0];
        let count = usize::try_from(NOBODY.call(nr::EPOLL_WAIT, args)).unwrap_or(0);
        // An error is more than there can be.
        let count = if count > BATCH { 0 } else { count };
        for event in events.chunks_exact(EVENT).take(count) {
            let fd = event[4..].try_into().map_or(WAKE, u64::from_le_bytes);
            if fd == WAKE {
                let mut told = 0_u64;
                NOBODY
                    .call(nr::READ, [files.wake, std::ptr::from_mut(&mut told) as u64, 8, 0, 0, 0]);
                continue;
            }
            let job = self.lock().remove(fd);
            job.into_iter().for_each(|job| ended(Ended::Ready(job)));
        }
        let now = monotonic();
        while let Some(job) = self.overdue(now) {
            // poll(2) found nothing; its other results it has already.
            job.request().set_result(0);
            ended(Ended::TimedOut(job));
        }
        true
    }

    /// A call that has waited long enough.
    fn overdue(&self, now: u64) -> Option<Job> {
        let mut state = self.lock();
        let (until, fd) = *state.deadlines.first()?;
        if until > now { None } else { state.remove(fd) }
    }

    /// Milliseconds until the next deadline, as epoll_wait(2) takes them.
    fn patience(&self) -> u64 {
        let mut state = self.lock();
        let first = state.deadlines.first().map(|(until, _)| *until);
        state.looks_at = first.unwrap_or(u64::MAX);
        let Some(until) = first else { return u64::MAX };
        until.saturating_sub(monotonic()).div_ceil(1_000_000).min(i32::MAX.unsigned_abs().into())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> Option<Files> {
        const CLOEXEC: u64 = 0o2_000_000;
        const NONBLOCK: u64 = 0o4_000;
        let open = |number, args| {
            let fd = NOBODY.call(number, args);
            (!hostcall_abi::request::is_error(fd)).then_some(fd)
        };
        *self.files.get_or_init(|| {
            let epoll = open(nr::EPOLL_CREATE1, [CLOEXEC, 0, 0, 0, 0, 0])?;
            let wake = open(nr::EVENTFD2, [0, CLOEXEC | NONBLOCK, 0, 0, 0, 0])?;
            let event = event(1, WAKE);
            let args = [epoll, CTL_ADD, wake, std::ptr::from_ref(&event) as u64, 0, 0];
            (NOBODY.call(nr::EPOLL_CTL, args) == 0).then_some(Files { epoll, wake })
        })
    }
}

/// Has the epoll set tell once that a descriptor is ready. One that it knows from an earlier wait is there
/// still, unless it was closed.
fn arm(files: Files, awaited: Awaited) -> bool {
    const ONESHOT: u32 = 1 << 30;
    let event = event(awaited.events | ONESHOT, awaited.fd);
    let at = std::ptr::from_ref(&event) as u64;
    let control = |how| NOBODY.call(nr::EPOLL_CTL, [files.epoll, how, awaited.fd, at, 0, 0]);
    control(CTL_MOD) == 0 || control(CTL_ADD) == 0
}

fn event(events: u32, data: u64) -> [u8; EVENT] {
    let mut event = [0; EVENT];
    event[..4].copy_from_slice(&events.to_le_bytes());
    event[4..].copy_from_slice(&data.to_le_bytes());
    event
}

const CTL_ADD: u64 = 1;
const CTL_MOD: u64 = 3;

mod nr {
    pub(super) const READ: u64 = 0;
    pub(super) const WRITE: u64 = 1;
    pub(super) const EPOLL_WAIT: u64 = 232;
    pub(super) const EPOLL_CTL: u64 = 233;
    pub(super) const EVENTFD2: u64 = 290;
    pub(super) const EPOLL_CREATE1: u64 = 291;
}
