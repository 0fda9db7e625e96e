//! `scone man`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};

use crate::Failure;
use crate::commands::Cli;

/// Writes the man pages, one for each command
#[derive(Args)]
pub(crate) struct Man {
    /// Folder to write them into
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
}

impl Man {
    pub(crate) fn execute(&self) -> Result<ExitCode, Failure> {
        clap_mangen::generate_to(Cli::command(), &self.out)
            .map_err(|e| Failure::file(&self.out, &e))?;
        Ok(ExitCode::SUCCESS)
    }
}
