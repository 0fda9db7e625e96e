//! Threads that may block on behalf of the enclave: one for all calls that wait for a descriptor, and as
//! many more as there are calls that block.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
};

use hostcall_abi::control;
use worker::{Attention, Ended, Job, Readiness, Request};

use crate::threads::{KICK, Running};

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
    /// Requests that are being executed, by address, and by which thread.
    executing: HashMap<u64, i32>,
}

/// The pool.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    queue: Mutex<Queue>,
    work: Condvar,
    readiness: Readiness,
    /// Whether there is a thread that waits for descriptors, once it was wanted.
    watched: OnceLock<bool>,
}

impl Pool {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Makes a call that may wait if it need not, or else hands it to a thread of the pool. Returns
    /// whether it is made; `None` if the host is not honest.
    pub(crate) fn make_or_submit(
        &'static self,
        running: &'static Running,
        request: &Request,
    ) -> Option<bool> {
        running.make_posted(request);
        let job = Job::new(*request);
        let made = running.execute(request, || job.attempt(KICK))?;
        if !made {
            request.hand_on();
            self.submit(running, job);
        }
        Some(made)
    }

    /// Has a call made as soon as it need not wait, or by a thread that may block.
    fn submit(&'static self, running: &'static Running, job: Job) {
        let watched = || *self.watched.get_or_init(|| self.spawn(running, "watcher", Self::watch));
        match job.awaits() {
            Some(awaited) if watched() && self.readiness.add(job, awaited) => {}
            _ => self.block(running, job),
        }
    }

    fn spawn(
        &'static self,
        running: &'static Running,
        name: &str,
        work: fn(&'static Self, &'static Running),
    ) -> bool {
        let thread = std::thread::Builder::new().name(name.into()).stack_size(64 << 10);
        thread.spawn(move || work(self, running)).is_ok()
    }

    /// Hands a call to a thread that may block.
    fn block(&'static self, running: &'static Running, job: Job) {
        let mut queue = self.lock();
        queue.jobs.push_back(job);
        let enough = queue.idle >= queue.jobs.len();
        drop(queue);
        if enough {
            return self.work.notify_one();
        }
        if !self.spawn(running, "worker", Self::work) {
            // No more threads: one that becomes free will take it.
            self.work.notify_one();
        }
    }

    /// Interrupts a request that waits: it ends with `EINTR`. One that has not been begun, or does
    /// not wait yet, goes on: whoever wants it to end asks again.
    pub(crate) fn cancel(&self, running: &Running, address: u64) {
        if let Some(job) = self.readiness.cancel(address) {
            return finish(running, job.request());
        }
        // Under the lock: the thread cannot go on to another request meanwhile.
        if let Some(thread) = self.lock().executing.get(&address) {
            worker::kick_thread(*thread, KICK);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for descriptors, and makes the calls that wait for them.
    fn watch(&'static self, running: &'static Running) {
        let ended = |ended| {
            let (job, ready) = match ended {
                Ended::Ready(job) => (job, true),
                Ended::TimedOut(job) => (job, false),
            };
            let request = *job.request();
            match running.execute(&request, || !ready || job.attempt(KICK)) {
                Some(true) => finish(running, &request),
                // Another thread was faster. What is never found ready would be tried for ever.
                Some(false) => self.block(running, job),
                None => {}
            }
        };
        while self.readiness.next(ended) {}
    }

    fn work(&'static self, running: &'static Running) {
        loop {
            let job = self.take();
            let request = job.request();
            self.lock().executing.insert(request.address(), worker::thread_id());
            let made = running.execute(request, || {
                job.execute(&Attention::new());
                true
            });
            self.lock().executing.remove(&request.address());
            if made.is_some() {
                finish(running, request);
            }
        }
    }

    fn take(&self) -> Job {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return job;
            }
            queue.idle += 1;
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }
}

/// Says that a request is done, and tells the enclave if its thread waits to be told.
pub(crate) fn finish(running: &Running, request: &Request) {
    if !request.done() {
        return;
    }
    let alone = request.complete(running.boot.control.word(control::COMPLETED));
    // Of a list that is not empty, somebody was told before.
    if !running.wake_idle() && alone {
        running.tick_one();
    }
}
