//! Who waits for an object that has no descriptor of the host.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicUsize, Ordering};

use enclave_core::Mutex;
use enclave_threads::{Thread, current, park};

/// Wants to know when an object may have become ready.
pub trait Watcher: Send + Sync {
    /// The object may have become ready for some of `events` ([`crate::ready`]). Called without a
    /// lock held; must be short and must not wait.
    fn wake(self: Arc<Self>, events: u32);
}

impl Watcher for Thread {
    fn wake(self: Arc<Self>, _events: u32) {
        self.unpark();
    }
}

/// The watchers of an object, which calls [`Self::wake`] after each change of its state.
///
/// An object that nobody waits for pays one load: so the state must be changed under a lock that
/// [`crate::Object::ready`] takes as well, or by a sequentially consistent atomic operation. Then
/// either the watcher sees the change, or the object sees the watcher.
#[derive(Default)]
pub struct WaitQueue {
    watchers: Mutex<Vec<Arc<dyn Watcher>>>,
    /// How many there are.
    count: AtomicUsize,
}

impl WaitQueue {
    /// A queue in which nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self { watchers: Mutex::new(Vec::new()), count: AtomicUsize::new(0) }
    }

    /// Adds a watcher. It must look at the object afterwards: earlier changes are not told.
    pub fn add(&self, watcher: Arc<dyn Watcher>) {
        let mut watchers = self.watchers.lock();
        watchers.push(watcher);
        self.count.store(watchers.len(), Ordering::SeqCst);
    }

    /// Removes a watcher, if it is there.
    pub fn remove(&self, watcher: &Arc<dyn Watcher>) {
        let mut watchers = self.watchers.lock();
        let at = watchers.iter().position(|other| Arc::ptr_eq(other, watcher));
        let removed = at.map(|at| watchers.swap_remove(at));
        self.count.store(watchers.len(), Ordering::SeqCst);
        drop(watchers);
        drop(removed);
    }

    /// Tells all watchers that the object may be ready for `events`. No lock may be held.
    #[inline]
    pub fn wake(&self, events: u32) {
        if self.count.load(Ordering::SeqCst) > 0 {
            self.wake_all(events);
        }
    }

    fn wake_all(&self, events: u32) {
        let watchers = self.watchers.lock();
        match watchers.as_slice() {
            [] => {}
            [one] => {
                let one = Arc::clone(one);
                drop(watchers);
                one.wake(events);
            }
            many => {
                let many = many.to_vec();
                drop(watchers);
                many.into_iter().for_each(|watcher| watcher.wake(events));
            }
        }
    }

    /// Lets the current thread wait unless `ready` says otherwise; returns when the object or the
    /// thread (a signal) was woken. The caller then returns `EINTR`: its call is made again unless
    /// a signal is to be delivered.
    pub fn wait(&self, ready: impl FnOnce() -> bool) {
        self.wait_until(ready, park);
    }

    /// As [`Self::wait`], where `park` lets the thread wait, perhaps not for ever.
    pub fn wait_until(&self, ready: impl FnOnce() -> bool, park: impl FnOnce()) {
        let sleeper: Arc<dyn Watcher> = current();
        self.add(Arc::clone(&sleeper));
        if !ready() {
            park();
        }
        self.remove(&sleeper);
    }
}

impl core::fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WaitQueue").finish_non_exhaustive()
    }
}
