//! Benchmarks against native runs: each round runs every variant once, so that a slow minute of the
//! machine hits all of them; what is printed are medians.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Serialize;

const PYTHON_HELLO: &[&str] = &["/usr/bin/python3", "-c", "print('hello')"];
const PYTHON_SLEEP: &[&str] = &["/usr/bin/python3", "-c", "import time; time.sleep(3)"];
/// How long a sleeping program is given before its memory is read.
const SETTLE: Duration = Duration::from_millis(1500);

#[derive(Args)]
pub(crate) struct Options {
    /// Rounds per benchmark; the median is taken
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// The cost model that scone runs under
    #[arg(long, default_value = "off")]
    cost_model: String,
    /// Prints one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// This command instead of a fresh release build
    #[arg(long, value_name = "PATH")]
    scone: Option<PathBuf>,
}

/// One line of the result.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    unit: &'static str,
    native: f64,
    scone: f64,
}

#[derive(Serialize)]
struct Report {
    cost_model: String,
    rounds: usize,
    rows: Vec<Row>,
}

/// Runs all benchmarks and prints them.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.rounds > 0, "--rounds 0: nothing would be measured");
    let bench = Bench { scone: scone(options)?, options };
    let mut rows = vec![
        bench.start_up("start-up: /bin/true", &["/bin/true"])?,
        bench.start_up("start-up: python3 hello", PYTHON_HELLO)?,
        bench.memory("memory: sleep", &["/bin/sleep", "3"])?,
        bench.memory("memory: python3", PYTHON_SLEEP)?,
    ];
    for (name, flags) in [
        ("getppid: through libc", &[][..]),
        ("getppid: inlined instruction", &["-DINLINED"][..]),
        ("getppid: static", &["-static"][..]),
    ] {
        rows.push(bench.getppid(name, flags)?);
    }
    let report = Report { cost_model: options.cost_model.clone(), rounds: options.rounds, rows };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print_table(&report);
    }
    Ok(())
}

fn print_table(report: &Report) {
    println!("cost model {}, medians of {} rounds", report.cost_model, report.rounds);
    println!("{:32} {:>10} {:>10} {:>8} {:>10}", "", "native", "scone", "ratio", "more");
    for Row { name, unit, native, scone } in &report.rows {
        let (ratio, more) = (scone / native, scone - native);
        println!("{name:32} {native:>10.2} {scone:>10.2} {ratio:>8.2} {more:>10.2} {unit}");
    }
}

/// Builds the command in release, unless one was given.
fn scone(options: &Options) -> Result<PathBuf> {
    if let Some(path) = &options.scone {
        return Ok(path.clone());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--package", "scone"]).current_dir(xtask::root());
    ensure!(build.status()?.success(), "cargo build --release --package scone failed");
    Ok(target_dir()?.join("release/scone"))
}

/// The folder that this very program was built into.
fn target_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    exe.ancestors().nth(2).map(Path::to_owned).context("xtask runs from outside a target folder")
}

struct Bench<'a> {
    scone: PathBuf,
    options: &'a Options,
}

impl Bench<'_> {
    fn command(&self, inside: bool, words: &[&str]) -> Command {
        let mut command = if inside {
            let mut scone = Command::new(&self.scone);
            scone.args(["run", "--quiet", "--backend", "emu", "--cost-model"]);
            scone.arg(&self.options.cost_model).arg("--").arg(words[0]);
            scone
        } else {
            Command::new(words[0])
        };
        command.args(&words[1..]).stdin(Stdio::null());
        command
    }

    /// Medians of `sample(inside)`, native and inside in turn.
    fn interleaved(&self, mut sample: impl FnMut(bool) -> Result<f64>) -> Result<(f64, f64)> {
        let (mut native, mut inside) = (Vec::new(), Vec::new());
        // The first pair warms the page cache and is thrown away.
        for round in 0..=self.options.rounds {
            let pair = (sample(false)?, sample(true)?);
            if round > 0 {
                native.push(pair.0);
                inside.push(pair.1);
            }
        }
        Ok((median(native), median(inside)))
    }

    fn start_up(&self, name: &'static str, words: &[&str]) -> Result<Row> {
        let (native, scone) = self.interleaved(|inside| {
            let mut command = self.command(inside, words);
            let start = Instant::now();
            let status = command.stdout(Stdio::null()).status()?;
            let elapsed = start.elapsed();
            ensure!(status.success(), "{command:?}: {status}");
            Ok(elapsed.as_secs_f64() * 1e3)
        })?;
        Ok(Row { name, unit: "ms", native, scone })
    }

    fn memory(&self, name: &'static str, words: &[&str]) -> Result<Row> {
        let sample = |inside| {
            let mut child = self.command(inside, words).stdout(Stdio::null()).spawn()?;
            sleep(SETTLE);
            let kilobytes = resident(child.id());
            child.kill()?;
            child.wait()?;
            Ok::<f64, anyhow::Error>(kilobytes? / 1024.0)
        };
        Ok(Row { name, unit: "MB resident", native: sample(false)?, scone: sample(true)? })
    }

    fn getppid(&self, name: &'static str, flags: &[&str]) -> Result<Row> {
        let program = compile("getppid", flags)?;
        let words = [program.to_str().context("target folder is not UTF-8")?];
        let (native, scone) = self.interleaved(|inside| {
            let output = self.command(inside, &words).stderr(Stdio::inherit()).output()?;
            ensure!(output.status.success(), "{}: {}", words[0], output.status);
            Ok(String::from_utf8(output.stdout)?.trim().parse()?)
        })?;
        Ok(Row { name, unit: "ns/call", native, scone })
    }
}

/// Resident kilobytes of a live process.
fn resident(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let Some(kilobytes) = line.and_then(|l| l.split_whitespace().next()) else {
        bail!("{path} has no VmRSS: the program ended early");
    };
    Ok(kilobytes.parse()?)
}

fn compile(name: &str, flags: &[&str]) -> Result<PathBuf> {
    let folder = target_dir()?.join("benches");
    std::fs::create_dir_all(&folder)?;
    let output = folder.join(format!("{name}{}", flags.concat()));
    let source = xtask::root().join("benches").join(format!("{name}.c"));
    let mut cc = Command::new("cc");
    cc.arg("-O2").args(flags).arg(source).arg("-o").arg(&output);
    let status = cc.status().context("cannot start cc: install gcc")?;
    ensure!(status.success(), "{cc:?}: {status}");
    Ok(output)
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let half = samples.len() / 2;
    if samples.len().is_multiple_of(2) {
        (samples[half - 1] + samples[half]) / 2.0
    } else {
        samples[half]
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn median_of_odd_and_even() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
