//! Registrations of objects that become ready inside.

use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use enclave_files::{OpenFile, Watcher};

use super::registry::{self, Token};

/// A registration of an object that tells when it becomes ready.
pub(super) struct Inside {
    /// The epoll set.
    set: Weak<OpenFile>,
    token: Token,
    file: Weak<OpenFile>,
    /// Bits of poll(2) that are waited for.
    wanted: AtomicU32,
    /// Whether it is in the set's list already.
    queued: AtomicBool,
}

impl Inside {
    pub(super) fn new(
        set: &Arc<OpenFile>,
        token: Token,
        file: &Arc<OpenFile>,
        events: u32,
    ) -> Self {
        Self {
            set: Arc::downgrade(set),
            token,
            file: Arc::downgrade(file),
            wanted: AtomicU32::new(registry::wanted(events)),
            queued: AtomicBool::new(false),
        }
    }

    /// Changes what is waited for.
    pub(super) fn set_events(&self, events: u32) {
        self.wanted.store(registry::wanted(events), Ordering::SeqCst);
    }

    /// Marks it as taken from the list: what happens from here on puts it there again.
    pub(super) fn dequeued(&self) {
        self.queued.store(false, Ordering::SeqCst);
    }

    /// What the object is ready for, of what is waited for.
    pub(super) fn ready(&self) -> u32 {
        let wanted = self.wanted.load(Ordering::SeqCst);
        match self.file.upgrade() {
            Some(file) if wanted != 0 => file.ready() & wanted,
            _ => 0,
        }
    }

    /// Puts it into the set's list, if it is not there.
    pub(super) fn enqueue(&self) {
        if self.queued.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(file) = self.set.upgrade()
            && let Ok(set) = super::set(&file)
        {
            set.enqueue(self.token);
        }
    }
}

impl Watcher for Inside {
    fn wake(self: Arc<Self>, events: u32) {
        if events & self.wanted.load(Ordering::SeqCst) != 0 {
            self.enqueue();
        }
    }
}
