//! The chores that are calls of cargo, for the outer workspace and for the enclave's.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use xtask::metadata::{Metadata, TARGET};

/// Both workspaces of this repository: the host's and the enclave's.
fn workspaces() -> [PathBuf; 2] {
    let root = xtask::root();
    let enclave = root.join("enclave");
    [root, enclave]
}

pub(crate) fn cargo(workspace: &PathBuf) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace);
    // Set by the cargo that started this program, and wrong for the other workspace.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|n| n.starts_with("CARGO_PKG_") || n == "CARGO_MANIFEST_DIR") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn must(mut command: Command) -> Result<()> {
    let words: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
    let folder = command.get_current_dir().and_then(|d| d.file_name()).unwrap_or_default();
    let shown = format!("cargo {} ({})", words.join(" "), folder.display());
    eprintln!("xtask: {shown}");
    let status = command.status().with_context(|| shown.clone())?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// `cargo build` of the command and, through its build script, of the enclave image.
pub(crate) fn build() -> Result<()> {
    let [outer, _] = workspaces();
    let mut command = cargo(&outer);
    command.args(["build", "--workspace", "--all-targets"]);
    must(command)
}

/// Writes the handbook's list of system calls, which the command knows.
pub(crate) fn write_syscalls() -> Result<()> {
    let [outer, _] = workspaces();
    let mut list = cargo(&outer);
    list.args(["run", "--quiet", "--package", "scone", "--", "syscalls", "--markdown"]);
    let output = list.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("scone syscalls: {}", output.status);
    }
    let path = outer.join("docs/syscalls.md");
    std::fs::write(&path, output.stdout).with_context(|| format!("{}", path.display()))
}

/// Formatting first: it is the quickest to fail.
pub(crate) fn check() -> Result<()> {
    let [outer, enclave] = workspaces();
    for workspace in [&outer, &enclave] {
        let mut fmt = cargo(workspace);
        fmt.args(["fmt", "--all", "--check"]);
        must(fmt)?;
    }
    clippy(&outer, &["--workspace", "--all-targets"])?;
    // What is linked, without the tests' dependencies, which bring std; then what can be tested.
    clippy(&enclave, &["--workspace"])?;
    let testable = testable()?;
    let mut words: Vec<_> = testable.iter().map(String::as_str).collect();
    words.push("--all-targets");
    clippy(&enclave, &words)?;
    for workspace in [&outer, &enclave] {
        let mut doc = cargo(workspace);
        doc.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"]);
        doc.args(profile(workspace));
        doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links");
        must(doc)?;
    }
    let mut rules = cargo(&outer);
    rules.args(["test", "--release", "--locked", "--package", "repo-tests", "--quiet"]);
    must(rules)
}

/// What ships is what is tested, and everything is built once: outside of the enclave, in release. There
/// it takes minutes to link one test, so that tests have the dev profile.
fn profile(workspace: &Path) -> &'static [&'static str] {
    if workspace == xtask::root() { &["--release"] } else { &[] }
}

fn clippy(workspace: &PathBuf, words: &[&str]) -> Result<()> {
    let mut clippy = cargo(workspace);
    clippy.arg("clippy").args(words).args(profile(workspace));
    clippy.args(["--locked", "--", "-D", "warnings"]);
    must(clippy)
}

/// `--package` for each library of the enclave that can run on the host: those without the core,
/// which brings its own panic handler, as programs do.
fn testable() -> Result<Vec<String>> {
    let metadata = Metadata::resolved(&xtask::root().join("enclave"))?;
    let members = metadata.packages.iter().filter(|p| metadata.workspace_members.contains(&p.id));
    let mut words = Vec::new();
    for package in members {
        let (linked, _) = metadata.closure(&[&package.name])?;
        if package.has("lib") && !linked.iter().any(|p| p.name == "enclave-core") {
            words.extend(["--package".to_owned(), package.name.clone()]);
        }
    }
    Ok(words)
}

/// Builds the command and the benchmarks, both in release, and runs these.
pub(crate) fn bench(words: &[String]) -> Result<()> {
    let [outer, _] = workspaces();
    build_command(&outer)?;
    let mut command = cargo(&outer);
    if std::env::var_os("SCONE").is_none() {
        command.env("SCONE", target_folder().join(TARGET).join("release/scone"));
    }
    command.args(["run", "--release", "--locked", "--quiet", "--package", "benches", "--"]);
    command.args(words);
    must(command)
}

/// Cargo's target folder.
fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| xtask::root().join("target"), PathBuf::from)
}

/// The command in release: what benchmarks and tests of programs run.
fn build_command(outer: &PathBuf) -> Result<()> {
    let mut command = cargo(outer);
    command.args(["build", "--release", "--locked", "--package", "scone"]);
    must(command)
}

/// Every test of both workspaces; all of them run, even when some fail.
pub(crate) fn test(filters: &[String]) -> Result<()> {
    let nextest = has_nextest();
    if !nextest {
        eprintln!(
            "xtask: cargo-nextest is missing (cargo install cargo-nextest --locked); using cargo test"
        );
    }
    let [outer, enclave] = workspaces();
    let mut failed = None;
    for (workspace, words) in [(enclave, testable()?), (outer, vec!["--workspace".to_owned()])] {
        let mut command = cargo(&workspace);
        if nextest {
            command.args(["nextest", "run", "--no-tests=pass", "--no-fail-fast"]);
        } else {
            command.args(["test", "--no-fail-fast"]);
        }
        command.args(profile(&workspace));
        command.arg("--locked").args(words).args(filters);
        if let Err(error) = must(command) {
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

fn has_nextest() -> bool {
    let mut probe = Command::new("cargo-nextest");
    probe.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|s| s.success())
}
