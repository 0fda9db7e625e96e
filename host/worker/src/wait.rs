//! Waiting for a word to change.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Attention;

/// Sleeps while `word` is `expected`, at most `timeout` nanoseconds (`u64::MAX` for no limit), or
/// until somebody wants attention. May return early.
pub fn wait_word(word: &AtomicU64, expected: u32, timeout: u64, attention: &Attention) {
    if attention.wanted() || word.load(Ordering::SeqCst) != u64::from(expected) {
        return;
    }
    let time = libc::timespec {
        tv_sec: i64::try_from(timeout / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: (timeout % 1_000_000_000) as i64,
    };
    let time = if timeout == u64::MAX { std::ptr::null() } else { &raw const time };
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the futex is the low half of a live word (little-endian), the time lives on the
    // stack.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, expected, time) };
}

/// Wakes whoever sleeps on `word`.
pub fn wake_word(word: &AtomicU64) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: as for `wait_word`.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, 1) };
}
