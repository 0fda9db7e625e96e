//! Threads that may block on behalf of the enclave: as many as there are calls that block.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use hostcall_abi::control;
use worker::{Attention, Job, Request};

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
        let mut job = Job::new(*request);
        let made = running.execute(request, || job.attempt(KICK))?;
        if !made {
            request.hand_on();
            self.submit(running, job);
        }
        Some(made)
    }

    /// Hands a call to a thread of the pool.
    fn submit(&'static self, running: &'static Running, job: Job) {
        let mut queue = self.lock();
        queue.jobs.push_back(job);
        let enough = queue.idle >= queue.jobs.len();
        drop(queue);
        if enough {
            return self.work.notify_one();
        }
        let spawned = std::thread::Builder::new()
            .name("worker".into())
            .stack_size(64 << 10)
            .spawn(move || self.work(running));
        if spawned.is_err() {
            // No more threads: one that becomes free will take it.
            self.work.notify_one();
        }
    }

    /// Interrupts a request that waits: it ends with `EINTR`. One that has not been begun, or does
    /// not wait yet, goes on: whoever wants it to end asks again.
    pub(crate) fn cancel(&self, address: u64) {
        // Under the lock: the thread cannot go on to another request meanwhile.
        if let Some(thread) = self.lock().executing.get(&address) {
            worker::kick_thread(*thread, KICK);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, running: &Running) {
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
