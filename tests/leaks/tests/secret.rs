//! A secret of the program is nowhere in the host's part of the process, unless it told it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use leaks::{Found, Part, look};
use programs::places;

fn build(folder: &Path) -> Result<PathBuf> {
    let out = folder.join("plant");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("c/plant.c");
    let status = Command::new("gcc").args(["-O1", "-pthread", "-o"]).arg(&out).arg(source).status();
    ensure!(status.context("start gcc")?.success(), "gcc failed");
    Ok(out)
}

/// What was found in each part of the process.
struct Seen {
    host: Found,
    enclave: Found,
    processor: Found,
}

/// Runs the program until it has planted its secret, and looks through the process.
fn run(mode: &str, words: &[&str]) -> Result<Seen> {
    let folder = tempfile::tempdir()?;
    let program = build(folder.path())?;
    let mut child = Command::new(places::scone()?)
        .args(["run", "--quiet", "--syscalls", mode, "--ephemeral", "/inside", "--"])
        .arg(program)
        .args(words)
        .env("SCONE_EMU_AUDIT", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start scone")?;
    let seen = see(&mut child);
    drop(child.stdin.take());
    ensure!(child.wait()?.success(), "the program failed");
    seen
}

fn see(child: &mut Child) -> Result<Seen> {
    let mut line = String::new();
    let output = child.stdout.take().context("no standard output")?;
    BufReader::new(output).read_line(&mut line)?;
    ensure!(line == "planted 500\n", "the program said {line:?}");
    let part = |part| look(child.id(), part);
    Ok(Seen {
        host: part(Part::Host)?,
        enclave: part(Part::Enclave)?,
        processor: part(Part::Processor)?,
    })
}

fn keeps(mode: &str) -> Result<()> {
    let Seen { host, enclave, processor } = run(mode, &[])?;
    // The search works: it finds the secret where it must be.
    ensure!(enclave.places.len() > 256, "only {} words inside", enclave.places.len());
    ensure!(host.bytes > 1 << 20, "only {} bytes of the host seen", host.bytes);
    // What is passed over is there, and is little: the slots of a few threads.
    ensure!((1..1 << 20).contains(&processor.bytes), "{} bytes passed over", processor.bytes);
    ensure!(host.places.is_empty(), "the host sees the secret at {:x?}", host.places);
    Ok(())
}

#[test]
fn is_not_in_host_memory_when_calls_exit() -> Result<()> {
    keeps("sync")
}

#[test]
fn is_not_in_host_memory_when_calls_go_through_rings() -> Result<()> {
    keeps("async")
}

#[test]
fn is_in_host_memory_once_the_program_writes_it() -> Result<()> {
    let seen = run("sync", &["tell"])?;
    ensure!(!seen.host.places.is_empty(), "what the program wrote was not found outside");
    Ok(())
}
