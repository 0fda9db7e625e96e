//! Counts that may only go down, kept in `repo-tests/ratchet.toml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::metadata::Metadata;
use crate::source::Counts;
use crate::{root, tcb};

/// Rust files with more lines than this are counted, by their lines.
const LONG: usize = 400;

const HEAD: &str = "\
# Counts that may only go down: `cargo xtask ratchet` writes lower ones, and refuses to raise any
# without `--raise`, which needs a reason that convinces a reviewer. A test compares.
";

/// One count of a crate: the name of its table, and how to get it.
type Column = (&'static str, fn(&Counts) -> usize);

const COLUMNS: [Column; 4] = [
    ("unsafe-blocks", |c| c.unsafe_blocks),
    ("unsafe-items", |c| c.unsafe_items),
    ("mutable-statics", |c| c.static_muts),
    ("transmutes", |c| c.transmutes),
];
const LONG_FILES: &str = "long-files";

/// Names and counts for each table; names with a count of zero are left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tables(BTreeMap<String, BTreeMap<String, usize>>);

impl Tables {
    /// Counts everything anew.
    ///
    /// # Errors
    /// When cargo, git or a file cannot be read.
    pub fn measure() -> Result<Self> {
        let root = root();
        let mut tables = Self::default();
        for workspace in [root.clone(), root.join("enclave")] {
            for package in Metadata::manifests(&workspace)?.packages {
                let folder = package.manifest_path.parent().context("manifest without a folder")?;
                let counts = tcb::crate_counts(folder)?;
                let name = folder.strip_prefix(&root)?.to_string_lossy();
                for (table, select) in COLUMNS {
                    tables.set(table, &name, select(&counts));
                }
            }
        }
        for file in tracked_files()?.iter().filter(|f| f.extension().is_some_and(|e| e == "rs")) {
            let lines = std::fs::read_to_string(root.join(file))?.lines().count();
            tables.set(LONG_FILES, &file.to_string_lossy(), if lines > LONG { lines } else { 0 });
        }
        Ok(tables)
    }

    /// The counts as they are written down.
    ///
    /// # Errors
    /// When the file is missing or malformed.
    pub fn recorded() -> Result<Self> {
        let path = path();
        let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        toml::from_str(&text).map(Self).with_context(|| format!("{}", path.display()))
    }

    fn set(&mut self, table: &str, name: &str, count: usize) {
        if count > 0 {
            self.0.entry(table.to_owned()).or_default().insert(name.to_owned(), count);
        }
    }

    fn get(&self, table: &str, name: &str) -> usize {
        self.0.get(table).and_then(|t| t.get(name)).copied().unwrap_or(0)
    }

    /// A line for each count that is higher here than in `other`.
    #[must_use]
    pub fn above(&self, other: &Self) -> Vec<String> {
        let counts =
            self.0.iter().flat_map(|(table, t)| t.iter().map(move |(n, c)| (table, n, *c)));
        let line = |(table, name, count): (&String, &String, usize)| {
            let there = other.get(table, name);
            (count > there).then(|| format!("{table}: {name}: {count} instead of {there}"))
        };
        counts.filter_map(line).collect()
    }

    fn render(&self) -> Result<String> {
        let mut text = HEAD.to_owned();
        for (table, counts) in &self.0 {
            writeln!(text, "\n[{table}]")?;
            for (name, count) in counts {
                writeln!(text, "\"{name}\" = {count}")?;
            }
        }
        Ok(text)
    }
}

/// Writes the counts down; higher ones only with `raise`.
///
/// # Errors
/// When something cannot be counted or written, or a count has grown.
pub fn write(raise: bool) -> Result<()> {
    let measured = Tables::measure()?;
    let grown = measured.above(&Tables::recorded()?);
    if !grown.is_empty() && !raise {
        bail!("these may only go down (--raise if they must not):\n{}", grown.join("\n"));
    }
    std::fs::write(path(), measured.render()?).context("ratchet.toml")
}

fn path() -> PathBuf {
    root().join("repo-tests/ratchet.toml")
}

/// Every file that git knows, relative to the root; deleted ones are left out.
///
/// # Errors
/// Without git, or outside a repository.
pub fn tracked_files() -> Result<Vec<PathBuf>> {
    let root = root();
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(&root).output();
    let output = output.context("cannot start git")?;
    ensure!(output.status.success(), "git ls-files: {}", output.status);
    let names = String::from_utf8(output.stdout)?;
    let names = names.split_terminator('\0').map(PathBuf::from);
    Ok(names.filter(|name| root.join(name).exists()).collect())
}

#[cfg(test)]
mod tests {
    use super::Tables;

    #[test]
    fn only_growth_is_above() {
        let (mut old, mut new) = (Tables::default(), Tables::default());
        old.set("t", "same", 2);
        old.set("t", "less", 2);
        for (name, count) in [("same", 2), ("less", 1), ("more", 1), ("none", 0)] {
            new.set("t", name, count);
        }
        assert_eq!(new.above(&old), ["t: more: 1 instead of 0"]);
        assert_eq!(old.above(&new), ["t: less: 2 instead of 1"]);
    }
}
