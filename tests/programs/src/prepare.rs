//! Building the test programs, once per source and compiler.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::case::{Build, Tool};
use crate::places;

/// Makes `{bin}/OUT` unless it is newer than its source.
pub(crate) fn build(build: &Build) -> Result<()> {
    let source = places::sources().join(&build.source);
    let out = places::bin().join(&build.out);
    fs::create_dir_all(places::bin()).context("make the folder of built programs")?;
    let _lock = places::lock(&format!("build-{}", build.out))?;
    if is_fresh(&source, &out) {
        return Ok(());
    }
    let partial = out.with_extension("partial");
    let mut command = command(build.tool, &source, &partial);
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {:?}", command.get_program()))?;
    if !done.status.success() {
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&done.stderr));
    }
    if out.is_dir() {
        fs::remove_dir_all(&out)?;
    }
    fs::rename(&partial, &out).with_context(|| format!("put {} in place", out.display()))
}

fn is_fresh(source: &Path, out: &Path) -> bool {
    let modified = |p: PathBuf| fs::metadata(p).and_then(|m| m.modified());
    let newest =
        [source.to_path_buf(), source.with_file_name("tap.h"), source.with_file_name("hammer.h")]
            .into_iter()
            .filter_map(|p| modified(p).ok())
            .max();
    match (newest, modified(out.to_path_buf())) {
        (Some(source), Ok(out)) => out >= source,
        _ => false,
    }
}

fn command(tool: Tool, source: &Path, out: &Path) -> Command {
    let (program, flags): (&str, &[&str]) = match tool {
        Tool::Gcc => ("gcc", &[]),
        Tool::GccNoPie => ("gcc", &["-no-pie", "-fno-pie"]),
        Tool::GccStatic => ("gcc", &["-static"]),
        Tool::GccStaticPie => ("gcc", &["-static-pie"]),
        Tool::GccShared => ("gcc", &["-shared", "-fPIC"]),
        Tool::GccBare => {
            ("gcc", &["-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector"])
        }
        Tool::MuslStatic => ("musl-gcc", &["-static"]),
        Tool::MuslDynamic => ("musl-gcc", &[]),
        Tool::Go => return go(source, out),
        Tool::Javac => ("javac", &["-d"]),
        Tool::Rust => ("rustc", &["-O", "--edition=2024"]),
        Tool::RustStatic => ("rustc", &["-O", "--edition=2024", "-Ctarget-feature=+crt-static"]),
    };
    let mut command = Command::new(program);
    command.args(flags);
    if tool == Tool::Javac {
        command.arg(out).arg(source);
    } else {
        if program == "musl-gcc" {
            // The kernel's headers, behind musl's own.
            for folder in ["/usr/include", "/usr/include/x86_64-linux-gnu"] {
                command.args(["-idirafter", folder]);
            }
        }
        if program.ends_with("gcc") {
            command.args(["-O2", "-g", "-Wall", "-pthread"]);
        }
        command.arg("-o").arg(out).arg(source);
    }
    if program == "gcc" && tool != Tool::GccBare {
        command.args(["-lm", "-lrt"]);
    }
    command
}

fn go(source: &Path, out: &Path) -> Command {
    let mut command = Command::new("/usr/bin/go");
    let cache: OsString = places::base().join("go-cache").into();
    command.env("GOCACHE", cache).env("CGO_ENABLED", "0").env("GO111MODULE", "off");
    command.args(["build", "-o"]).arg(out).arg(source);
    command
}
