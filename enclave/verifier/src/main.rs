//! The verifier: the first code of the enclave, which enters the runtime when it is what the manifest
//! says, and refuses all entries before.
//!
//! Principles:
//! - Hardware measures this program and the manifest; both together measure the rest. So it is linked by
//!   itself, and can call nothing that has not been checked.
//! - It writes to no memory but one word of its own and the exception stack of the first enclave thread,
//!   which nobody else uses before the runtime runs.
//! - An entry is the host's: nothing but RAX (CSSA) is believed. How to hash is the host's to say, since a
//!   wrong answer can only end the enclave.

#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "reads the pages of the enclave, and is entered from outside")]

use core::{arch::global_asm, panic::PanicInfo};

use enclave_digest::{Method, Page, digests};
use hostcall_abi::{
    exit,
    layout::{self, EXCEPTION_STACK_PAGES, PAGE, VERIFIER_BASE, tcs_block},
    manifest::{self, DIGEST_WORDS, LANES},
};
use sgx_types::Enclu;

/// Values of `scone_verified`. Nobody ends VERIFYING but the thread that verifies, and only if it may.
mod state {
    pub(crate) const FRESH: u32 = 0;
    pub(crate) const VERIFYING: u32 = 1;
    pub(crate) const VERIFIED: u32 = 2;
}

/// End of the stack on which the verifier runs.
const STACK_TOP: u64 = tcs_block(0).exception_stack + EXCEPTION_STACK_PAGES * PAGE;

const _: () = assert!(VERIFIER_BASE == 0x3f00_2000_0000, "build.rs links it there");

global_asm!(
    // The manifest, filled in when the image is put together.
    ".section .manifest, \"a\", @progbits",
    ".p2align 12",
    "scone_manifest:",
    ".zero 4096",

    ".section .data.verified, \"aw\", @progbits",
    ".p2align 2",
    "scone_verified: .long {FRESH}",

    ".text",
    ".global _start",
    ".type _start, @function",
    // RAX = CSSA, RCX = where EEXIT shall go; RSI as the manifest's contract says; all else is for the
    // runtime. When this is done, each entry goes on to the runtime, with all that it came with.
    "_start:",
    "cmp dword ptr [rip + scone_verified], {VERIFIED}",
    "jne 10f",
    "jmp qword ptr [rip + scone_manifest + 8 * {ENTRY}]",

    "10:",
    "cld",
    // Nothing that interrupts the verifying thread is seen to here: it goes on, or the enclave ends.
    "mov r8d, {NOT_VERIFIED}",
    "test rax, rax",
    "jnz 20f",
    "mov r8d, {NOT_READY}",
    "mov edx, {VERIFYING}",
    "lock cmpxchg dword ptr [rip + scone_verified], edx",
    "jne 20f",
    "mov r12, rsp",
    "mov r13, rcx",
    "mov r14, rdi",
    "movabs rsp, {STACK_TOP}",
    "push 2",
    "popfq",
    "lea rdi, [rip + scone_manifest]",
    "call {verify}",
    "mov rsp, r12",
    "mov rcx, r13",
    "mov rdi, r14",
    "mov r8d, {NOT_VERIFIED}",
    "test al, al",
    "jz 20f",
    "mov dword ptr [rip + scone_verified], {VERIFIED}",
    "xor eax, eax",
    "jmp qword ptr [rip + scone_manifest + 8 * {ENTRY}]",

    // Refusals: nothing of the enclave is in any register but how far hashing has come.
    "20:",
    "mov edi, {REFUSED}",
    "mov esi, r8d",
    "mov rbx, rcx",
    "mov eax, {EEXIT}",
    // ENCLU, and room for the emulator's patch.
    ".byte 0x0f, 0x01, 0xd7",
    ".rept 13",
    ".byte 0x90",
    ".endr",
    "ud2",
    FRESH = const state::FRESH,
    VERIFYING = const state::VERIFYING,
    VERIFIED = const state::VERIFIED,
    ENTRY = const manifest::ENTRY,
    STACK_TOP = const STACK_TOP,
    NOT_READY = const exit::refused::NOT_READY,
    NOT_VERIFIED = const exit::refused::NOT_VERIFIED,
    REFUSED = const exit::REFUSED,
    EEXIT = const Enclu::Eexit as u32,
    verify = sym verify,
);

/// Whether the pages that the manifest names hold what it says.
extern "sysv64" fn verify(manifest: &[u64; manifest::WORDS], accelerated: u64) -> bool {
    let method = if accelerated == 0 { Method::Portable } else { Method::Accelerated };
    let (before, ranges) = manifest.split_at(manifest::RANGES);
    let pages = ranges
        .as_chunks()
        .0
        .iter()
        .take_while(|[_, count]| *count != 0)
        .flat_map(|&[start, count]| (0..count).map(move |index| start + index * layout::PAGE))
        .map(|address| {
            // SAFETY: the manifest, which is measured, names pages that were added to the enclave readable, and
            // nobody writes to them before the runtime runs.
            unsafe { &*(address as *const Page) }
        });
    let expected = before.iter().skip(manifest::DIGESTS).take(LANES * DIGEST_WORDS);
    digests(pages, method).as_flattened().iter().zip(expected).all(|(found, word)| found == word)
}

/// There is nothing to say, and nobody to say it to.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: ends the program.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}
