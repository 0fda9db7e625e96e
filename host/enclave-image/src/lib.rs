//! The enclave image: the bytes that are measured, added page by page, and entered.
//!
//! The build script builds the runtime and the verifier of the workspace `enclave/` with a profile, flags
//! and environment of its own, so that the bytes do not depend on how, or where, this crate is built. It
//! refuses what asks a dynamic linker for anything, or holds an instruction that has no place in an
//! enclave, and makes one image of both.

/// Begins with a page, so that the pages of the image are pages of the file that contains it.
#[repr(C, align(4096))]
struct Pages<T: ?Sized>(T);

static PAGES: &Pages<[u8]> = &Pages(*include_bytes!(concat!(env!("OUT_DIR"), "/enclave-image")));

/// The image, a program with fixed addresses (ELF64, x86-64), from the begin of a page on.
pub static IMAGE: &[u8] = &PAGES.0;

/// SIGSTRUCT of the image as a debug enclave, signed with the published development key (it proves
/// nothing about who built it), for every machine.
pub static DEVELOPMENT_SIGSTRUCT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sigstruct"));
