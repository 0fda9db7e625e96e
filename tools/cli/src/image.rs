//! The enclave image that a command is about: the one inside `scone`, or a file.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use clap::Args;
use measure::{ImageOptions, Layout, check_manifest, image_layout};
use sgx_types::Xfrm;

use crate::Failure;

/// Which image.
#[derive(Args)]
pub(crate) struct Image {
    /// Another enclave image than the one that `scone run` uses
    #[arg(long = "image", value_name = "FILE")]
    path: Option<PathBuf>,
}

impl Image {
    /// The bytes of the image.
    pub(crate) fn bytes(&self) -> Result<Cow<'static, [u8]>, Failure> {
        match &self.path {
            None => Ok(Cow::Borrowed(enclave_image::IMAGE)),
            Some(path) => read(path).map(Cow::Owned),
        }
    }
}

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| Failure::file(path, &e))
}

/// Lays out the enclave of an image, which would start; processor state is not measured, so any will do.
pub(crate) fn layout(image: &[u8], debug: bool) -> Result<Layout<'_>, Failure> {
    let layout = image_layout(image, ImageOptions { debug, xfrm: Xfrm::LEGACY });
    let checked = layout.and_then(|layout| check_manifest(&layout).map(|()| layout));
    checked.map_err(|e| {
        Failure::new(
            format!("not an enclave image: {e}"),
            "give the runtime's image, not a program",
        )
    })
}
