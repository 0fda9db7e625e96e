//! Lies about requests that were handed over: which are done, when, and how often.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Result, bail};
use hostcall_abi::{control, layout, request};
use launcher::Tamper;
use worker::Request;

use crate::memory;

#[derive(Clone, Copy, Debug)]
enum How {
    /// A request is on the list of completed ones twice.
    Twice,
    /// One that was completed before is completed again.
    Stale,
    /// What is on the list is no request.
    Unknown,
    /// The list begins in the enclave.
    Inside,
    /// Requests are said to be done before they are made.
    Early,
    /// Every other one is made late, so that later ones overtake it.
    Reordered,
    /// What may wait is never made.
    Never,
}

/// `complete HOW`.
#[derive(Debug)]
pub(crate) struct Completions {
    how: How,
    former: Mutex<Option<Request>>,
    count: AtomicU64,
}

impl Completions {
    pub(crate) fn new(how: &str) -> Result<Self> {
        let how = match how {
            "twice" => How::Twice,
            "stale" => How::Stale,
            "unknown" => How::Unknown,
            "inside" => How::Inside,
            "early" => How::Early,
            "reordered" => How::Reordered,
            "never" => How::Never,
            _ => bail!("requests cannot be completed {how:?}"),
        };
        Ok(Self { how, former: Mutex::default(), count: AtomicU64::new(0) })
    }

    fn former(&self, request: &Request) -> Option<Request> {
        self.former.lock().unwrap_or_else(PoisonError::into_inner).replace(*request)
    }
}

/// Whether this thread makes requests that were handed over.
fn in_pool() -> bool {
    thread::current().name() == Some("worker")
}

fn in_ring() -> bool {
    thread::current().name().is_some_and(|name| name.starts_with("ring"))
}

fn completed() -> &'static AtomicU64 {
    memory().0.control.word(control::COMPLETED)
}

/// Puts a request on the list of completed ones, and leaves it to the launcher to do so as well: that
/// completes what is awaited only.
fn complete_too(request: &Request) {
    request.complete(completed());
    let arena = memory().0.arena;
    let first = (request.address() - arena.address()) / 8;
    arena.word(first + request::STATE).store(request::state::AWAITED, Ordering::SeqCst);
}

impl Tamper for Completions {
    fn before(&self, request: &Request) -> bool {
        if !in_pool() && !in_ring() {
            return true;
        }
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        match self.how {
            How::Early if in_pool() => complete_too(request),
            How::Early => {
                let _ = request.done();
            }
            How::Reordered if count.is_multiple_of(2) => thread::sleep(Duration::from_millis(2)),
            How::Never => return !in_pool(),
            _ => {}
        }
        true
    }

    fn after(&self, request: &Request) {
        if !in_pool() {
            return;
        }
        match self.how {
            How::Twice => complete_too(request),
            How::Stale => {
                if let Some(former) = self.former(request) {
                    former.complete(completed());
                }
            }
            How::Unknown => {
                let other = memory().0.arena.address() + (1 << 20);
                completed().store(other, Ordering::SeqCst);
            }
            How::Inside => completed().store(layout::HEAP_BASE, Ordering::SeqCst),
            _ => {}
        }
    }
}
