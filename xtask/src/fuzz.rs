//! The fuzz targets, built by the stable compiler: what cargo-fuzz needs a nightly one for is a sanitizer.
//! Coverage is a pass of LLVM, which the stable one has too.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use xtask::metadata::TARGET;

/// Coverage as libFuzzer wants it, and all checks.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg=fuzzing \
    -Cdebug-assertions=on -Coverflow-checks=on";

/// Programs of this machine with which the corpus of the ELF loader begins.
const PROGRAMS: [&str; 3] = ["/bin/true", "/bin/ls", "/lib64/ld-linux-x86-64.so.2"];

/// Runs `wanted`, or all targets, for so many seconds each, one after the other. What they learn stays
/// in `fuzz/corpus`, what makes one fail in `fuzz/artifacts`.
pub(crate) fn fuzz(seconds: u64, wanted: &[String]) -> Result<()> {
    let folder = xtask::root().join("fuzz");
    let targets = targets(&folder.join("fuzz_targets"))?;
    for name in wanted {
        ensure!(targets.contains(name), "there is no target {name}: {}", targets.join(", "));
    }
    let mut build = crate::cargo::cargo(&folder);
    build.args(["build", "--release", "--locked", "--target", TARGET]).env("RUSTFLAGS", FLAGS);
    build.arg("--target-dir").arg(folder.join("target"));
    crate::cargo::must(build)?;
    for name in targets.iter().filter(|name| wanted.is_empty() || wanted.contains(name)) {
        run(&folder, name, seconds)?;
    }
    Ok(())
}

fn targets(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("{}", folder.display()))? {
        names.extend(entry?.path().file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn run(folder: &Path, name: &str, seconds: u64) -> Result<()> {
    let (corpus, artifacts) = (folder.join("corpus").join(name), folder.join("artifacts"));
    for folder in [&corpus, &artifacts] {
        std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    }
    if name == "elf_loader" {
        for program in PROGRAMS.map(Path::new).iter().filter(|program| program.exists()) {
            let seed = corpus.join(program.file_name().unwrap_or_default());
            std::fs::copy(program, &seed).with_context(|| format!("{}", seed.display()))?;
        }
    }
    let mut command = Command::new(folder.join("target").join(TARGET).join("release").join(name));
    command.arg(&corpus).arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-artifact_prefix={}/{name}-", artifacts.display()));
    command.args(["-max_len=262144", "-print_final_stats=1", "-verbosity=0"]);
    let words = folder.join(name).with_extension("dict");
    if words.exists() {
        command.arg(format!("-dict={}", words.display()));
    }
    eprintln!("xtask: {name} for {seconds} s");
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("{name}: {status}; its input is in {}", artifacts.display());
    }
    Ok(())
}
