//! Locks inside the enclave: short critical sections, spinning.
//!
//! A holder may be descheduled by the host, so a waiter that spun for long leaves the enclave
//! once to give the processor away.

use core::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicI32, Ordering},
};

use crate::{
    call::yield_processor,
    data::{self, LOCKS},
};

/// A mutual exclusion lock.
pub type Mutex<T> = lock_api::Mutex<RawSpin, T>;
/// Guard of a [`Mutex`].
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawSpin, T>;
/// A lock for many readers or one writer.
pub type RwLock<T> = lock_api::RwLock<RawSpinRw, T>;

const SPINS: u32 = 20_000;

/// Whether this enclave thread holds a spin lock: then it must not switch to another thread.
#[must_use]
pub fn locks_held() -> bool {
    data::read::<LOCKS>() != 0
}

/// Counts a lock that was taken.
fn count(taken: bool) -> bool {
    if taken {
        data::add::<LOCKS>(1);
    }
    taken
}

fn release() {
    data::add::<LOCKS>(-1);
}

fn spin_while(mut busy: impl FnMut() -> bool) {
    let mut spins = 0;
    while busy() {
        spins += 1;
        if spins % SPINS == 0 {
            yield_processor();
        }
        spin_loop();
    }
}

/// Test-and-set lock.
#[derive(Debug)]
pub struct RawSpin(AtomicBool);

// SAFETY: `try_lock` succeeds for one caller until `unlock`, with acquire and release ordering.
unsafe impl lock_api::RawMutex for RawSpin {
    const INIT: Self = Self(AtomicBool::new(false));
    type GuardMarker = lock_api::GuardNoSend;

    fn lock(&self) {
        while !self.try_lock() {
            spin_while(|| self.0.load(Ordering::Relaxed));
        }
    }

    fn try_lock(&self) -> bool {
        count(self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok())
    }

    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
        release();
    }
}

/// Counts readers; -1 is a writer.
#[derive(Debug)]
pub struct RawSpinRw(AtomicI32);

// SAFETY: a writer needs the count to be zero, a reader needs it not to be negative; acquire and
// release ordering on all transitions.
unsafe impl lock_api::RawRwLock for RawSpinRw {
    const INIT: Self = Self(AtomicI32::new(0));
    type GuardMarker = lock_api::GuardNoSend;

    fn lock_shared(&self) {
        while !self.try_lock_shared() {
            spin_while(|| self.0.load(Ordering::Relaxed) < 0);
        }
    }

    fn try_lock_shared(&self) -> bool {
        let readers = self.0.load(Ordering::Relaxed);
        let taken = readers >= 0
            && self
                .0
                .compare_exchange(readers, readers + 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        count(taken)
    }

    unsafe fn unlock_shared(&self) {
        self.0.fetch_sub(1, Ordering::Release);
        release();
    }

    fn lock_exclusive(&self) {
        while !self.try_lock_exclusive() {
            spin_while(|| self.0.load(Ordering::Relaxed) != 0);
        }
    }

    fn try_lock_exclusive(&self) -> bool {
        count(self.0.compare_exchange(0, -1, Ordering::Acquire, Ordering::Relaxed).is_ok())
    }

    unsafe fn unlock_exclusive(&self) {
        self.0.store(0, Ordering::Release);
        release();
    }
}

/// A value that is set once, at start, and read from then on.
#[derive(Debug)]
pub struct Once<T>(core::cell::OnceCell<T>, Mutex<()>, AtomicBool);

// SAFETY: the cell is written under the lock, and read only after `2` says that it was written.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self(core::cell::OnceCell::new(), Mutex::new(()), AtomicBool::new(false))
    }

    /// Sets the value.
    ///
    /// # Panics
    ///
    /// If it was set before.
    pub fn set(&self, value: T) {
        let _guard = self.1.lock();
        assert!(self.0.set(value).is_ok(), "a value that is set once was set again");
        self.2.store(true, Ordering::Release);
    }

    /// The value; `make` makes it if it was not set.
    pub fn get_or_set(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let _guard = self.1.lock();
        let value = self.0.get_or_init(make);
        self.2.store(true, Ordering::Release);
        value
    }

    /// The value, if it was set.
    pub fn get(&self) -> Option<&T> {
        if self.2.load(Ordering::Acquire) { self.0.get() } else { None }
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> core::ops::Deref for Once<T> {
    type Target = T;

    /// # Panics
    ///
    /// If the value was not set yet.
    fn deref(&self) -> &T {
        match self.get() {
            Some(value) => value,
            None => panic!("a value is used before start-up has set it"),
        }
    }
}
