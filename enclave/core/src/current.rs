//! The object of the thread that runs now.

use alloc::sync::Arc;
use core::any::TypeId;

use crate::{
    Once,
    data::{self, CURRENT},
};

/// The one type that is stored in the data pages.
static TYPE: Once<TypeId> = Once::new();

fn check<T: 'static>() {
    match TYPE.get() {
        Some(id) => assert!(*id == TypeId::of::<T>()),
        None => TYPE.set(TypeId::of::<T>()),
    }
}

/// Says which thread this enclave thread runs from now on; the previous one is let go.
///
/// # Panics
///
/// If `T` is not the type of earlier calls.
pub fn set_current<T: Send + Sync + 'static>(thread: Option<Arc<T>>) {
    check::<T>();
    let old = data::read::<CURRENT>();
    data::write::<CURRENT>(thread.map_or(0, |thread| Arc::into_raw(thread) as u64));
    if old != 0 {
        // SAFETY: the word was made by `Arc::into_raw` of the same type, and is replaced.
        drop(unsafe { Arc::from_raw(old as *const T) });
    }
}

/// Whether a thread runs now: false at start, and on a scheduler's stack.
#[must_use]
pub fn has_current() -> bool {
    current_number() != 0
}

/// A number that no other thread has as long as the one that runs now exists; 0 if none runs.
#[must_use]
pub fn current_number() -> u64 {
    data::read::<CURRENT>()
}

/// The object of the thread that runs now.
///
/// # Panics
///
/// If none was set, as on a scheduler's stack.
#[must_use]
pub fn current<T: Send + Sync + 'static>() -> Arc<T> {
    check::<T>();
    let word = data::read::<CURRENT>();
    assert!(word != 0, "no thread is current");
    // SAFETY: the word was made by `Arc::into_raw` of the same type, and is only replaced by the
    // scheduler of this enclave thread while the thread it names (us) is suspended.
    unsafe {
        Arc::increment_strong_count(word as *const T);
        Arc::from_raw(word as *const T)
    }
}
