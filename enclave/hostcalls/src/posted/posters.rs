//! The threads that have posted what is in the list.

use alloc::{sync::Arc, vec::Vec};

use enclave_core::{current_number, has_current};
use enclave_threads::{Thread, current};

/// A thread with calls in the list; nobody, on a scheduler's stack.
pub(super) struct Poster {
    /// What is kept as long as there are calls: so no other thread gets its number.
    thread: Option<Arc<Thread>>,
    number: u64,
    /// Its calls in the list. Without any, the place is free.
    calls: usize,
    /// The last carrier that took along a call which those before it must not be behind.
    pub(super) carrier: u64,
}

impl Poster {
    pub(super) fn runs_elsewhere(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| thread.runs_elsewhere())
    }
}

/// One place for each, which is its own as long as it has calls in the list.
pub(super) struct Posters(Vec<Poster>);

impl Posters {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// The place of the thread that runs this, if it has calls in the list.
    pub(super) fn own(&self) -> Option<usize> {
        let number = current_number();
        self.0.iter().position(|poster| poster.calls > 0 && poster.number == number)
    }

    /// The thread that runs this posts a call. Returns its place.
    pub(super) fn enter(&mut self) -> usize {
        let place = self.own().unwrap_or_else(|| self.begin());
        self.0[place].calls += 1;
        place
    }

    fn begin(&mut self) -> usize {
        let thread = has_current().then(current);
        let poster = Poster { thread, number: current_number(), calls: 0, carrier: 0 };
        if let Some(free) = self.0.iter().position(|poster| poster.calls == 0) {
            self.0[free] = poster;
            return free;
        }
        self.0.push(poster);
        self.0.len() - 1
    }

    /// A call leaves the list. Returns the thread, to be dropped without the lock, if it was its last.
    pub(super) fn leave(&mut self, place: usize) -> Option<Arc<Thread>> {
        let poster = &mut self.0[place];
        poster.calls -= 1;
        if poster.calls == 0 { poster.thread.take() } else { None }
    }

    pub(super) fn at(&mut self, place: usize) -> &mut Poster {
        &mut self.0[place]
    }
}
