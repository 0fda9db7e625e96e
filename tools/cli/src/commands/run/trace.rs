//! Where the trace goes.

use std::fs::File;
use std::os::fd::{AsFd as _, IntoRawFd as _};
use std::path::Path;

use crate::Failure;

/// Opens the file, or takes standard error for `-`; the descriptor stays open until the end.
pub(super) fn open(path: &Path) -> Result<u32, Failure> {
    let failed = |e| Failure::file(path, &e).with_status(Failure::USAGE);
    let descriptor = if path == Path::new("-") {
        // A copy: the program may close its own.
        std::io::stderr().as_fd().try_clone_to_owned().map_err(failed)?
    } else {
        File::create(path).map_err(failed)?.into()
    };
    let number = descriptor.into_raw_fd();
    u32::try_from(number)
        .map_err(|_| Failure::new(format!("--trace: descriptor {number}"), "report this as a bug"))
}
