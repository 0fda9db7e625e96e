//! Structures and constants of Intel SGX, for both sides of the enclave boundary.
//!
//! Source: Intel 64 and IA-32 Architectures Software Developer's Manual (SDM), volume 3D, chapters
//! "Introduction to Intel SGX" (36), "Enclave Access Control and Data Structures" (37), "Enclave
//! Exiting Events" (39) and "SGX Instruction References" (40), whose names the types keep. Section
//! numbers are those of the 2023 edition.
//!
//! Principles:
//! - Layout and bits only: what a field *means* is decided by the crates that use it.
//! - Every structure is `repr(C)` without padding and converts from and to bytes through
//!   `zerocopy`, so that nobody needs `unsafe` to read one. A [`Default`] structure is all zero.
//! - Sizes and offsets are asserted at compile time here, and checked against `sgx-isa` in the
//!   tests.
//! - A structure whose size is not a multiple of the alignment that its instruction demands (REPORT,
//!   SIGSTRUCT, EINITTOKEN) has natural alignment here; wrap it in [`Align512`] or put it on a page.

#![cfg_attr(not(test), no_std)]

mod attributes;
mod error;
mod key;
mod leaf;
mod page;
mod report;
mod secs;
mod sigstruct;
mod ssa;
mod tcs;

pub use attributes::{AttributeFlags, Attributes, MiscSelect, Xfrm};
pub use error::SgxError;
pub use key::{KeyName, KeyPolicy, KeyRequest};
pub use leaf::{ENCLU_SITE, Encls, Enclu};
pub use page::{EEXTEND_SIZE, PAGE_SIZE, PageInfo, PageType, SecInfo, SecInfoFlags};
pub use report::{Report, ReportBody, TargetInfo};
pub use secs::Secs;
pub use sigstruct::{
    EinitToken, MEASURE_EADD, MEASURE_ECREATE, MEASURE_EEXTEND, RSA_BYTES, RSA_EXPONENT,
    SIGSTRUCT_HEADER, SIGSTRUCT_HEADER2, Sigstruct,
};
pub use ssa::{
    EXINFO_SIZE, ExInfo, ExitInfo, ExitType, GPRSGX_SIZE, GprSgx, PageFaultCode, Vector,
    exinfo_offset, gprsgx_offset,
};
pub use tcs::{Tcs, TcsFlags};

/// `T` at a 512-byte boundary, as EREPORT and EGETKEY demand of their operands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(512))]
pub struct Align512<T>(pub T);

/// `T` at a 128-byte boundary, as EREPORT demands of REPORTDATA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(128))]
pub struct Align128<T>(pub T);

/// Asserts the size of a structure and the offsets of its fields, and makes the all-zero value its
/// default.
macro_rules! layout {
    ($type:ident: $size:literal $(, $field:ident @ $offset:literal)* $(,)?) => {
        const _: () = {
            assert!(core::mem::size_of::<$type>() == $size);
            $(assert!(core::mem::offset_of!($type, $field) == $offset);)*
        };
        impl Default for $type {
            fn default() -> Self {
                zerocopy::FromZeros::new_zeroed()
            }
        }
    };
}
use layout;
