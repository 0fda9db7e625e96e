//! What the time is told from, and the functions of the vDSO that tell it.
//!
//! The runtime fills in the base; its code, and the vDSO's in the program, read it. The vDSO's
//! functions are ordinary code of the program: they push nothing, may be interrupted anywhere, and
//! do as `enclave_threads::clock` does. What they can't do they leave to the system call. The code
//! does not depend on where it stands, and is copied into the page that the program finds.

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::AtomicU64;

use hostcall_abi::layout::thread_data::SYSCALL_ENTRY;

/// Two readings, one of the counter and one of the host's clocks, and how to go on from there.
#[repr(C)]
pub struct ClockBase {
    /// Odd while the base is being replaced.
    pub sequence: AtomicU64,
    /// The time stamp counter of the readings.
    pub ticks: AtomicU64,
    /// CLOCK_MONOTONIC then, in nanoseconds.
    pub monotonic: AtomicU64,
    /// CLOCK_REALTIME less CLOCK_MONOTONIC.
    pub offset: AtomicU64,
    /// Nanoseconds for each tick, times 2^32; zero until it is known.
    pub rate: AtomicU64,
    /// Ticks after which the base is too old.
    pub lifetime: AtomicU64,
    /// The latest value of CLOCK_MONOTONIC that was shown: it never goes back behind it. Each
    /// reader writes it, so it is on a cache line of its own.
    pub shown: Shown,
}

/// A word on a cache line of its own.
#[repr(C, align(64))]
pub struct Shown(pub AtomicU64);

/// The base of all clocks.
pub static CLOCK: ClockBase = ClockBase {
    sequence: AtomicU64::new(0),
    ticks: AtomicU64::new(0),
    monotonic: AtomicU64::new(0),
    offset: AtomicU64::new(0),
    rate: AtomicU64::new(0),
    lifetime: AtomicU64::new(0),
    shown: Shown(AtomicU64::new(0)),
};

/// Bytes of [`clock_code`], which begins with clock_gettime(2).
pub const CLOCK_CODE_SIZE: usize = 256;
/// Where gettimeofday(2) begins in it, in bytes.
pub const GETTIMEOFDAY_AT: usize = 224;

global_asm!(
    ".pushsection .data.rel.ro.scone_clock_code, \"aw\"",
    ".balign 64",
    "scone_clock_code:",
    // clock_gettime(edi: clock, rsi: struct timespec *)
    "cmp edi, 4",
    "ja 30f",
    "mov eax, {PLAIN_CLOCKS}",
    "bt eax, edi",
    "jnc 30f",
    // Nanoseconds are left as they are.
    "xor r9d, r9d",
    "50:",
    "movabs r8, offset {CLOCK}",
    "51:",
    "mov rcx, [r8 + {SEQUENCE}]",
    "test cl, 1",
    "jnz 20f",
    "mov r10, [r8 + {TICKS}]",
    "rdtsc",
    "shl rdx, 32",
    "or rax, rdx",
    "sub rax, r10",
    "jb 20f",
    "cmp rax, [r8 + {LIFETIME}]",
    "jae 20f",
    "mul qword ptr [r8 + {RATE}]",
    "shrd rax, rdx, 32",
    "add rax, [r8 + {MONOTONIC}]",
    "mov r10, [r8 + {OFFSET}]",
    "cmp rcx, [r8 + {SEQUENCE}]",
    "jne 51b",
    // RAX = the time; what was shown before is not undercut.
    "mov r11, rax",
    "mov rax, [r8 + {SHOWN}]",
    "52:",
    "cmp rax, r11",
    "jae 53f",
    "lock cmpxchg [r8 + {SHOWN}], r11",
    "jne 52b",
    "mov rax, r11",
    "53:",
    "test edi, edi",
    "jnz 54f",
    "add rax, r10",
    "54:",
    // Seconds: the time / 2^9 times ceil(2^75 / 5^9 ) / 2^(64 + 11), exact for all 64 bits.
    "mov r10, rax",
    "shr rax, 9",
    "movabs rcx, 0x44b82fa09b5a53",
    "mul rcx",
    "shr rdx, 11",
    "mov [rsi], rdx",
    "imul rdx, rdx, 1000000000",
    "sub r10, rdx",
    "test r9d, r9d",
    "jz 55f",
    // Microseconds: below 10^9, times ceil(2^38 / 1000) / 2^38.
    "imul r10, r10, 274877907",
    "shr r10, 38",
    "55:",
    "mov [rsi + 8], r10",
    "xor eax, eax",
    "ret",
    // The runtime shall do it, and renew the base.
    "20:",
    "test r9d, r9d",
    "jnz 21f",
    "30:",
    "mov eax, {CLOCK_GETTIME}",
    "31:",
    "lea rcx, [rip + 39f]",
    "jmp qword ptr gs:[{SYSCALL_ENTRY}]",
    "39:",
    "ret",
    "21:",
    "mov rdi, rsi",
    "xor esi, esi",
    "40:",
    "mov eax, {GETTIMEOFDAY}",
    "jmp 31b",
    // gettimeofday(rdi: struct timeval *, rsi: struct timezone *)
    ".org scone_clock_code + {GETTIMEOFDAY_AT}, 0xcc",
    "test rsi, rsi",
    "jnz 40b",
    "test rdi, rdi",
    "jz 40b",
    "mov rsi, rdi",
    "xor edi, edi",
    "mov r9d, 1",
    "jmp 50b",
    ".org scone_clock_code + {CLOCK_CODE_SIZE}, 0xcc",
    ".popsection",
    CLOCK = sym CLOCK,
    // CLOCK_REALTIME, CLOCK_MONOTONIC and CLOCK_MONOTONIC_RAW.
    PLAIN_CLOCKS = const 1 << 0 | 1 << 1 | 1 << 4,
    SEQUENCE = const offset_of!(ClockBase, sequence),
    TICKS = const offset_of!(ClockBase, ticks),
    MONOTONIC = const offset_of!(ClockBase, monotonic),
    OFFSET = const offset_of!(ClockBase, offset),
    RATE = const offset_of!(ClockBase, rate),
    LIFETIME = const offset_of!(ClockBase, lifetime),
    SHOWN = const offset_of!(ClockBase, shown),
    CLOCK_GETTIME = const 228,
    GETTIMEOFDAY = const 96,
    SYSCALL_ENTRY = const SYSCALL_ENTRY,
    GETTIMEOFDAY_AT = const GETTIMEOFDAY_AT,
    CLOCK_CODE_SIZE = const CLOCK_CODE_SIZE,
);

unsafe extern "C" {
    #[link_name = "scone_clock_code"]
    safe static CODE: [u8; CLOCK_CODE_SIZE];
}

/// The vDSO's functions that tell the time.
#[must_use]
pub fn clock_code() -> &'static [u8; CLOCK_CODE_SIZE] {
    &CODE
}
