//! `scone`: runs unmodified Linux programs in SGX enclaves.
//!
//! One file per command under `commands/`. A command answers an exit status, or a [`Failure`] that
//! is printed as one line: what happened, and what to do.

mod commands;
mod failure;
mod image;
mod output;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Cli;
use crate::failure::Failure;

fn main() -> ExitCode {
    match Cli::parse().execute() {
        Ok(status) => status,
        Err(failure) => {
            anstream::eprintln!("{failure}");
            ExitCode::from(failure.status)
        }
    }
}
