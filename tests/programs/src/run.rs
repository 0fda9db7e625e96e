//! Running a case: natively, then under the enclave, then comparing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::case::{Body, Case, Compare, Expect};
use crate::compare::{self, Tree};
use crate::process::{self, Output};
use crate::scripted::Bench;
use crate::{fixture, places, prepare};

/// How system calls leave the enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One exit per call.
    Sync,
    /// Through rings.
    Async,
    /// As the runtime chooses.
    Auto,
}

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sync" => Ok(Self::Sync),
            "async" => Ok(Self::Async),
            "auto" => Ok(Self::Auto),
            other => Err(format!("mode {other:?} is none of sync, async, auto")),
        }
    }
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As natively.
    Pass,
    /// It differs, and was not known to.
    Fail(String),
    /// It differs, as the table says.
    Known(String),
    /// The table says that it fails, and it passes.
    UnexpectedPass,
    /// The native run is not as the table says, or the program cannot be built.
    Unusable(String),
}

impl Outcome {
    /// Whether this is as the table says.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        matches!(self, Self::Pass | Self::Known(_))
    }
}

/// The outcome of a case and what was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the case.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Wall time of the native run, in seconds.
    pub native_s: f64,
    /// Wall time of the run in the enclave, in seconds.
    pub scone_s: Option<f64>,
    /// What a script measured: name, natively, in the enclave.
    pub metrics: Vec<(String, f64, Option<f64>)>,
}

impl Report {
    /// Time in the enclave over native time.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        self.scone_s.map(|scone| scone / self.native_s)
    }
}

/// Runs cases with one way of entering the enclave.
#[derive(Clone, Debug)]
pub struct Runner {
    /// Words before the program and its options; empty for native against native.
    prefix: Vec<String>,
    /// Whether `prefix` is `scone run`, and takes options.
    takes_options: bool,
    native_only: bool,
}

/// One side of a comparison.
struct Side {
    output: Output,
    tree: Tree,
    metrics: Vec<(String, f64)>,
}

impl Runner {
    /// A runner as the environment says, in `mode`.
    ///
    /// # Errors
    /// When there is no `scone` and it cannot be built.
    pub fn new(mode: Mode) -> Result<Self> {
        if let Ok(prefix) = std::env::var("SCONE_RUN_PREFIX") {
            let prefix = prefix.split_whitespace().map(str::to_owned).collect();
            return Ok(Self { prefix, takes_options: false, native_only: false });
        }
        let scone = places::scone()?.to_string_lossy().into_owned();
        let mut prefix = vec![scone, "run".to_owned(), "--quiet".to_owned()];
        match mode {
            Mode::Sync => prefix.push("--syscalls=sync".to_owned()),
            Mode::Async => prefix.push("--syscalls=async".to_owned()),
            Mode::Auto => {}
        }
        Ok(Self { prefix, takes_options: true, native_only: false })
    }

    /// A runner that runs natively, once, and compares nothing.
    #[must_use]
    pub fn native() -> Self {
        Self { prefix: Vec::new(), takes_options: false, native_only: true }
    }

    fn prefix_of(&self, case: &Case) -> Vec<String> {
        let mut prefix = self.prefix.clone();
        if self.takes_options {
            prefix.extend(case.scone.iter().map(|option| (*option).to_owned()));
            prefix.push("--".to_owned());
        }
        prefix
    }

