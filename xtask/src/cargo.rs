//! The chores that are calls of cargo, for the outer workspace and for the enclave's.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Both workspaces of this repository: the host's and the enclave's.
fn workspaces() -> [PathBuf; 2] {
    let root = xtask::root();
    let enclave = root.join("enclave");
    [root, enclave]
}

fn cargo(workspace: &PathBuf) -> Command {
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

fn must(mut command: Command) -> Result<()> {
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

/// Formatting first: it is the quickest to fail.
pub(crate) fn check() -> Result<()> {
    for workspace in workspaces() {
        let mut fmt = cargo(&workspace);
        fmt.args(["fmt", "--all", "--check"]);
        must(fmt)?;
    }
    for workspace in workspaces() {
        let mut clippy = cargo(&workspace);
        clippy.args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]);
        must(clippy)?;
        let mut doc = cargo(&workspace);
        doc.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"]);
        must({
            doc.env("RUSTDOCFLAGS", "-D warnings");
            doc
        })?;
    }
    let [outer, _] = workspaces();
    let mut rules = cargo(&outer);
    rules.args(["test", "--locked", "--package", "repo-tests", "--quiet"]);
    must(rules)
}

/// Every test of both workspaces.
pub(crate) fn test(filters: &[String]) -> Result<()> {
    let nextest = has_nextest();
    if !nextest {
        eprintln!(
            "xtask: cargo-nextest is missing (cargo install cargo-nextest --locked); using cargo test"
        );
    }
    let config = xtask::root().join(".config/nextest.toml");
    let mut failed = None;
    for workspace in workspaces() {
        let mut command = cargo(&workspace);
        if nextest {
            command.args(["nextest", "run", "--no-tests=pass", "--config-file"]).arg(&config);
        } else {
            command.args(["test", "--no-fail-fast"]);
        }
        command.args(["--workspace", "--locked"]).args(filters);
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
