//! The time stamp counter: a claim of the host's (it can be virtualised), fast to read.

use core::arch::asm;

/// Reads the time stamp counter, in ticks. SGX2 processors allow it inside.
#[inline]
#[must_use]
pub fn timestamp() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: RDTSC writes EAX and EDX only.
    unsafe {
        asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    }
    u64::from(high) << 32 | u64::from(low)
}
