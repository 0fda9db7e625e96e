//! What the documents promise is there, and nothing of the machine they were written on.

use std::path::{Path, PathBuf};

use repo_tests::text;
use xtask::ratchet;

/// Written in two parts, so that this file does not hold them.
const MACHINE: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/fa", "rm/"),
    concat!("/tm", "p/t-"),
    concat!("arti", "factory"),
];

const UNFINISHED: &[&str] = &[
    concat!("tod", "o!("),
    concat!("unimple", "mented!("),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("for ", "now"),
    concat!("not yet ", "implemented"),
];

fn tracked_files() -> impl Iterator<Item = PathBuf> {
    ratchet::tracked_files().expect("git knows its files").into_iter()
}

fn refuse(words: &[&str], files: impl Iterator<Item = PathBuf>) {
    for file in files {
        let Some(text) = text(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            let found = words.iter().find(|w| line.contains(*w));
            assert!(found.is_none(), "{}:{}: {found:?}", file.display(), number + 1);
        }
    }
}

#[test]
fn no_paths_or_hosts_of_one_machine() {
    refuse(MACHINE, tracked_files());
}

#[test]
fn no_marks_of_unfinished_work() {
    refuse(UNFINISHED, tracked_files().filter(|f| f.extension().is_some_and(|e| e == "rs")));
}

#[test]
fn tcb_is_current() {
    let current = xtask::tcb::render().expect("TCB.md can be generated");
    let written = text(Path::new("TCB.md")).expect("text");
    assert!(written == current, "TCB.md is out of date: cargo xtask tcb");
}

#[test]
fn decisions_are_numbered_and_listed() {
    let summary = text(Path::new("docs/SUMMARY.md")).expect("text");
    let mut names: Vec<_> = std::fs::read_dir(xtask::root().join("docs/adr"))
        .expect("docs/adr")
        .map(|e| e.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter(|n| n != "template.md")
        .collect();
    names.sort();
    for (index, name) in names.iter().enumerate() {
        let number = format!("{:04}", index + 1);
        assert!(name.starts_with(&format!("{number}-")), "{name}: {number} comes next");
        let decision = text(&Path::new("docs/adr").join(name)).expect("text");
        assert!(decision.starts_with(&format!("# {number}. ")), "{name}: title without {number}");
        assert!(summary.contains(&format!("(adr/{name})")), "{name}: not in docs/SUMMARY.md");
    }
    assert!(!names.is_empty(), "no decisions");
}

/// A row ends in what proves it: `` `file.rs`: `test`, `other`; `file2.rs`: `test` ``.
#[test]
fn promises_name_tests_that_exist() {
    let promises = text(Path::new("SPECIFICATION.md")).expect("text");
    let rows: Vec<_> = promises.lines().filter(|l| l.starts_with("| P-")).collect();
    for row in &rows {
        let proof = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
        for proof in proof.split(';') {
            assert_proof(proof).unwrap_or_else(|e| panic!("{e}: {row}"));
        }
    }
    assert!(!rows.is_empty(), "no promises");
}

fn assert_proof(proof: &str) -> Result<(), String> {
    let mut names = proof.split('`').skip(1).step_by(2);
    let file = names.next().ok_or("no test")?;
    let source = text(Path::new(file)).ok_or_else(|| format!("{file}: no text"))?;
    let tests: Vec<_> = names.collect();
    // Cases of a table are named by a string, and property tests are functions without `#[test]`.
    let is_there =
        |t: &&str| source.contains(&format!("fn {t}(")) || source.contains(&format!("\"{t}\""));
    match tests.iter().find(|t| !is_there(t)) {
        Some(missing) => Err(format!("{file} has no test {missing}")),
        None if tests.is_empty() => Err("no test".to_owned()),
        None => Ok(()),
    }
}

/// Links to files of this repository, in the documents at its root and below docs/.
#[test]
fn links_lead_somewhere() {
    for file in tracked_files().filter(|f| f.extension().is_some_and(|e| e == "md")) {
        let text = text(&file).expect("text");
        let folder = xtask::root().join(&file).parent().expect("a folder").to_owned();
        for part in text.split("](").skip(1) {
            let target = part.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(folder.join(target).exists(), "{}: dead link {target}", file.display());
        }
    }
}
