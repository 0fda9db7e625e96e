//! `programs`: lists, installs and runs the acceptance cases.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use programs::{Mode, Runner, Tier, install, report, table};
use regex::Regex;

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
    },
}

fn main() -> Result<ExitCode> {
    match Options::parse().command {
        Action::List { filter } => {
            for case in table::all().iter().filter(|c| filter.is_match(&c.name)) {
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
            let installed = install::install(&install::packages(&table::all()))?;
            println!("installed {} packages: {}", installed.len(), installed.join(" "));
            Ok(ExitCode::SUCCESS)
        }
        Action::Run { filter, mode, json, native_only, quick } => {
            let runner = if native_only {
                Runner::native()
            } else {
                Runner::new(mode).context("find scone")?
            };
            let mut reports = Vec::new();
            for case in table::all() {
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
