//! What several tests need.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds `NAME.c` in `folder`.
pub(crate) fn build(folder: &Path, name: &str) -> PathBuf {
    let program = folder.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let compiled = Command::new("gcc")
        .args(["-O1", "-pthread", "-o"])
        .arg(&program)
        .arg(source.with_extension("c"))
        .status();
    assert!(compiled.expect("gcc starts").success());
    program
}
