//! Builds `enclave/image` apart from everything around it, checks it, and hands over its bytes.

mod gate;
mod image;

use std::env::var_os;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let here = PathBuf::from(var_os("CARGO_MANIFEST_DIR").ok_or("not started by cargo")?);
    let out = PathBuf::from(var_os("OUT_DIR").ok_or("not started by cargo")?);
    let root = here.ancestors().nth(2).ok_or("this crate is not two folders below the root")?;
    for watched in ["enclave", "boundary"] {
        for path in image::sources(&root.join(watched))? {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    println!("cargo::rerun-if-changed=build");

    let built = image::build(root, &out)?;
    let bytes = std::fs::read(&built).map_err(|e| format!("{}: {e}", built.display()))?;
    gate::check(&bytes).map_err(|e| format!("the enclave image is refused: {e}"))?;
    std::fs::write(out.join("enclave-image"), bytes).map_err(|e| format!("OUT_DIR: {e}"))
}
