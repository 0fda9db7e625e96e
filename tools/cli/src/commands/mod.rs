//! The commands, one file each.

mod check;
mod completions;
mod inspect;
mod man;
mod measure;
mod run;
mod sign;
mod syscalls;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::Failure;

const AFTER: &str = "\
Examples:
  scone check                           what this machine offers
  scone run -- python3 -c 'print(1)'    a program of yours, in an enclave
  scone run --stats -- redis-server     and where its time went

Exit status: of the program (128+N for a signal N is passed on by dying of it); 127 when it is not
found, 126 when it cannot be run, 2 for wrong usage.";

/// Runs unmodified Linux programs in SGX enclaves
///
/// The program needs no manifest, no recompilation and no configuration. It runs in an enclave of
/// the processor, or, where there is none, in an emulated one that gives no protection.
#[derive(Parser)]
#[command(name = "scone", version, propagate_version = true, after_help = AFTER)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(Box<run::Run>),
    Check(check::Check),
    Measure(measure::Measure),
    Sign(sign::Sign),
    Inspect(inspect::Inspect),
    Syscalls(syscalls::Syscalls),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Cli {
    /// Does what was asked.
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Run(command) => command.execute(),
            Command::Check(command) => command.execute(),
            Command::Measure(command) => command.execute(),
            Command::Sign(command) => command.execute(),
            Command::Inspect(command) => command.execute(),
            Command::Syscalls(command) => command.execute(),
            Command::Completions(command) => command.execute(),
            Command::Man(command) => command.execute(),
        }
    }
}
