//! The build of the image, shared by the build script and the test of its reproducibility.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The packages that the image is made of, and their programs: the runtime, and the verifier.
const PACKAGES: [&str; 2] = ["enclave-image-bin", "enclave-verifier"];
const BINARIES: [&str; 2] = ["enclave-image", "verifier"];

/// Variables that would reach into the build from outside. `CARGO_HOME` and the settings of cargo's
/// network access do not change what is built, and stay.
const REMOVED: &[&str] = &["RUSTFLAGS", "RUSTDOCFLAGS", "MAKEFLAGS", "MFLAGS", "CARGO_MAKEFLAGS"];
const REMOVED_PREFIXES: &[&str] = &[
    "CARGO_BUILD_",
    "CARGO_CFG_",
    "CARGO_ENCODED_",
    "CARGO_FEATURE_",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PROFILE_",
    "CARGO_TARGET_",
    "CARGO_UNSTABLE_",
    "CLIPPY_",
    "RUSTC",
];

/// Builds the parts of the image of the tree at `root` below `out`: the runtime, and the verifier.
pub(crate) fn build(root: &Path, out: &Path) -> Result<[Vec<u8>; 2], String> {
    let workspace = root.join("enclave");
    // Where dependencies lie becomes part of panic messages, and is mapped away below: it has to be
    // known before the compiler starts.
    run(cargo(&workspace).args(["fetch", "--locked", "--target", TARGET]))?;
    let target = out.join("enclave-target");
    run(cargo(&workspace)
        .args(["build", "--release", "--locked", "--bins", "--target", TARGET])
        .args(PACKAGES.map(|package| format!("--package={package}")))
        .arg("--target-dir")
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(root)?)
        .env("RUSTC_WRAPPER", concat!(env!("CARGO_MANIFEST_DIR"), "/build/rustc.sh"))
        .env("SCONE_ROOT", root))?;
    let read = |name| {
        let path = target.join(TARGET).join("release").join(name);
        std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))
    };
    Ok([read(BINARIES[0])?, read(BINARIES[1])?])
}

/// Every file below `dir` that the image may be made of, and every folder, for files yet to come.
pub(crate) fn sources(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = vec![dir.to_owned()];
    let entries = std::fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    for entry in entries {
        let path = entry.map_err(|e| format!("{}: {e}", dir.display()))?.path();
        if path.is_dir() {
            if !["target", "tests"].iter().any(|skipped| path.ends_with(skipped)) {
                found.extend(sources(&path)?);
            }
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

fn cargo(workspace: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace);
    for (name, _) in env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        if REMOVED.contains(&name) || REMOVED_PREFIXES.iter().any(|p| name.starts_with(p)) {
            command.env_remove(name);
        }
    }
    command
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("cannot start cargo: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("cargo {}: {}\n{errors}", words.join(" "), output.status))
}

/// The compiler's flags, separated by 0x1f. Functions are inlined less than usual, since all code is
/// hashed at each start (ADR 23). Nothing of where the tree and the registry lie is to be seen in the
/// image.
fn flags(root: &Path) -> Result<OsString, String> {
    let mut flags = OsString::from("-Ctarget-cpu=x86-64\u{1f}-Cllvm-args=-inline-threshold=160");
    let mut remap = |from: &Path, to: &str| {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    };
    let registry = cargo_home()?.join("registry/src");
    for entry in std::fs::read_dir(&registry).into_iter().flatten().flatten() {
        remap(&entry.path(), "/registry");
    }
    remap(root, "/scone");
    Ok(flags)
}

fn cargo_home() -> Result<PathBuf, String> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).ok_or_else(|| "no CARGO_HOME".into())
}
