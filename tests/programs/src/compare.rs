//! Comparing two runs.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::case::Compare;
use crate::process::Output;

/// What is at a path: kind, permissions, content or link target.
#[derive(PartialEq, Eq)]
enum Entry {
    Folder(u32),
    Link(PathBuf),
    File(u32, Vec<u8>),
    Other(u32),
}

/// The files below a folder.
#[derive(Default)]
pub(crate) struct Tree(BTreeMap<PathBuf, Entry>);

impl Tree {
    /// Reads everything below `root`.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.add(root, Path::new(""))?;
        Ok(tree)
    }

    fn add(&mut self, root: &Path, below: &Path) -> Result<()> {
        for entry in fs::read_dir(root.join(below))? {
            let path = below.join(entry?.file_name());
            let meta = fs::symlink_metadata(root.join(&path))?;
            let mode = meta.permissions().mode();
            let found = if meta.is_dir() {
                self.add(root, &path)?;
                Entry::Folder(mode)
            } else if meta.is_symlink() {
                Entry::Link(fs::read_link(root.join(&path))?)
            } else if meta.is_file() {
                Entry::File(mode, fs::read(root.join(&path))?)
            } else {
                Entry::Other(mode)
            };
            self.0.insert(path, found);
        }
        Ok(())
    }

    /// The first difference, in words.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        for (path, entry) in &self.0 {
            match other.0.get(path) {
                None => return Some(format!("file {} is missing", path.display())),
                Some(found) if found != entry => {
                    return Some(format!(
                        "file {} differs: {}",
                        path.display(),
                        detail(entry, found)
                    ));
                }
                Some(_) => {}
            }
        }
        let extra = other.0.keys().find(|path| !self.0.contains_key(*path))?;
        Some(format!("file {} is one too many", extra.display()))
    }
}

fn detail(native: &Entry, scone: &Entry) -> String {
    match (native, scone) {
        (Entry::File(m, _), Entry::File(n, _)) if m != n => format!("mode {m:o} became {n:o}"),
        (Entry::File(_, a), Entry::File(_, b)) => differing(a, b),
        _ => "another kind of file".to_owned(),
    }
}

/// The first difference between a native and an enclave run, in words.
pub(crate) fn outputs(how: &Compare, native: &Output, scone: &Output) -> Option<String> {
    if native.status != scone.status {
        let tail = last_lines(&scone.stderr);
        return Some(match scone.status {
            None => format!("still running after {:.1?}; stderr: {tail}", scone.time),
            Some(status) => format!(
                "status {status}, natively {}; stderr: {tail}",
                native.status.map_or_else(|| "none".into(), |s| s.to_string())
            ),
        });
    }
    match how {
        Compare::Checker(judge) => judge(scone).err(),
        Compare::Sorted => {
            let (a, b) = (sorted(&native.stdout), sorted(&scone.stdout));
            (a != b).then(|| format!("sorted stdout differs: {}", differing(&a, &b)))
        }
        Compare::Exact | Compare::ExactWithStderr => {
            if native.stdout != scone.stdout {
                let what = differing(&native.stdout, &scone.stdout);
                return Some(format!("stdout differs: {what}"));
            }
            (matches!(how, Compare::ExactWithStderr) && native.stderr != scone.stderr)
                .then(|| format!("stderr differs: {}", differing(&native.stderr, &scone.stderr)))
        }
    }
}

fn sorted(text: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    lines.sort_unstable();
    lines.join(&b'\n')
}

/// Where two byte strings part, with the lines around it.
pub(crate) fn differing(native: &[u8], scone: &[u8]) -> String {
    let at = native.iter().zip(scone).take_while(|(a, b)| a == b).count();
    let line_start = native[..at].iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
    let from = line_start.max(at.saturating_sub(60));
    let line = |text: &[u8]| {
        let rest = &text[from.min(text.len())..];
        let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()).min(160);
        String::from_utf8_lossy(&rest[..end]).into_owned()
    };
    format!(
        "at byte {at} of {} and {}: natively {:?}, now {:?}",
        native.len(),
        scone.len(),
        line(native),
        line(scone)
    )
}

/// The end of a text, for a message.
pub(crate) fn last_lines(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(6)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stdout: &str, status: i32) -> Output {
        Output { stdout: stdout.into(), status: Some(status), ..Output::default() }
    }

    #[test]
    fn finds_differences_in_status_and_text() {
        let native = output("a\nb\n", 0);
        assert_eq!(outputs(&Compare::Exact, &native, &output("a\nb\n", 0)), None);
        let text = outputs(&Compare::Exact, &native, &output("a\nc\n", 0)).unwrap();
        assert!(text.contains(r#"natively "b", now "c""#), "{text}");
        let text = outputs(&Compare::Exact, &native, &output("a\nb\n", 3)).unwrap();
        assert!(text.starts_with("status 3, natively 0"), "{text}");
    }

    #[test]
    fn order_matters_only_when_asked() {
        let (a, b) = (output("x\ny\n", 0), output("y\nx\n", 0));
        assert!(outputs(&Compare::Exact, &a, &b).is_some());
        assert!(outputs(&Compare::Sorted, &a, &b).is_none());
    }
}
