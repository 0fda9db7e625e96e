//! A secret of the program is nowhere in the host's part of the process, unless it told it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use leaks::{Found, look};
use programs::places;

fn build(folder: &Path) -> Result<PathBuf> {
    let out = folder.join("plant");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("c/plant.c");
    let status = Command::new("gcc").args(["-O1", "-pthread", "-o"]).arg(&out).arg(source).status();
    ensure!(status.context("start gcc")?.success(), "gcc failed");
    Ok(out)
}

/// Runs the program until it has planted its secret, and looks through the process.
fn run(mode: &str, words: &[&str]) -> Result<(Found, Found)> {
    let folder = tempfile::tempdir()?;
    let program = build(folder.path())?;
    let mut child = Command::new(places::scone()?)
        .args(["run", "--quiet", "--syscalls", mode, "--"])
        .arg(program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start scone")?;
    let seen = see(&mut child);
    drop(child.stdin.take());
    ensure!(child.wait()?.success(), "the program failed");
    seen
}

fn see(child: &mut Child) -> Result<(Found, Found)> {
    let mut line = String::new();
    let output = child.stdout.take().context("no standard output")?;
    BufReader::new(output).read_line(&mut line)?;
    ensure!(line == "planted 500\n", "the program said {line:?}");
    Ok((look(child.id(), false)?, look(child.id(), true)?))
}

fn keeps(mode: &str) -> Result<()> {
    let (outside, inside) = run(mode, &[])?;
    // The search works: it finds the secret where it must be.
    ensure!(inside.places.len() > 64, "only {} copies inside", inside.places.len());
    ensure!(outside.bytes > 1 << 20, "only {} bytes of the host seen", outside.bytes);
    ensure!(outside.places.is_empty(), "the host sees the secret at {:x?}", outside.places);
    Ok(())
}

#[test]
#[ignore = "the emulator keeps registers of interrupted threads on the host's signal stacks"]
fn is_not_in_host_memory_when_calls_exit() -> Result<()> {
    keeps("sync")
}

#[test]
#[ignore = "the emulator keeps registers of interrupted threads on the host's signal stacks"]
fn is_not_in_host_memory_when_calls_go_through_rings() -> Result<()> {
    keeps("async")
}

#[test]
fn is_in_host_memory_once_the_program_writes_it() -> Result<()> {
    let (outside, _) = run("sync", &["tell"])?;
    ensure!(!outside.places.is_empty(), "what the program wrote was not found outside");
    Ok(())
}
