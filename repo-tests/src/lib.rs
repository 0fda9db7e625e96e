//! What the tests of the repository itself share; the rules are in `tests/`.

use std::path::Path;

use xtask::metadata::{Metadata, Package};

/// Crates that may hold `unsafe`, by their folder; everything else denies it.
pub const UNSAFE_CRATES: &[&str] = &[
    "boundary/ring",
    "enclave/core",
    "enclave/digest",
    "enclave/verifier",
    "host/backend-emu",
    "host/backend-sgx",
    "host/worker",
    // The control words with which a lying host enters.
    "tests/hostile-host",
];

/// One crate of ours: where it is, and what its manifest says.
pub struct Crate {
    /// Folder relative to the root, with `/` between its parts.
    pub folder: String,
    /// As cargo sees it.
    pub package: Package,
}

/// The crates of both workspaces.
///
/// # Panics
/// When cargo refuses a manifest: nothing can be checked then.
#[must_use]
pub fn crates() -> Vec<Crate> {
    let root = xtask::root();
    let mut found = Vec::new();
    for workspace in [root.clone(), root.join("enclave")] {
        let metadata = Metadata::manifests(&workspace).expect("cargo metadata");
        let members = metadata.workspace_members;
        let ours = metadata.packages.into_iter().filter(|p| members.contains(&p.id));
        found.extend(ours.map(|package| Crate { folder: folder(&root, &package), package }));
    }
    found
}

fn folder(root: &Path, package: &Package) -> String {
    let folder = package.manifest_path.parent().expect("a manifest has a folder");
    relative(root, folder)
}

/// `path` as seen from `root`, lexically resolved.
///
/// # Panics
/// When it lies elsewhere.
#[must_use]
pub fn relative(root: &Path, path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let root = root.canonicalize().expect("the root exists");
    let inside = path.strip_prefix(root).expect("a path dependency lies in this repository");
    inside.to_str().expect("paths of this repository are UTF-8").to_owned()
}

/// The text of a file of this repository; `None` when it is no text.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn text(name: &Path) -> Option<String> {
    let bytes = std::fs::read(xtask::root().join(name));
    String::from_utf8(bytes.unwrap_or_else(|e| panic!("{}: {e}", name.display()))).ok()
}

/// A manifest as a table.
///
/// # Panics
/// When it is no TOML.
#[must_use]
pub fn toml(name: &Path) -> toml::Table {
    let text = text(name).unwrap_or_else(|| panic!("{}: no text", name.display()));
    text.parse().unwrap_or_else(|e| panic!("{}: {e}", name.display()))
}
