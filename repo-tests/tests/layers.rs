//! `enclave -> boundary <- host`, and what stands on top of them.

use std::path::Path;

use repo_tests::{Crate, crates, relative};

/// A layer (the first folder of a crate), and the layers it may depend on.
const LAYERS: &[(&str, &[&str])] = &[
    ("boundary", &["boundary"]),
    ("enclave", &["enclave", "boundary"]),
    ("host", &["host", "boundary"]),
    ("services", &["services", "boundary"]),
    ("tools", &["tools", "services", "host", "boundary"]),
    ("tests", &["tests", "tools", "services", "host", "boundary"]),
    ("benches", &["tests"]),
    ("repo-tests", &["xtask"]),
    ("xtask", &[]),
];

fn layer(folder: &str) -> &str {
    folder.split('/').next().unwrap_or(folder)
}

#[test]
fn crates_depend_only_on_the_layers_below_them() {
    let root = xtask::root();
    for Crate { folder, package } in crates() {
        let own = layer(&folder);
        let allowed = LAYERS.iter().find(|(name, _)| *name == own);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{folder}: in no known layer"));
        for dependency in &package.dependencies {
            let Some(path) = &dependency.path else { continue };
            let target = relative(&root, path);
            assert!(
                allowed.contains(&layer(&target)),
                "{folder} depends on {target}: {own} may use {allowed:?} only"
            );
        }
    }
}

#[test]
fn only_the_image_crate_reaches_into_the_enclave_workspace() {
    for Crate { folder, .. } in crates() {
        if folder.starts_with("enclave/") || folder == "host/enclave-image" {
            continue;
        }
        let script = xtask::root().join(&folder).join("build.rs");
        let text = std::fs::read_to_string(&script).unwrap_or_default();
        assert!(!text.contains("enclave-image-bin"), "{folder}/build.rs builds the enclave image");
    }
}

#[test]
fn what_runs_inside_has_no_std() {
    for Crate { folder, .. } in crates() {
        if !["boundary", "enclave"].contains(&layer(&folder)) {
            continue;
        }
        let sources = ["src/lib.rs", "src/main.rs"].map(|f| Path::new(&folder).join(f));
        let source = sources.iter().find(|f| xtask::root().join(f).exists());
        let source = source.unwrap_or_else(|| panic!("{folder}: neither lib.rs nor main.rs"));
        let text = repo_tests::text(source).expect("Rust is text");
        let marked =
            ["#![no_std]", "#![cfg_attr(not(test), no_std)]"].iter().any(|m| text.contains(m));
        assert!(marked, "{}: not no_std", source.display());
    }
}
