//! `scone completions`

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::Failure;
use crate::commands::Cli;

/// Prints completions for a shell
///
/// For bash: `scone completions bash > ~/.local/share/bash-completion/completions/scone`
#[derive(Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn execute(&self) -> Result<ExitCode, Failure> {
        clap_complete::generate(self.shell, &mut Cli::command(), "scone", &mut std::io::stdout());
        Ok(ExitCode::SUCCESS)
    }
}
