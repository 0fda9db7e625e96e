//! Copy routines whose faults are survivable, and the atomic operations of futexes likewise.

use core::arch::global_asm;

/// Up to so many words, a loop is faster than `rep movsq`.
const FEW_WORDS: u32 = 16;

global_asm!(
    // extern "sysv64" fn(dst, src, count) -> (RAX = 0 or 1 | write << 1, RDX = address)
    ".global scone_copy_begin",
    "scone_copy_begin:",
    ".global scone_copy_bytes",
    "scone_copy_bytes:",
    "mov rcx, rdx",
    "rep movsb",
    "xor eax, eax",
    "ret",
    ".global scone_copy_words",
    // A few words are copied before `rep` has begun.
    "scone_copy_words:",
    "cmp rdx, {FEW_WORDS}",
    "ja 4f",
    "test rdx, rdx",
    "jz 3f",
    "2:",
    "mov rcx, [rsi + 8 * rdx - 8]",
    "mov [rdi + 8 * rdx - 8], rcx",
    "dec rdx",
    "jnz 2b",
    "3:",
    "xor eax, eax",
    "ret",
    "4:",
    "mov rcx, rdx",
    "rep movsq",
    "xor eax, eax",
    "ret",
    ".global scone_zero_bytes",
    "scone_zero_bytes:",
    "mov rcx, rdx",
    "xor eax, eax",
    "rep stosb",
    "ret",
    // Atomic operations of futexes on program memory: RDI = address.
    ".global scone_load_u32",
    "scone_load_u32:",
    "mov ecx, [rdi]",
    "mov rdx, rcx",
    "xor eax, eax",
    "ret",
    // (address, expected, new) -> RDX = value seen
    ".global scone_cas_u32",
    "scone_cas_u32:",
    "mov eax, esi",
    "lock cmpxchg [rdi], edx",
    "mov edx, eax",
    "xor eax, eax",
    "ret",
    ".global scone_store_u32",
    "scone_store_u32:",
    "mov [rdi], esi",
    "xor eax, eax",
    "ret",
    ".global scone_copy_end",
    "scone_copy_end:",
    // The first stage sets RAX and RDX and lets the routine return from here.
    ".global scone_copy_fixup",
    "scone_copy_fixup:",
    "cld",
    "ret",
    FEW_WORDS = const FEW_WORDS,
);

/// What a routine that may fault returns.
#[repr(C)]
pub(crate) struct Outcome {
    /// 0, or 1 with bit 1 set when the access was a write.
    pub(crate) status: u64,
    /// The value read, or the address that faulted.
    pub(crate) value: u64,
}

unsafe extern "sysv64" {
    pub(crate) fn scone_copy_bytes(dst: u64, src: u64, count: u64) -> Outcome;
    pub(crate) fn scone_copy_words(dst: u64, src: u64, count: u64) -> Outcome;
    pub(crate) fn scone_zero_bytes(dst: u64, unused: u64, count: u64) -> Outcome;
    pub(crate) fn scone_load_u32(address: u64) -> Outcome;
    pub(crate) fn scone_store_u32(address: u64, value: u64) -> Outcome;
    pub(crate) fn scone_cas_u32(address: u64, expected: u64, new: u64) -> Outcome;
    fn scone_copy_begin();
    fn scone_copy_end();
    fn scone_copy_fixup();
}

/// Whether `rip` lies in one of the routines that may fault.
pub(crate) fn contains(rip: u64) -> bool {
    (scone_copy_begin as *const () as u64..scone_copy_end as *const () as u64).contains(&rip)
}

/// Where a routine that faulted goes on, with [`Outcome`] in RAX and RDX.
pub(crate) fn fixup() -> u64 {
    scone_copy_fixup as *const () as u64
}
