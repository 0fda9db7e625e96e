//! Conformance of system calls, one C file per family in `c/`.
//!
//! Each `GROUP(name)` of a file is a case of its own: a program that prints a line per check
//! (`ok 3 - ...` or `not ok 3 - ...`) and nothing that differs from run to run. It must be all ok
//! on bare Linux, and print the same inside the enclave, linked against glibc and against musl.

use std::fs;
use std::path::PathBuf;

use programs::{Case, Tool, case};

/// How each file is linked.
const LINKS: [(&str, Tool); 2] = [("glibc", Tool::Gcc), ("musl-static", Tool::MuslStatic)];

/// Files whose groups are run once more in a file system in memory, and where that is.
const IN_MEMORY: &[&str] = &["files", "dirs", "fifos", "stat", "twins", "aio", "limits"];
const FOLDER: &str = "/dev/shm/tap";

/// Groups that are run once more with all calls by rings.
const BY_RINGS: &[(&str, &str)] = &[
    ("aio", "read_write"),
    ("aio", "waits"),
    ("aio", "threads"),
    ("ahead", "level_triggered"),
    ("ahead", "edges_that_are_left"),
    ("ahead", "edge_triggered"),
    ("ahead", "asked_in_other_ways"),
    ("ahead", "threads"),
    ("ahead", "ends"),
    ("ahead", "files_that_change"),
    ("ahead", "files_that_are_replaced"),
    ("ahead", "files_opened_in_advance"),
    ("ahead", "files_that_follow_others"),
    ("ahead", "files_that_stay_open"),
    ("blocking", "whole_tcp"),
    ("blocking", "whole_unix"),
    ("blocking", "whole_fifo"),
    ("blocking", "messages"),
    ("blocking", "signals_end_them"),
    ("blocking", "connects"),
    ("blocking", "opens"),
    ("fifos", "waiting"),
    ("files", "much_at_offsets"),
    ("files", "read_write"),
    ("mmap", "passed_on"),
    ("poll", "many_threads"),
    ("poll", "waits_of_threads_end"),
    ("streams", "many_ways_tcp"),
    ("streams", "many_ways_unix"),
    ("streams", "until_full_tcp"),
    ("streams", "until_full_small"),
    ("streams", "until_full_unix"),
    ("streams", "ends"),
    ("streams", "ends_before_waits"),
    ("streams", "peer_is_gone"),
    ("streams", "error_is_told_late"),
    ("streams", "options"),
    ("streams", "files"),
    ("streams", "threads"),
    ("streams", "no_call_follows"),
    ("streams", "closes"),
    ("streams", "corks"),
    ("streams", "heads"),
    ("streams", "heads_until_full"),
    ("streams", "told_by_memory"),
    ("twins", "ring"),
    ("twins", "threads"),
    ("twins", "written_meanwhile"),
    ("writes", "any_order"),
    ("writes", "told_by_memory"),
    ("writes", "two_threads"),
    ("writes", "failing"),
    ("writes", "lets_go"),
    ("writes", "before_much"),
];

/// Groups that are known to fail inside the enclave: `file::group`, reason.
const KNOWN: &[(&str, &str)] = &[("misc::no_children", "execve is not there yet (PROCESSES)")];

fn sources() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("c")
}

/// All cases, `file::group::link`.
///
/// # Errors
/// When the sources cannot be read.
pub fn cases() -> anyhow::Result<Vec<Case>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(sources())?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "c"));
    files.sort();
    let mut all = Vec::new();
    for path in files {
        let family = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let source = path.to_string_lossy().into_owned();
        for group in groups(&fs::read_to_string(&path)?) {
            for (link, tool) in LINKS {
                let out = format!("conformance-{family}-{link}");
                let entry = case(
                    &format!("{family}::{group}::{link}"),
                    &[&format!("{{bin}}/{out}"), &group],
                )
                .build(tool, &source, &out)
                .limit(25);
                if IN_MEMORY.contains(&family.as_str()) {
                    let mut entry = entry.clone();
                    entry.name = format!("{family}-in-memory::{group}::{link}");
                    let entry = entry.env("TAP_FOLDER", FOLDER).scone("--ephemeral=/dev/shm/tap");
                    all.push(expected(entry, &format!("{family}-in-memory::{group}")));
                }
                if family == "blocking" {
                    // More than processors: calls are made in place that else are handed over.
                    let mut entry = entry.clone();
                    entry.name = format!("{family}-by-four::{group}::{link}");
                    all.push(entry.scone("--threads=4"));
                }
                if BY_RINGS.contains(&(&family, &group)) {
                    let mut entry = entry.clone();
                    entry.name = format!("{family}-by-rings::{group}::{link}");
                    all.push(entry.scone("--syscalls=async"));
                }
                all.push(expected(entry, &format!("{family}::{group}")));
            }
        }
    }
    Ok(all)
}

/// A case of the group `name`, which may be known to fail.
fn expected(case: Case, name: &str) -> Case {
    match KNOWN.iter().find(|(known, _)| *known == name) {
        Some((_, reason)) => case.fails(reason),
        None => case,
    }
}

/// The names in `GROUP(name)` at the beginning of a line.
fn groups(source: &str) -> Vec<String> {
    source
        .lines()
        .filter_map(|line| line.strip_prefix("GROUP(")?.split_once(')'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_groups_in_order() {
        let source = "GROUP(one)\n{\n}\n // GROUP(no)\nGROUP(two)\n{\n}\n";
        assert_eq!(groups(source), ["one", "two"]);
    }

    #[test]
    fn known_failures_name_groups_that_exist() {
        let all = cases().unwrap();
        for (known, _) in KNOWN {
            let prefix = format!("{known}::");
            assert!(all.iter().any(|c| c.name.starts_with(&prefix)), "{known} is no group");
        }
    }
}
