//! Calls outside for which nobody waits, and that take long nevertheless.

use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::timestamp;

use crate::scheduler::{leave_queue_to_others, others_wait};

/// Ticks (about fifty microseconds) from which on a call is slow.
const SLOW: u64 = 1 << 17;

/// Numbers of calls that were slow the last time, as a set.
static SLOW_CALLS: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

/// Makes a call outside with this `number`. If threads wait for this enclave thread, and such calls
/// are slow, another one takes them over meanwhile; waking one for a call that is not slow would
/// cost more than the call.
pub fn leave(number: u64, call: impl FnOnce()) {
    let word = usize::try_from(number / 64).ok().and_then(|index| SLOW_CALLS.get(index));
    let Some(word) = word.filter(|_| others_wait()) else { return call() };
    let bit = 1 << (number % 64);
    let expected = word.load(Ordering::Relaxed) & bit != 0;
    if expected {
        leave_queue_to_others();
    }
    let start = timestamp();
    call();
    match (expected, timestamp().saturating_sub(start) >= SLOW) {
        (false, true) => word.fetch_or(bit, Ordering::Relaxed),
        (true, false) => word.fetch_and(!bit, Ordering::Relaxed),
        _ => return,
    };
}
