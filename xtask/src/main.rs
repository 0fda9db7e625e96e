//! `cargo xtask`: the chores of this repository, the same on a desk and in CI.

mod cargo;
mod fuzz;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// The chores of this repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Builds everything: the enclave image, the command, the benchmarks' programs
    Build,
    /// Formatting, clippy, documentation and the repository's own rules
    Check,
    /// All tests, of the outside and of the enclave; further words go to the test runner
    Test {
        /// Options and filters of nextest (or of cargo test, when nextest is missing)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        filters: Vec<String>,
    },
    /// Writes TCB.md anew
    Tcb,
    /// Writes everything that is generated: TCB.md, the list of system calls, lower counts
    Generate,
    /// Writes down the counts that may only go down, where they have fallen
    Ratchet {
        /// Writes higher ones as well
        #[arg(long)]
        raise: bool,
    },
    /// Benchmarks against native runs; further words go to them (`-- --help` lists them)
    Bench {
        /// Families and options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Runs fuzz targets; all, if none is named
    Fuzz {
        /// How long each runs
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Names of files in fuzz/fuzz_targets
        targets: Vec<String>,
    },
    /// What CI runs: check, then test
    Ci,
}

fn main() -> Result<()> {
    match Cli::parse().chore {
        Chore::Build => cargo::build(),
        Chore::Check => cargo::check(),
        Chore::Test { filters } => cargo::test(&filters),
        Chore::Tcb => write_tcb(),
        Chore::Generate => {
            write_tcb()?;
            cargo::write_syscalls()?;
            xtask::ratchet::write(false)
        }
        Chore::Ratchet { raise } => xtask::ratchet::write(raise),
        Chore::Bench { words } => cargo::bench(&words),
        Chore::Fuzz { seconds, targets } => fuzz::fuzz(seconds, &targets),
        Chore::Ci => {
            cargo::check()?;
            cargo::test(&[])
        }
    }
}

fn write_tcb() -> Result<()> {
    let path = xtask::root().join("TCB.md");
    std::fs::write(&path, xtask::tcb::render()?).with_context(|| format!("{}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}
