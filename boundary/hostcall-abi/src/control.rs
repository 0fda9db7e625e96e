//! The control block: words in untrusted memory that both sides know.

/// Words of the control block.
pub const WORDS: u64 = 64 + 2 * SIGNALS * SIGINFO_WORDS;
/// Word index of the set of signals that arrived (bit n-1 for signal n). The enclave takes it by
/// an atomic exchange.
pub const PENDING: u64 = 0;
/// Word index of the address of the first completed request, or zero.
pub const COMPLETED: u64 = 8;
/// Word index of the first of [`crate::layout::TCS_COUNT`] idle words: the futex on which an
/// idle enclave thread waits (value 1 = waiting; whoever wakes it stores 0 first).
pub const IDLE: u64 = 16;
/// Word index of the hint that a preemption tick is wanted (non-zero).
pub const TICK: u64 = 40;
/// Word index of the first siginfo record.
pub const SIGINFO: u64 = 64;
/// Signals Linux has.
pub const SIGNALS: u64 = 64;
/// Words of a siginfo record: code, sender's pid, sender's uid, value.
pub const SIGINFO_WORDS: u64 = 4;
