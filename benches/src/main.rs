//! Benchmarks of programs in an enclave against the same programs outside.
//!
//! Design principles:
//!
//! * **A ratio belongs to a turn.** In each turn every way runs once, natively among them, so that a
//!   slow minute of the machine hits all; a ratio is taken within a turn, and what is reported is the
//!   median of the turns with the smallest and the largest. A round is one turn, or several where
//!   programs that stay up (servers) are started once for all of them.
//! * **The cost model is part of every figure**: without one, the emulator charges what its own
//!   instructions cost; with one, what was published for processors.
//! * **Load is bounded** by a count or a time, and servers listen on loopback.

mod load;
mod ops;
mod plot;
mod report;
mod servers;
mod stats;
mod suite;
mod uring;
mod way;
mod whole;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};

use crate::report::Report;
use crate::suite::Suite;
use crate::way::Ways;

/// A family of benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Start-up of whole programs, and their memory
    Startup,
    /// Single operations: system calls, pipes, futexes, threads
    Ops,
    /// pwrite with one to eight threads, as the SCONE paper measured it
    Pwrite,
    /// Calls to the host by io_uring and by helper threads, without an enclave
    Uring,
    /// SQLite, whole runs
    Sqlite,
    /// Redis, Memcached, NGINX, lighttpd, Apache, node and Go servers
    Servers,
    /// Servers under a load that rises: throughput against latency
    Curves,
    /// Servers without clients: what they use, and how soon they answer
    Idle,
}

/// Runs benchmarks natively and in the enclave, in turn, and compares.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench")]
struct Cli {
    /// Families to run [default: all]
    #[arg(value_enum)]
    groups: Vec<Group>,
    /// Rounds; the median is reported
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only benchmarks whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Ways into the enclave to compare with native runs
    #[arg(long, value_delimiter = ',', default_value = "sync,async,auto")]
    modes: Vec<way::Mode>,
    /// Cost models of the emulator, each a run of its own
    #[arg(long, value_delimiter = ',', default_value = "off")]
    cost_models: Vec<String>,
    /// Stores the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Takes figures from such a file instead of measuring; may be repeated
    #[arg(long, value_name = "FILE")]
    from: Vec<PathBuf>,
    /// Writes tables (README.md) and plots (SVG) into this folder
    #[arg(long, value_name = "FOLDER")]
    publish: Option<PathBuf>,
    /// The command to measure
    #[arg(long, value_name = "PATH", env = "SCONE")]
    scone: PathBuf,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    ensure!(cli.rounds > 0, "--rounds 0: nothing would be measured");
    let mut report = Report::default();
    for file in &cli.from {
        report.merge(Report::read(file)?);
    }
    if cli.from.is_empty() {
        // Servers start in folders of their own.
        let scone = cli.scone.canonicalize();
        let scone = scone.with_context(|| format!("--scone {}", cli.scone.display()))?;
        for model in &cli.cost_models {
            let ways = Ways::new(&scone, &cli.modes, model);
            let mut suite = Suite::new(ways, cli.rounds, &cli.only)?;
            measure(&mut suite, &cli.groups)?;
            report.merge(suite.into_report());
        }
    }
    report.print();
    if let Some(file) = &cli.json {
        report.write(file)?;
    }
    if let Some(folder) = &cli.publish {
        report.publish(folder)?;
    }
    Ok(())
}

fn measure(suite: &mut Suite, groups: &[Group]) -> Result<()> {
    let wanted = |group| groups.is_empty() || groups.contains(&group);
    if wanted(Group::Startup) {
        whole::startup(suite)?;
    }
    if wanted(Group::Ops) {
        ops::single(suite)?;
    }
    if wanted(Group::Pwrite) {
        ops::pwrite(suite)?;
    }
    if wanted(Group::Uring) {
        uring::all(suite)?;
    }
    if wanted(Group::Sqlite) {
        whole::sqlite(suite)?;
    }
    if wanted(Group::Servers) {
        servers::steady(suite)?;
    }
    if wanted(Group::Curves) {
        servers::curves(suite)?;
    }
    if wanted(Group::Idle) {
        servers::idle(suite)?;
    }
    Ok(())
}
