//! What calls that wait for readiness have in common.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};

use enclave_core::Mutex;
use enclave_files::{HostFd, OpenFile, Watcher, flag};
use enclave_hostcalls::{Call, Errno, Wait, changed};
use enclave_threads::{Thread, Wake, check_events, clock, current, park_until};

pub(crate) use crate::signal::{interrupted, with_mask};
use crate::{
    signal::{keep_deadline, resume_deadline},
    time,
};

/// How long a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// Not at all.
    Now,
    /// Until this time of the monotonic clock.
    At(u64),
    /// For ever.
    Never,
}

impl Deadline {
    /// The deadline of a wait that begins now and lasts `time` nanoseconds, `None` for ever. A
    /// call that goes on after a signal keeps the deadline it had.
    pub(crate) fn after(time: Option<u64>) -> Self {
        match time {
            Some(0) => Self::Now,
            Some(time) => Self::At(resume_deadline(|| time::after(time))),
            None => Self::Never,
        }
    }

    /// The same for a `struct timespec` of the program, which may be null.
    pub(crate) fn after_timespec(address: u64) -> Result<Self, Errno> {
        let time = match address {
            0 => None,
            _ => Some(time::read_timespec(address)?.duration()?),
        };
        Ok(Self::after(time))
    }

    /// The same for milliseconds as poll(2) takes them: negative for ever.
    pub(crate) fn after_milliseconds(milliseconds: i32) -> Self {
        Self::after(u64::try_from(milliseconds).ok().map(|time| time * 1_000_000))
    }

    /// Nanoseconds that are left, `None` for ever.
    pub(crate) fn remaining(self) -> Option<u64> {
        match self {
            Self::Now => Some(0),
            Self::At(time) => Some(time.saturating_sub(clock::monotonic())),
            Self::Never => None,
        }
    }

    /// Whether nothing is left.
    pub(crate) fn passed(self) -> bool {
        self.remaining() == Some(0)
    }

    /// Ends a call with `EINTR`; what is left counts if the call goes on.
    pub(crate) fn interrupted(self) -> Errno {
        if let Self::At(time) = self {
            keep_deadline(time);
        }
        Errno::EINTR
    }

    /// Parks the current thread until it is woken or the deadline has passed.
    pub(crate) fn park(self) {
        let time = match self {
            Self::Now => return,
            Self::At(time) => Some(time),
            Self::Never => None,
        };
        sleep(time);
    }
}

/// Parks the current thread until it is woken or the deadline has passed, if there is one. Who has slept may know
/// that something has changed meanwhile.
pub(crate) fn sleep(deadline: Option<u64>) -> Wake {
    let wake = park_until(deadline);
    changed();
    wake
}

/// What the host said, or `None` if it only asked for the thread's attention.
pub(crate) fn attend(result: Result<u64, Errno>) -> Result<Option<u64>, Errno> {
    match result {
        Err(Errno::EINTR) => {
            check_events();
            Ok(None)
        }
        result => result.map(Some),
    }
}

mod nr {
    pub(super) const READ: u64 = 0;
    pub(super) const WRITE: u64 = 1;
    pub(super) const EVENTFD2: u64 = 290;
}

/// Wakes a thread that waits outside, for a reason that arises inside: an eventfd of the host.
#[derive(Debug)]
pub(crate) struct Bell {
    fd: HostFd,
    rung: AtomicBool,
}

impl Bell {
    pub(crate) fn new() -> Result<Self, Errno> {
        let mut call = Call::new(nr::EVENTFD2, 0)?;
        let fd = call.args([0, flag::NONBLOCK | flag::CLOEXEC]).descriptor(Wait::No)?;
        Ok(Self { fd: HostFd::adopt(fd), rung: AtomicBool::new(false) })
    }

    /// Number on the host; ready for reading when the bell was rung.
    pub(crate) fn number(&self) -> u64 {
        self.fd.number()
    }

    /// Wakes who waits.
    pub(crate) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.call(nr::WRITE);
        }
    }

    /// Makes it silent again, if it was rung or the host says so (`heard`). What it was rung for
    /// must be looked at afterwards.
    pub(crate) fn silence(&self, heard: bool) {
        if heard || self.rung.load(Ordering::Relaxed) {
            self.call(nr::READ);
            // A swap, not a store: what was done before it was rung is seen from here on.
            self.rung.swap(false, Ordering::AcqRel);
        }
    }

    fn call(&self, number: u64) {
        // If the host does not do it, the thread sleeps on: the host could have let it sleep anyway.
        if let Ok(mut call) = Call::new(number, 8) {
            let buffer = call.room(8);
            buffer.word(0).write(1);
            let _ = call.args([self.number(), buffer.address(), 8]).run(Wait::No);
        }
    }
}

/// Bells that are not in use.
static BELLS: Mutex<Vec<Bell>> = Mutex::new(Vec::new());

/// A thread that waits for several objects, at least one of which has no descriptor of the host.
pub(crate) struct Waiter {
    thread: Arc<Thread>,
    /// There if the thread waits outside.
    bell: Option<Bell>,
}

impl Watcher for Waiter {
    fn wake(self: Arc<Self>, _events: u32) {
        match &self.bell {
            Some(bell) => bell.ring(),
            None => self.thread.unpark(),
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(bell) = self.bell.take() {
            bell.silence(false);
            BELLS.lock().push(bell);
        }
    }
}

/// A waiter and the objects that know it; they forget it when this is dropped.
pub(crate) struct Watch {
    waiter: Arc<Waiter>,
    files: Vec<Arc<OpenFile>>,
}

impl Watch {
    /// Makes the current thread known to `files`. If it will wait `outside`, it must wait for the
    /// [`Self::bell`] too.
    pub(crate) fn new(files: Vec<Arc<OpenFile>>, outside: bool) -> Result<Self, Errno> {
        let bell = if outside {
            let bell = BELLS.lock().pop();
            Some(match bell {
                Some(bell) => bell,
                None => Bell::new()?,
            })
        } else {
            None
        };
        let waiter = Arc::new(Waiter { thread: current(), bell });
        for file in &files {
            if let Some(queue) = file.queue() {
                queue.add(waiter.clone());
            }
        }
        Ok(Self { waiter, files })
    }

    pub(crate) fn bell(&self) -> Option<&Bell> {
        self.waiter.bell.as_ref()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let waiter: Arc<dyn Watcher> = self.waiter.clone();
        for file in &self.files {
            if let Some(queue) = file.queue() {
                queue.remove(&waiter);
            }
        }
    }
}
