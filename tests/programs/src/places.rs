//! Where things are: sources, built programs, generated input, working directories, `scone`.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The folder of this package.
#[must_use]
pub fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The root of the repository.
#[must_use]
pub fn workspace() -> PathBuf {
    package().ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default()
}

/// The sources of the test programs.
#[must_use]
pub fn sources() -> PathBuf {
    package().join("sources")
}

/// Cargo's target directory.
#[must_use]
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Everything this package produces.
#[must_use]
pub fn base() -> PathBuf {
    env::var_os("PROGRAMS_DIR").map_or_else(|| target().join("programs"), PathBuf::from)
}

/// Built programs.
#[must_use]
pub fn bin() -> PathBuf {
    base().join("bin")
}

/// Generated input files.
#[must_use]
pub fn fixtures() -> PathBuf {
    base().join("fix")
}

/// The scratch folder of a case.
#[must_use]
pub fn scratch(case: &str) -> PathBuf {
    base().join("run").join(case.replace("::", "/"))
}

/// Replaces the placeholders in an argument.
#[must_use]
pub fn expand(text: &str, run: &Path) -> String {
    let mut text = text.to_owned();
    for (key, path) in
        [("{fix}", fixtures()), ("{bin}", bin()), ("{src}", sources()), ("{run}", run.into())]
    {
        if text.contains(key) {
            text = text.replace(key, &path.to_string_lossy());
        }
    }
    text
}

/// Holds the named lock until the returned file is dropped; cases run in parallel processes.
///
/// # Errors
/// When the lock file cannot be made.
pub fn lock(name: &str) -> Result<File> {
    let dir = base().join("lock");
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let file = File::create(dir.join(name)).with_context(|| format!("make lock {name}"))?;
    file.lock().with_context(|| format!("take lock {name}"))?;
    Ok(file)
}

/// The `scone` binary: `$SCONE`, or the one in the target directory, built when missing.
///
/// # Errors
/// When it cannot be built.
pub fn scone() -> Result<PathBuf> {
    if let Some(path) = env::var_os("SCONE") {
        return Ok(PathBuf::from(path));
    }
    let path = target().join("x86_64-unknown-linux-gnu/release/scone");
    let _lock = lock("scone")?;
    if !path.exists() {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--release", "--quiet", "-p", "scone"])
            .current_dir(workspace())
            .status()
            .context("start cargo")?;
        if !status.success() {
            bail!("`cargo build --release -p scone` ended with {status}");
        }
    }
    Ok(path)
}
