//! Services of the launcher that are not Linux system calls.

/// Smallest number of a service.
pub const FIRST: u64 = 0x1000;

/// Ends the process: `args[0]` is the exit status (0..=255).
pub const EXIT: u64 = 0x1000;
/// Ends the process by a signal: `args[0]` is its number.
pub const KILL: u64 = 0x1001;
/// Makes the request at host address `args[0]` if it need not wait, and returns 1; else hands it to a
/// thread that may wait, and returns 0.
pub const SUBMIT: u64 = 0x1002;
/// Restricts the permissions of committed pages (EMODPR): `args` = start, length, permissions
/// (bits 0..2 = R, W, X of SECINFO).
pub const RESTRICT: u64 = 0x1003;
/// Marks pages for removal (EMODT to PT_TRIM): `args` = start, length.
pub const TRIM: u64 = 0x1004;
/// Removes trimmed and accepted pages (EREMOVE): `args` = start, length.
pub const REMOVE: u64 = 0x1005;
/// Sets what the host does with signals: `args` = those that are recorded in
/// [`crate::control::PENDING`] and told to the enclave, those that are ignored (sets, bit n-1 for
/// signal n). The rest have their default action.
pub const SIGNAL: u64 = 0x1006;
/// Reads the clocks at one instant: `args[0]` = host address of three words for the time stamp
/// counter, CLOCK_MONOTONIC and CLOCK_REALTIME, in nanoseconds.
pub const CLOCK: u64 = 0x1007;
/// Makes the enclave thread with index `args[0]` enter, if it has not yet.
pub const SPAWN: u64 = 0x1008;
/// Makes a running enclave thread leave by an exception entry: `args[0]` = its index.
pub const KICK: u64 = 0x1009;
/// Sleeps while the word at host address `args[0]` is 1, at most `args[1]` nanoseconds
/// (`u64::MAX` for no limit), or until a signal arrives.
pub const IDLE: u64 = 0x100b;
/// Interrupts the request at host address `args[0]` that was handed over ([`SUBMIT`]), if it waits:
/// it completes with `EINTR`. One that has not got there yet goes on.
pub const CANCEL: u64 = 0x100c;
/// Executes CPUID: `args[0]` = host address of four words, whose first two hold EAX (leaf) and ECX
/// (subleaf); they become EAX, EBX, ECX and EDX. All of it is a claim.
pub const CPUID: u64 = 0x100d;
/// Wakes the host thread that serves the ring with index `args[0]`, starting it if there is none.
pub const RING: u64 = 0x100e;
/// Sets the time of CLOCK_MONOTONIC, `args[0]` in nanoseconds, at which this enclave thread is
/// called out once, to look for timers; or another one, if this one is outside then.
pub const ALARM: u64 = 0x100f;
