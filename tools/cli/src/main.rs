//! `scone`: runs unmodified Linux programs in SGX enclaves.
//!
//! One file per command under `commands/`. A command answers an exit status, or a [`Failure`] that
//! is printed as one line: what happened, and what to do.

mod commands;
mod failure;
mod image;
mod output;
mod place;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Cli;
use crate::failure::Failure;

fn main() -> ExitCode {
    abort_on_panic();
    match place::settle().and_then(|()| Cli::parse().execute()) {
        Ok(status) => status,
        Err(failure) => {
            anstream::eprintln!("{failure}");
            ExitCode::from(failure.status)
        }
    }
}

/// A panic ends the whole process, and never one thread of many that others wait for. (The profile's
/// `panic = "abort"` would not hold for tests, and everything would be built twice.)
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}
