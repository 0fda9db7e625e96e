//! All interleavings of a thread that waits and of those that wake it, by Loom.

use enclave_runqueue::{Class, Left, RunState, Word};
use loom::{
    sync::{
        Arc, Notify,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

#[derive(Debug)]
struct Modelled(AtomicU32);

impl Word for Modelled {
    fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }

    fn load(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    fn swap(&self, value: u32) -> u32 {
        self.0.swap(value, Ordering::AcqRel)
    }

    fn replace(&self, seen: u32, value: u32) -> Result<u32, u32> {
        self.0.compare_exchange(seen, value, Ordering::AcqRel, Ordering::Acquire)
    }
}

/// A thread, the queue that it is put in, and what it waits for.
struct World {
    state: RunState<Modelled>,
    queued: Notify,
    come: AtomicBool,
}

impl World {
    fn unpark(&self) {
        if self.state.unpark() {
            self.queued.notify();
        }
    }

    /// What an enclave thread does once the thread has left.
    fn schedule(&self) {
        match self.state.left(|| {}) {
            // If nobody queues it, it waits for ever, which Loom reports.
            Left::Parked => self.queued.wait(),
            Left::Runnable(_) => {}
            Left::Exited => unreachable!(),
        }
        self.state.run();
    }

    fn park(&self) {
        if self.state.park() {
            self.schedule();
        }
    }
}

/// A thread that waits for something, gives way now and then, and is woken for it once, and
/// `for_nothing` beside.
fn wait(ways: &'static [Class], for_nothing: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let world = Arc::new(World {
            state: RunState::new(),
            queued: Notify::new(),
            come: AtomicBool::new(false),
        });
        world.state.run();
        let mut wakers: Vec<_> = (0..for_nothing)
            .map(|_| {
                let world = Arc::clone(&world);
                thread::spawn(move || world.unpark())
            })
            .collect();
        let waker = Arc::clone(&world);
        wakers.push(thread::spawn(move || {
            waker.come.store(true, Ordering::Relaxed);
            waker.unpark();
        }));
        for &class in ways {
            world.state.give_way(class);
            world.schedule();
        }
        while !world.come.load(Ordering::Relaxed) {
            world.park();
        }
        for waker in wakers {
            assert!(waker.join().is_ok());
        }
    });
}

#[test]
fn a_wait_ends() {
    wait(&[], 0);
}

#[test]
fn a_wake_up_is_seen_beside_one_for_nothing() {
    wait(&[], 1);
}

#[test]
fn a_wake_up_is_seen_by_one_that_gives_way() {
    wait(&[Class::Preempted], 0);
    wait(&[Class::Woken], 0);
}
