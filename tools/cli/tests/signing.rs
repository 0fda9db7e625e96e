//! `scone sign` and `scone inspect` agree about one key, one image, one SIGSTRUCT.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::tempdir;

fn scone(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scone"));
    command.args(words).current_dir(folder).env_remove("SOURCE_DATE_EPOCH");
    command.output().expect("scone starts")
}

fn json(output: &Output) -> serde_json::Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_signature_names_the_enclave_that_is_measured() {
    let folder = tempdir().expect("a temporary folder");
    let at = folder.path();
    let made = scone(at, &["sign", "--generate-key", "--key", "key.pem"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let words = ["sign", "--key", "key.pem", "--product", "7", "--svn", "3", "--date", "86400"];
    let signed = scone(at, &[&words[..], &["--out", "a.sig"]].concat());
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    let again = scone(at, &[&words[..], &["--out", "b.sig"]].concat());
    assert!(again.status.success());
    let read = |name| std::fs::read(at.join(name)).expect("written");
    assert_eq!(read("a.sig"), read("b.sig"), "the same claims, the same bytes");

    let shown = json(&scone(at, &["inspect", "a.sig", "--json"]));
    let measured = json(&scone(at, &["measure", "--json"]));
    assert_eq!(shown["mrenclave"], measured["mrenclave"]);
    assert_eq!(shown["product"], 7);
    assert_eq!(shown["svn"], 3);
    assert_eq!(shown["date"], "19700102");
    let signer = String::from_utf8(made.stdout).expect("UTF-8");
    assert_eq!(format!("MRSIGNER {}\n", shown["mrsigner"].as_str().expect("text")), signer);
}

#[test]
fn an_image_that_would_not_start_is_refused() {
    let folder = tempdir().expect("a temporary folder");
    let at = folder.path();
    std::fs::write(at.join("image"), enclave_image::IMAGE).expect("written");
    let same = json(&scone(at, &["measure", "--image", "image", "--json"]));
    assert_eq!(same["mrenclave"], json(&scone(at, &["measure", "--json"]))["mrenclave"]);

    // MRENCLAVE would be the same: this page is in the manifest.
    let mut changed = enclave_image::IMAGE.to_vec();
    changed[0x1800] ^= 1;
    std::fs::write(at.join("changed"), changed).expect("written");
    assert!(scone(at, &["sign", "--generate-key", "--key", "key.pem"]).status.success());
    for words in
        [&["measure"][..], &["inspect"], &["sign", "--key", "key.pem", "--out", "changed.sig"]]
    {
        let refused = scone(at, &[words, &["--image", "changed"]].concat());
        assert_eq!(refused.status.code(), Some(1), "{words:?}");
        let errors = String::from_utf8_lossy(&refused.stderr);
        assert!(errors.contains("is not what its manifest says"), "{errors}");
    }
    assert!(!at.join("changed.sig").exists());
}

#[test]
fn a_key_is_readable_by_its_owner_only_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempdir().expect("a temporary folder");
    let at = folder.path();
    assert!(scone(at, &["sign", "--generate-key", "--key", "key.pem"]).status.success());
    let key = at.join("key.pem");
    assert_eq!(std::fs::metadata(&key).expect("written").permissions().mode() & 0o777, 0o600);

    let before = std::fs::read(&key).expect("readable");
    let refused = scone(at, &["sign", "--generate-key", "--key", "key.pem"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("key.pem: File exists"));
    assert_eq!(std::fs::read(&key).expect("readable"), before);
}

#[test]
fn a_damaged_sigstruct_is_refused() {
    let folder = tempdir().expect("a temporary folder");
    let at = folder.path();
    assert!(scone(at, &["sign", "--generate-key", "--key", "k", "--out", "s"]).status.success());
    let mut bytes = std::fs::read(at.join("s")).expect("written");
    // ENCLAVEHASH.
    bytes[960] ^= 1;
    std::fs::write(at.join("s"), bytes).expect("writable");
    let refused = scone(at, &["inspect", "s"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("wrong signature"));
}

#[test]
fn the_regions_add_up() {
    let report = json(&scone(Path::new("/"), &["inspect", "--json"]));
    let regions = report["regions"].as_array().expect("a list");
    let pages: u64 = regions.iter().map(|r| r["pages"].as_u64().expect("a count")).sum();
    assert_eq!(Some(pages), report["pages"].as_u64());
    assert!(regions.iter().any(|r| r["page_type"] == "TCS"), "{report}");
    assert!(!regions.iter().any(|r| r["permissions"] == "rwx"), "{report}");
}
