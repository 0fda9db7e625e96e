//! Which processors threads run on.

use std::sync::atomic::{AtomicU64, Ordering};

/// Keeps a thread of this process off the processor that the caller is on, where there is another
/// one. `avoided` remembers the processor (plus one) between calls for the same thread.
pub fn keep_off_this_processor(thread: i32, avoided: &AtomicU64) {
    // SAFETY: plain system calls; the set is initialised before use and lives through them.
    unsafe {
        let here = libc::sched_getcpu();
        let Ok(here) = usize::try_from(here) else { return };
        if avoided.swap(here as u64 + 1, Ordering::Relaxed) == here as u64 + 1 {
            return;
        }
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let size = size_of_val(&set);
        // What the process may use: its first thread is never moved.
        if libc::sched_getaffinity(libc::getpid(), size, &mut set) != 0 || here >= size * 8 {
            return;
        }
        libc::CPU_CLR(here, &mut set);
        if libc::CPU_COUNT(&set) > 0 {
            libc::sched_setaffinity(thread, size, &set);
        }
    }
}
