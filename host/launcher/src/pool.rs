//! Threads that may block on behalf of the enclave: as many as there are calls that block.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
};

use hostcall_abi::{control, layout};
use worker::{Attention, Request, wake_word};

use crate::threads::Running;

#[derive(Debug, Default)]
struct Queue {
    requests: VecDeque<Request>,
    idle: usize,
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

    /// Hands a request to a thread of the pool.
    pub(crate) fn submit(&'static self, running: &'static Running, request: Request) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.requests.push_back(request);
        if queue.idle >= queue.requests.len() {
            self.work.notify_one();
            return;
        }
        drop(queue);
        let spawned = std::thread::Builder::new()
            .name("worker".into())
            .stack_size(64 << 10)
            .spawn(move || self.work(running));
        if spawned.is_err() {
            // No more threads: one that becomes free will take it.
            self.work.notify_one();
        }
    }

    fn work(&self, running: &Running) {
        loop {
            let request = self.take();
            Attention::new().execute(&request);
            finish(running, &request);
        }
    }

    fn take(&self) -> Request {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(request) = queue.requests.pop_front() {
                return request;
            }
            queue.idle += 1;
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }
}

/// Tells the enclave that a request is done.
fn finish(running: &Running, request: &Request) {
    use std::sync::atomic::Ordering::SeqCst;
    let block = &running.boot.control;
    request.complete(block.word(control::COMPLETED));
    for index in 0..layout::TCS_COUNT {
        let word = block.word(control::IDLE + index);
        if word.compare_exchange(1, 0, SeqCst, SeqCst).is_ok() {
            wake_word(word);
            return;
        }
    }
}
