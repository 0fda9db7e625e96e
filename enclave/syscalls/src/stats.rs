//! Counts of system calls, for `--stats`.

use core::sync::atomic::{AtomicU64, Ordering};

const NUMBERS: usize = 512;

static CALLS: [AtomicU64; NUMBERS] = [const { AtomicU64::new(0) }; NUMBERS];
static UNKNOWN: [AtomicU64; NUMBERS] = [const { AtomicU64::new(0) }; NUMBERS];
/// System calls that came by an exception instead of a rewritten site.
pub(crate) static TRAPPED: AtomicU64 = AtomicU64::new(0);
/// Instructions that an enclave cannot execute, emulated.
pub(crate) static EMULATED: AtomicU64 = AtomicU64::new(0);

fn add(table: &[AtomicU64; NUMBERS], number: u64) {
    let index = usize::try_from(number).unwrap_or(usize::MAX).min(NUMBERS - 1);
    table[index].fetch_add(1, Ordering::Relaxed);
}

/// Counts a call.
pub(crate) fn count(number: u64) {
    add(&CALLS, number);
}

/// Counts a call that the runtime does not know.
pub(crate) fn unknown(number: u64) {
    add(&UNKNOWN, number);
}

static OPTIONS: AtomicU64 = AtomicU64::new(0);

/// Takes the option flags of the boot parameters.
pub(crate) fn init(options: u64) {
    OPTIONS.store(options, Ordering::Relaxed);
}

/// Writes the report at the end, if it was asked for.
pub(crate) fn report() {}
