//! `scone syscalls`, in its three forms.

use std::path::Path;
use std::process::Command;

fn output(words: &[&str]) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_scone")).arg("syscalls").args(words).output();
    let done = done.expect("scone starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("UTF-8")
}

fn rows(words: &[&str]) -> Vec<serde_json::Value> {
    serde_json::from_str(&output(words)).expect("a JSON array")
}

#[test]
fn classes_divide_the_list() {
    let all = rows(&["--json"]);
    let classes = ["local", "shielded", "forwarded", "denied"];
    let parts = classes.map(|class| rows(&["--json", "--class", class]).len());
    assert_eq!(parts.iter().sum::<usize>(), all.len());
    assert!(
        output(&[])
            .trim_end()
            .lines()
            .last()
            .is_some_and(|l| { l.starts_with(&format!("{} system calls: ", all.len())) })
    );
}

#[test]
fn each_call_is_listed_once_and_refusals_say_why() {
    let all = rows(&["--json"]);
    let mut numbers: Vec<_> = all.iter().map(|r| r["number"].as_u64().expect("a number")).collect();
    let count = numbers.len();
    numbers.dedup();
    assert_eq!(numbers.len(), count);
    for row in all.iter().filter(|r| r["class"] == "denied") {
        assert!(!row["note"].as_str().expect("text").is_empty(), "{row}");
    }
}

#[test]
fn the_page_of_the_handbook_is_current() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/syscalls.md");
    let written = std::fs::read_to_string(page).expect("docs/syscalls.md");
    let message = "out of date: scone syscalls --markdown > docs/syscalls.md";
    assert!(written == output(&["--markdown"]), "{message}");
}
