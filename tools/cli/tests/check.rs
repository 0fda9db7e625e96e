//! `scone check` agrees with itself, and with what can be seen from outside.

use std::path::Path;
use std::process::Command;

fn report() -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_scone")).args(["check", "--json"]).output();
    let output = output.expect("scone starts");
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn claims_protection_only_with_a_driver() {
    let report = report();
    let driver = Path::new("/dev/sgx_enclave").exists();
    let protected = report["protected"].as_bool().expect("a truth value");
    assert!(driver || !protected, "{report}");
    assert_eq!(protected, report["backend"] == "sgx");
}

#[test]
fn text_has_no_colours_away_from_a_terminal_and_says_what_follows() {
    let output = Command::new(env!("CARGO_BIN_EXE_scone")).arg("check").output();
    let text = String::from_utf8(output.expect("scone starts").stdout).expect("UTF-8");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let follows = report()["follows"].as_str().expect("text").to_owned();
    assert_eq!(text.lines().last(), Some(follows.as_str()));
}
