//! What an enclave consists of, what it measures to, and who signed it.
//!
//! Principles:
//! - One [`Layout`] drives both the measurement and the loading: a launcher adds exactly the regions
//!   that [`Layout::measure`] hashed, in the same order, so the two cannot drift apart.
//! - A layout is a list of runs of pages that borrow from the image; there is no allocation per page.
//! - Whatever the enclave relies on is measured, zero pages of `.bss` included: by EEXTEND, or by the
//!   digests of the manifest, which EEXTEND measures and the enclave compares with. Only memory that it
//!   never reads before writing it (stacks, SSA frames) is covered by neither.
//! - A signature is checked in one place, [`verify_sigstruct`], and the token that it returns is
//!   the only way to get at a SIGSTRUCT's claims as verified ones.
//! - Measuring depends on nothing but its arguments: no clock, no environment, no machine.

mod claims;
mod combine;
mod date;
mod hash;
mod image;
mod key;
mod layout;
mod manifest;
mod mrenclave;
mod threads;
mod verify;

pub use claims::{Claims, OPTIONAL_XFRM};
pub use combine::combine;
pub use date::Date;
pub use hash::{MrEnclave, MrSigner, ParseHashError};
pub use image::{ImageError, ImageOptions, image_layout};
pub use key::{DEVELOPMENT_KEY, KeyError, SignError, SigningKey};
pub use layout::{
    Contents, Coverage, Difference, EnclaveParams, Layout, LayoutError, PAGE, Page, Region,
};
pub use manifest::check_manifest;
pub use mrenclave::Measurement;
pub use verify::{SigstructError, VerifiedSigstruct, verify_sigstruct};
