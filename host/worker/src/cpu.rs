//! What the host claims of its processor.

use std::arch::x86_64::{__cpuid_count, _rdtsc};

/// Claims about the processor for the boot parameters.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// AT_HWCAP of this process: CPUID.1:EDX.
    pub hwcap: u64,
    /// AT_HWCAP2 of this process.
    pub hwcap2: u64,
}

/// Asks the processor.
#[must_use]
pub fn cpu() -> Cpu {
    // SAFETY: getauxval reads this process's auxiliary vector.
    let auxiliary = |entry| unsafe { libc::getauxval(entry) };
    Cpu { hwcap: auxiliary(libc::AT_HWCAP), hwcap2: auxiliary(libc::AT_HWCAP2) }
}

/// EAX, EBX, ECX and EDX of a leaf of CPUID.
#[must_use]
pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let answer = __cpuid_count(leaf, subleaf);
    [answer.eax, answer.ebx, answer.ecx, answer.edx]
}

/// Reads the time stamp counter, in ticks.
#[must_use]
pub fn timestamp() -> u64 {
    // SAFETY: the instruction has no effect but its result.
    unsafe { _rdtsc() }
}

/// Reads a clock, in nanoseconds.
fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure lives on the stack.
    unsafe { libc::clock_gettime(clock, &mut time) };
    let (seconds, rest) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    seconds * 1_000_000_000 + rest
}

/// CLOCK_MONOTONIC in nanoseconds.
pub(crate) fn monotonic() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// The time stamp counter, CLOCK_MONOTONIC and CLOCK_REALTIME (nanoseconds) at one instant.
#[must_use]
pub fn clocks() -> [u64; 3] {
    let mut best = [0; 3];
    let mut shortest = u64::MAX;
    // The reading during which this thread was least likely to have lost its processor.
    for _ in 0..3 {
        let before = timestamp();
        let monotonic = read(libc::CLOCK_MONOTONIC);
        let realtime = read(libc::CLOCK_REALTIME);
        let taken = timestamp() - before;
        if taken < shortest {
            shortest = taken;
            best = [before + taken / 4, monotonic, realtime];
        }
    }
    best
}
