//! What the chores and the repository's own tests share: reading sources and cargo's metadata,
//! and writing TCB.md.

pub mod metadata;
pub mod ratchet;
pub mod reasons;
pub mod source;
pub mod tcb;

use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}
