//! The shared object behind `AT_SYSINFO_EHDR`, as a constant: the same names and version as
//! Linux's `linux-vdso.so.1`, so that glibc, musl and Go find their clock functions in it.
//!
//! Each function enters the runtime as a rewritten system call does, through the slot
//! [`ENTRY_SLOT`] of the thread's data, with the address of its own `ret` in `rcx`:
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

/// Bytes from one function to the next.
const STUB_STRIDE: usize = 32;
/// Bytes of a function.
const STUB_SIZE: usize = 21;

/// Functions: global name and number of the system call. Without its prefix `__vdso_`, the name is
/// also a weak alias, as in Linux.
const FUNCTIONS: [(&str, u32); 5] = [
    ("__vdso_gettimeofday", 96),
    ("__vdso_time", 201),
    ("__vdso_clock_gettime", 228),
    ("__vdso_clock_getres", 229),
    ("__vdso_getcpu", 309),
];

/// The code of one function.
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
