//! The shared object behind `AT_SYSINFO_EHDR`, as a constant: the same names and version as
//! Linux's `linux-vdso.so.1`, so that glibc, musl and Go find their clock functions in it.
//!
//! The two that tell the time do so themselves, by code that is not part of the constant, for it
//! knows addresses of the runtime: whoever maps the object puts it at [`CLOCK_CODE_AT`]. Each other
//! function enters the runtime as a rewritten system call does, through the slot [`ENTRY_SLOT`] of
//! the thread's data, with the address of its own `ret` in `rcx`:
//!
//! ```text
//! mov eax, NR
//! lea rcx, [rip + 8]
//! jmp qword ptr gs:[ENTRY_SLOT]
//! ret
//! ```

mod image;
#[cfg(test)]
mod tests;

use enclave_rewriter::ENTRY_SLOT;

/// Size of the object in bytes: one page, to be mapped readable and executable.
pub const VDSO_SIZE: usize = 4096;

/// The object. It is position-independent, and needs no relocation.
pub static VDSO: [u8; VDSO_SIZE] = image::build();

/// Name that the object calls itself.
pub const SONAME: &str = "linux-vdso.so.1";

/// Version of all its functions.
pub const VERSION: &str = "LINUX_2.6";

/// Where the code that tells the time belongs, in bytes from the object's start.
pub const CLOCK_CODE_AT: usize = image::CLOCK_CODE_AT;
/// Bytes of the code that tells the time, which begins with clock_gettime(2).
pub const CLOCK_CODE_SIZE: usize = 256;
/// Where gettimeofday(2) begins in it.
pub const GETTIMEOFDAY_AT: usize = 224;

/// Bytes from one function that enters the runtime to the next.
const STUB_STRIDE: usize = 32;
/// Bytes of such a function.
const STUB_SIZE: usize = 21;

/// What a function does.
enum Code {
    /// Enters the runtime for the system call of this number.
    Call(u32),
    /// Tells the time, by the code from this byte to that.
    Clock(usize, usize),
}

/// Functions by their global names. Without its prefix `__vdso_`, the name is also a weak alias,
/// as in Linux.
const FUNCTIONS: [(&str, Code); 5] = [
    ("__vdso_gettimeofday", Code::Clock(GETTIMEOFDAY_AT, CLOCK_CODE_SIZE)),
    ("__vdso_time", Code::Call(201)),
    ("__vdso_clock_gettime", Code::Clock(0, GETTIMEOFDAY_AT)),
    ("__vdso_clock_getres", Code::Call(229)),
    ("__vdso_getcpu", Code::Call(309)),
];

/// The code of a function that enters the runtime.
const fn stub(number: u32) -> [u8; STUB_SIZE] {
    let [n0, n1, n2, n3] = number.to_le_bytes();
    let [s0, s1, s2, s3] = ENTRY_SLOT.to_le_bytes();
    [
        0xb8, n0, n1, n2, n3, // mov eax, number
        0x48, 0x8d, 0x0d, 8, 0, 0, 0, // lea rcx, [rip + 8]
        0x65, 0xff, 0x24, 0x25, s0, s1, s2, s3,   // jmp qword ptr gs:[slot]
        0xc3, // ret
    ]
}
