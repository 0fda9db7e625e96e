//! Boot parameters: words in untrusted memory whose host address is in RDI at the first entry of
//! the first enclave thread. All of them are claims of the host.

/// Words of the boot parameters.
pub const WORDS: u64 = 32;
/// Word index of [`crate::VERSION`].
pub const VERSION: u64 = 0;
/// Word index of the host address of the arena in which the runtime stages requests.
pub const ARENA: u64 = 1;
/// Word index of the arena's length in bytes.
pub const ARENA_LEN: u64 = 2;
/// Word index of the host address of the control block.
pub const CONTROL: u64 = 3;
/// Word index of the enclave threads that may be used.
pub const THREADS: u64 = 4;
/// Word index of the size in bytes of the processor's XSAVE area for XFRM.
pub const XSAVE_SIZE: u64 = 5;
/// Word index of XFRM.
pub const XFRM: u64 = 6;
/// Word index of the host address of the start record: the program, its working directory,
/// arguments, environment and file systems in memory (`SIZE:PATH`, 0 for the usual size) as
/// NUL-terminated strings in this order.
pub const START: u64 = 7;
/// Word index of the start record's length in bytes.
pub const START_LEN: u64 = 8;
/// Word index of the number of arguments in the start record.
pub const ARGC: u64 = 9;
/// Word index of the number of environment strings in the start record.
pub const ENVC: u64 = 10;
/// Word index of the limit of committed program memory in bytes.
pub const HEAP_LIMIT: u64 = 11;
/// Word index of the option flags ([`option`]).
pub const OPTIONS: u64 = 12;
/// Word index of the mode of system calls ([`mode`]).
pub const MODE: u64 = 13;
/// Word index of the host's process id.
pub const PID: u64 = 14;
/// Word index of the host's parent process id.
pub const PPID: u64 = 15;
/// Word index of the user ids: real in the low half, effective in the high half.
pub const UIDS: u64 = 16;
/// Word index of the group ids: real in the low half, effective in the high half.
pub const GIDS: u64 = 17;
/// Word index of the processors available to the process.
pub const CPUS: u64 = 18;
/// Word index of AT_HWCAP (CPUID.1:EDX).
pub const HWCAP: u64 = 19;
/// Word index of AT_HWCAP2.
pub const HWCAP2: u64 = 20;
/// Word index of the descriptor to which the trace is written, or `u64::MAX`.
pub const TRACE_FD: u64 = 21;
/// Word index of the set of signals that the host ignored at start.
pub const IGNORED: u64 = 22;
/// Word index of the set of signals that the host had blocked at start.
pub const BLOCKED: u64 = 23;
/// Word index of the host address of the rings: one for each enclave thread, each of a page.
pub const RINGS: u64 = 24;
/// Word index of the number of file systems in memory in the start record.
pub const EPHEMERAL: u64 = 25;

/// Option flags.
pub mod option {
    /// Count system calls and report them at the end.
    pub const STATS: u64 = 1;
    /// Write a line for each system call.
    pub const TRACE: u64 = 2;
    /// Report as JSON.
    pub const STATS_JSON: u64 = 4;
}

/// How system calls leave.
pub mod mode {
    /// The runtime chooses.
    pub const AUTO: u64 = 0;
    /// Each call exits the enclave.
    pub const SYNC: u64 = 1;
    /// Calls are handed to host threads.
    pub const ASYNC: u64 = 2;
}
