//! Installing what the cases need, from Debian.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::case::Case;

/// Needed by the input files and by all cases.
const BASE: &[&str] =
    &["bzip2", "coreutils", "gcc", "gzip", "libc6-dev", "openssl", "tar", "xz-utils", "zstd"];

/// The packages of `cases`, sorted.
#[must_use]
pub fn packages<'a>(cases: impl IntoIterator<Item = &'a Case>) -> BTreeSet<&'static str> {
    let mut all: BTreeSet<&'static str> = BASE.iter().copied().collect();
    for case in cases {
        all.extend(&case.packages);
    }
    all
}

/// Those of `wanted` that are not installed.
///
/// # Errors
/// When dpkg cannot be asked.
pub fn missing(wanted: &BTreeSet<&'static str>) -> Result<Vec<&'static str>> {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .output()
        .context("start dpkg-query")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let installed: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    Ok(wanted.iter().copied().filter(|p| !installed.contains(p)).collect())
}

/// Installs what is missing; does nothing when nothing is.
///
/// # Errors
/// When apt-get fails.
pub fn install(wanted: &BTreeSet<&'static str>) -> Result<Vec<&'static str>> {
    let missing = missing(wanted)?;
    if missing.is_empty() {
        return Ok(missing);
    }
    apt(&["update", "-qq"])?;
    let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
    args.extend(&missing);
    apt(&args)?;
    Ok(missing)
}

fn apt(args: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(["-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=3"])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Servers that the packages would start are not wanted.
        .env("RUNLEVEL", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("start apt-get")?;
    if !status.success() {
        bail!("apt-get {} ended with {status}", args.join(" "));
    }
    Ok(())
}
