//! Each crate inherits what the workspace decides, and unsafe code is where it may be.

use std::path::Path;

use repo_tests::{Crate, UNSAFE_CRATES, crates, toml};
use xtask::source::{count_file, rust_files};

const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];

#[test]
fn crates_inherit_lints_and_package_fields() {
    for Crate { folder, .. } in crates() {
        let manifest = toml(&Path::new(&folder).join("Cargo.toml"));
        let inherits = |table: &toml::Table, key: &str| {
            table.get(key).and_then(|v| v.get("workspace")) == Some(&toml::Value::Boolean(true))
        };
        let lints = manifest.get("lints").and_then(|l| l.get("workspace"));
        assert_eq!(lints, Some(&toml::Value::Boolean(true)), "{folder}: lints.workspace = true");
        let package = manifest["package"].as_table().expect("[package]");
        for key in INHERITED {
            assert!(inherits(package, key), "{folder}: {key}.workspace = true");
        }
        assert!(package.contains_key("description"), "{folder}: no description");
    }
}

#[test]
fn unsafe_code_is_in_the_named_crates_only() {
    for Crate { folder, .. } in crates() {
        if UNSAFE_CRATES.contains(&folder.as_str()) {
            continue;
        }
        for file in rust_files(&xtask::root().join(&folder)).expect("readable") {
            let counts = count_file(&file).expect("Rust");
            let sum = counts.unsafe_blocks + counts.unsafe_items;
            assert_eq!(sum, 0, "{}: unsafe outside of {UNSAFE_CRATES:?}", file.display());
        }
    }
}
