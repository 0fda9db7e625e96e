//! Builds the runtime and the verifier apart from everything around them, checks them, and hands over
//! the bytes of the image that they make.

mod gate;
mod image;

use std::env::var_os;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use measure::{Claims, Date, ImageOptions, SigningKey, combine, image_layout};
use sgx_types::{Sigstruct, Xfrm};
use zerocopy::IntoBytes;

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

    let [runtime, verifier] = image::build(root, &out)?;
    gate::check(&runtime).map_err(|e| format!("the runtime is refused: {e}"))?;
    gate::check(&verifier).map_err(|e| format!("the verifier is refused: {e}"))?;
    let bytes = combine(&runtime, &verifier).map_err(|e| e.to_string())?;
    let sigstruct = sign(&bytes).map_err(|e| format!("the enclave image cannot be signed: {e}"))?;
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(out.join(name), bytes).map_err(|e| format!("OUT_DIR: {e}"))
    };
    write("enclave-image", &bytes)?;
    write("sigstruct", sigstruct.as_bytes())
}

/// Signs the debug enclave of the image with the published development key: once here instead of
/// at each start, which takes longer than the rest of it.
fn sign(image: &[u8]) -> Result<Sigstruct, Box<dyn Error>> {
    let layout = image_layout(image, ImageOptions { debug: true, xfrm: Xfrm::LEGACY })?;
    let date = Date::new(2026, 1, 1).ok_or("not a date")?;
    Ok(SigningKey::development()?.sign(&Claims::for_layout(&layout, date))?)
}
