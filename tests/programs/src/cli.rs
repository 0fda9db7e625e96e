//! The command line of a suite: list, install, run.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use regex::Regex;

use crate::{Case, Mode, Runner, Tier, install, report};

#[derive(Parser)]
#[command(about = "Real programs, natively and inside the enclave, compared", version)]
struct Options {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the cases: name, tier, expectation, command line
    List {
        /// Only cases whose name matches this regular expression
        #[arg(long, default_value = "")]
        filter: Regex,
    },
    /// Install the Debian packages that the cases need
    Install,
    /// Run cases, print a table, end with status 1 if any is not as expected
    Run {
        /// Only cases whose name matches this regular expression
        #[arg(long, default_value = "")]
        filter: Regex,
        /// How system calls leave the enclave
        #[arg(long, default_value = "auto")]
        mode: Mode,
        /// Store the reports here
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Run natively only
        #[arg(long)]
        native_only: bool,
        /// Leave the heavy cases out
        #[arg(long)]
        quick: bool,
        /// Give no case more than this many seconds
        #[arg(long, value_name = "SECONDS")]
        limit: Option<u64>,
    },
}

/// Does what the command line says with `cases`.
///
/// # Errors
/// When there is no `scone`, packages cannot be installed, or the report cannot be stored.
pub fn main(cases: Vec<Case>) -> Result<ExitCode> {
    match Options::parse().command {
        Action::List { filter } => {
            for case in cases.iter().filter(|c| filter.is_match(&c.name)) {
                println!(
                    "{:44} {:?} {:?}  {}",
                    case.name,
                    case.tier,
                    case.expect,
                    case.command_line()
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Install => {
            let installed = install::install(&install::packages(&cases))?;
            println!("installed {} packages: {}", installed.len(), installed.join(" "));
            Ok(ExitCode::SUCCESS)
        }
        Action::Run { filter, mode, json, native_only, quick, limit } => {
            let runner = if native_only {
                Runner::native()
            } else {
                Runner::new(mode).context("find scone")?
            };
            let mut reports = Vec::new();
            for mut case in cases {
                if let Some(limit) = limit {
                    case.limit = case.limit.min(Duration::from_secs(limit));
                }
                if filter.is_match(&case.name) && !(quick && case.tier == Tier::Full) {
                    let done = runner.run(&case);
                    println!("{}", report::line(&done));
                    reports.push(done);
                }
            }
            println!("{}", report::summary(&reports));
            if let Some(path) = json {
                report::store(&reports, &path)?;
            }
            let good = reports.iter().all(|r| r.outcome.is_expected());
            Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}
