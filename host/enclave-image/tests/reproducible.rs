//! The image does not depend on the folder that it is built in.

// Shares the build script's code: what is tested is what runs.
#[path = "../build/image.rs"]
mod image;

use std::fs;
use std::path::{Path, PathBuf};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("readable") {
        let path = entry.expect("readable").path();
        let target = to.join(path.file_name().expect("a name"));
        if !path.is_dir() {
            fs::copy(&path, &target).expect("copied");
        } else if !path.ends_with("target") {
            copy(&path, &target);
        }
    }
}

/// A copy of what the image is made of: its sources, and the workspace that `boundary/` is part of.
fn tree(name: &str) -> (tempfile::TempDir, PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the root");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tree = folder.path().join(name);
    for part in ["enclave", "boundary"] {
        copy(&root.join(part), &tree.join(part));
        assert!(!image::sources(&tree.join(part)).expect("copied").is_empty());
    }
    fs::copy(root.join("Cargo.toml"), tree.join("Cargo.toml")).expect("copied");
    // The copied workspace names members that stay behind; cargo wants its default one.
    let member = tree.join("tools/cli");
    fs::create_dir_all(member.join("src")).expect("a folder");
    let manifest = "[package]\nname = \"scone\"\nedition = \"2024\"\n";
    fs::write(member.join("Cargo.toml"), manifest).expect("written");
    fs::write(member.join("src/lib.rs"), "").expect("written");
    (folder, tree)
}

#[test]
fn two_folders_give_the_same_bytes() {
    let (folder, tree) = tree("a folder with a longer name");
    let [runtime, verifier] =
        image::build(&tree, &folder.path().join("out")).expect("the image builds");
    let bytes = measure::combine(&runtime, &verifier).expect("they fit together");
    let same = bytes == enclave_image::IMAGE;
    assert!(same, "{} bytes there, {} here", bytes.len(), enclave_image::IMAGE.len());
}