    /// Runs `case`.
    #[must_use]
    pub fn run(&self, case: &Case) -> Report {
        let mut report = Report {
            name: case.name.clone(),
            outcome: Outcome::Pass,
            native_s: 0.0,
            scone_s: None,
            metrics: Vec::new(),
        };
        let native = match make_ready(case).and_then(|()| side(case, &[], "native")) {
            Ok(native) => native,
            Err(error) => {
                report.outcome = Outcome::Unusable(format!("{error:#}"));
                return report;
            }
        };
        report.native_s = native.output.time.as_secs_f64();
        report.metrics = native.metrics.iter().map(|(k, v)| (k.clone(), *v, None)).collect();
        if let Some(fault) = native_fault(case, &native.output) {
            report.outcome = Outcome::Unusable(fault);
            return report;
        }
        if self.native_only {
            return report;
        }
        let difference = match side(case, &self.prefix_of(case), "scone") {
            Ok(scone) => {
                report.scone_s = Some(scone.output.time.as_secs_f64());
                for (row, (_, value)) in report.metrics.iter_mut().zip(&scone.metrics) {
                    row.2 = Some(*value);
                }
                compare::outputs(&case.compare, &native.output, &scone.output).or_else(|| {
                    let files = !matches!(case.compare, Compare::Checker(_));
                    files.then(|| native.tree.difference(&scone.tree)).flatten()
                })
            }
            Err(error) => Some(format!("{error:#}")),
        };
        report.outcome = match (difference, case.expect) {
            (None, Expect::Fails(_)) if !self.prefix.is_empty() => Outcome::UnexpectedPass,
            (None, _) => Outcome::Pass,
            (Some(what), Expect::Pass) => {
                Outcome::Fail(format!("{what} [{}]", places::scratch(&case.name).display()))
            }
            (Some(_), Expect::Fails(why)) => Outcome::Known(why.to_owned()),
        };
        report
    }
}

fn make_ready(case: &Case) -> Result<()> {
    fixture::make()?;
    for build in &case.builds {
        prepare::build(build)?;
    }
    Ok(())
}

fn native_fault(case: &Case, output: &Output) -> Option<String> {
    if output.status != Some(case.status) {
        return Some(format!(
            "native run: status {:?} instead of {}; stderr: {}",
            output.status,
            case.status,
            compare::last_lines(&output.stderr)
        ));
    }
    match case.compare {
        Compare::Checker(judge) => judge(output).err().map(|what| format!("native run: {what}")),
        _ => None,
    }
}

fn side(case: &Case, prefix: &[String], label: &str) -> Result<Side> {
    let scratch = places::scratch(&case.name);
    let run = scratch.join("run");
    let kept = scratch.join(format!("run-{label}"));
    for old in [&run, &kept] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("empty {}", old.display()))?;
        }
    }
    fs::create_dir_all(&run).with_context(|| format!("make {}", run.display()))?;
    let mut metrics = Vec::new();
    let output = match &case.body {
        Body::Program(argv) => {
            let (mut command, stdin) = program(case, prefix, argv, &run)?;
            process::run(&mut command, stdin.as_deref(), &scratch.join(label), case.limit)?
        }
        Body::Script(body) => {
            let mut bench = Bench::new(case, prefix, &run, &scratch.join(label));
            let output = bench.output_of(*body);
            metrics = bench.into_metrics();
            output
        }
    };
    let tree = Tree::read(&run)?;
    fs::rename(&run, &kept).with_context(|| format!("keep {}", run.display()))?;
    Ok(Side { output, tree, metrics })
}

fn program(
    case: &Case,
    prefix: &[String],
    argv: &[String],
    run: &Path,
) -> Result<(Command, Option<PathBuf>)> {
    let argv: Vec<String> = argv.iter().map(|a| places::expand(a, run)).collect();
    let mut command = command(prefix, &argv)?;
    command.current_dir(run);
    for (key, value) in &case.env {
        command.env(key, places::expand(value, run));
    }
    let stdin = (!case.stdin.is_empty()).then(|| places::expand(&case.stdin, run).into());
    Ok((command, stdin))
}

/// `prefix` and `argv` as a command in a clean environment.
pub(crate) fn command(prefix: &[String], argv: &[String]) -> Result<Command> {
    let mut words = prefix.iter().chain(argv);
    let Some(first) = words.next() else { bail!("empty command line") };
    let mut command = Command::new(first);
    command.args(words);
    process::clean_environment(&mut command);
    Ok(command)
}

/// The limit of one native helper of a script.
pub(crate) const HELPER_LIMIT: Duration = Duration::from_secs(120);
