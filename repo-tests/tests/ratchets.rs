//! Counts that may only go down. `ratchet.toml` holds them; when one has fallen, lower it there.

use std::collections::BTreeMap;
use std::path::Path;

use repo_tests::{Crate, crates, text, toml, tracked_files};
use xtask::tcb::crate_counts;

const LONG: usize = 400;

fn recorded(table: &str) -> BTreeMap<String, usize> {
    let all = toml(Path::new("repo-tests/ratchet.toml"));
    let table = all.get(table).and_then(|t| t.as_table()).cloned().unwrap_or_default();
    let number = |v: toml::Value| v.as_integer().and_then(|n| n.try_into().ok()).expect("a count");
    table.into_iter().map(|(name, value)| (name, number(value))).collect()
}

/// Both directions fail: more is worse, and less must be written down to stay.
fn compare(table: &str, measured: BTreeMap<String, usize>) {
    let measured: BTreeMap<_, _> = measured.into_iter().filter(|(_, n)| *n > 0).collect();
    let recorded = recorded(table);
    if measured == recorded {
        return;
    }
    let mut lines = format!("[{table}] in repo-tests/ratchet.toml is not what was counted:\n");
    for name in measured.keys().chain(recorded.keys()).collect::<std::collections::BTreeSet<_>>() {
        let (new, old) = (measured.get(name).unwrap_or(&0), recorded.get(name).unwrap_or(&0));
        match new.cmp(old) {
            std::cmp::Ordering::Greater => lines += &format!("{name}: {old} grew to {new}\n"),
            std::cmp::Ordering::Less => lines += &format!("{name}: lower {old} to {new}\n"),
            std::cmp::Ordering::Equal => {}
        }
    }
    panic!("{lines}");
}

fn per_crate(select: impl Fn(xtask::source::Counts) -> usize) -> BTreeMap<String, usize> {
    let count = |c: Crate| {
        let counts = crate_counts(&xtask::root().join(&c.folder)).expect("Rust");
        (c.folder, select(counts))
    };
    crates().into_iter().map(count).collect()
}

#[test]
fn unsafe_blocks() {
    compare("unsafe-blocks", per_crate(|c| c.unsafe_blocks));
}

#[test]
fn unsafe_items() {
    compare("unsafe-items", per_crate(|c| c.unsafe_items));
}

#[test]
fn mutable_statics() {
    compare("mutable-statics", per_crate(|c| c.static_muts));
}

#[test]
fn transmutes() {
    compare("transmutes", per_crate(|c| c.transmutes));
}

/// Lines of files that are longer than 400.
#[test]
fn long_files() {
    let rust = tracked_files().into_iter().filter(|f| f.extension().is_some_and(|e| e == "rs"));
    let lines = |f: &Path| text(f).map_or(0, |t| t.lines().count());
    let long = rust.map(|f| (f.display().to_string(), lines(&f))).filter(|(_, n)| *n > LONG);
    compare("long-files", long.collect());
}
