//! A context: requests that are being executed, and how others ended.

use alloc::{collections::VecDeque, vec::Vec};

use enclave_core::{AppPtr, AppSlice, Mutex, to_usize};
use enclave_files::{WaitQueue, ready};
use enclave_hostcalls::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::PAGE;
use crate::wait::{Deadline, interrupted};

/// `struct io_event`: how a request ended.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Event {
    /// What the program calls the request.
    pub(super) data: u64,
    /// Address of the request.
    pub(super) request: u64,
    /// As a system call's result.
    pub(super) result: u64,
    pub(super) more: u64,
}

const EVENT: u64 = size_of::<Event>() as u64;

struct State {
    /// Requests that are being executed.
    running: u64,
    /// What is to be collected.
    ended: VecDeque<Event>,
    destroyed: bool,
}

/// A context.
pub(super) struct Context {
    /// Events that the program asked for.
    pub(super) asked: u64,
    /// Most requests that are running or not collected.
    places: u64,
    state: Mutex<State>,
    /// Who waits for requests to end.
    changes: WaitQueue,
}

/// As many as Linux has: twice what is asked for, and what else fits into the pages of its ring.
const fn places(asked: u64) -> u64 {
    /// `struct aio_ring` without its events.
    const HEADER: u64 = 32;
    /// For each processor.
    const LEAST: u64 = 4;
    let events = if asked < LEAST { LEAST } else { asked } * 2 + 2;
    let ring = (HEADER + events * EVENT).next_multiple_of(PAGE);
    (ring - HEADER) / EVENT - 1
}

impl Context {
    pub(super) fn new(asked: u64) -> Self {
        let state = State { running: 0, ended: VecDeque::new(), destroyed: false };
        Self { asked, places: places(asked), state: Mutex::new(state), changes: WaitQueue::new() }
    }

    /// Executes a request, and keeps how it ended.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if too much is to be collected, `EINVAL` if the context was destroyed, and those of
    /// a request that is refused.
    pub(super) fn run(&self, request: impl FnOnce() -> Result<Event, Errno>) -> Result<(), Errno> {
        self.begin()?;
        let event = request();
        let mut state = self.state.lock();
        state.running -= 1;
        state.ended.extend(event.ok());
        drop(state);
        self.changes.wake(ready::IN);
        event.map(|_| ())
    }

    fn begin(&self) -> Result<(), Errno> {
        let mut state = self.state.lock();
        if state.destroyed {
            return Err(Errno::EINVAL);
        }
        if state.running + state.ended.len() as u64 >= self.places {
            return Err(Errno::EAGAIN);
        }
        state.running += 1;
        Ok(())
    }

    /// Ends all waits, and lets no request begin.
    pub(super) fn destroy(&self) {
        self.state.lock().destroyed = true;
        self.changes.wake(u32::MAX);
    }

    /// Waits until nothing uses the program's buffers any more, or a signal comes.
    pub(super) fn settle(&self) {
        let is_over = || self.state.lock().running == 0;
        while !is_over() && !interrupted() {
            self.changes.wait(is_over);
        }
    }

    /// Gives the program what has ended, at most the second number; waits until it is the first.
    ///
    /// # Errors
    ///
    /// If there is nothing to give: `EINVAL` if the context was destroyed, `EINTR` for a signal.
    /// `EFAULT`.
    pub(super) fn collect(
        &self,
        events: AppPtr<Event>,
        [least, most]: [u64; 2],
        deadline: Deadline,
    ) -> Result<u64, Errno> {
        let mut count = 0;
        loop {
            match self.give(events.at(count), most - count) {
                Ok(given) => count += given,
                Err(errno) if count == 0 => return Err(errno),
                Err(_) => return Ok(count),
            }
            let destroyed = self.state.lock().destroyed;
            if count >= least || destroyed || deadline.passed() || interrupted() {
                return match count {
                    0 if destroyed => Err(Errno::EINVAL),
                    0 if interrupted() => Err(deadline.interrupted()),
                    count => Ok(count),
                };
            }
            let has_changed = || {
                let state = self.state.lock();
                state.destroyed || !state.ended.is_empty()
            };
            self.changes.wait_until(has_changed, || deadline.park());
        }
    }

    /// Gives the program what has ended so far.
    fn give(&self, events: AppPtr<Event>, most: u64) -> Result<u64, Errno> {
        let taken = self.take(most);
        let count = taken.len() as u64;
        let written = AppSlice::new(events.address(), count * EVENT)
            .and_then(|target| target.write_bytes(taken.as_bytes()));
        if written.is_err() {
            let mut state = self.state.lock();
            taken.into_iter().rev().for_each(|event| state.ended.push_front(event));
        }
        written?;
        Ok(count)
    }

    fn take(&self, most: u64) -> Vec<Event> {
        let mut state = self.state.lock();
        let count = state.ended.len().min(to_usize(most));
        state.ended.drain(..count).collect()
    }
}
