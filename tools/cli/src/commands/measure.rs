//! `scone measure`

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::image::{Image, layout};
use crate::{Failure, output};

/// Prints the measurement (MRENCLAVE) of the enclave
///
/// It is the same on every machine, in the emulator and on hardware, whatever program runs inside:
/// the runtime is what is measured.
#[derive(Args)]
pub(crate) struct Measure {
    #[command(flatten)]
    image: Image,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    /// 64 hexadecimal digits.
    mrenclave: String,
    /// Pages that are added before EINIT.
    pages: u64,
    /// Bytes of ELRANGE.
    size: u64,
}

impl Measure {
    pub(crate) fn execute(&self) -> Result<ExitCode, Failure> {
        let image = self.image.bytes()?;
        let layout = layout(&image, false)?;
        let mrenclave = layout.measure().to_string();
        if !self.json {
            return output::text_line(&mrenclave);
        }
        let (pages, size) = (layout.page_count(), layout.params().size);
        output::json(&Report { mrenclave, pages, size })
    }
}
