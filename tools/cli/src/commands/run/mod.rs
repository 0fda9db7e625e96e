//! `scone run`

mod environment;
mod ephemeral;
mod program;
mod size;
mod trace;

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use hostcall_abi::layout::TCS_COUNT;
use launcher::{BackendChoice, CostModel, Ephemeral, Kind, LaunchError, Mode, Options};

use crate::image::{layout, read};
use crate::{Failure, output, place};

const AFTER: &str = "\
Examples:
  scone run -- ls -l
  scone run --env PATH --clear-env -- env
  scone run --stats --trace=calls.txt -- sqlite3 data.db
  scone run --ephemeral /tmp:256M -- sqlite3 /tmp/data.db
  scone run --cost-model skylake-mitigated -- redis-server

Exit status: of the program; a signal that ended it ends scone as well. 127: not found; 126: cannot be
run; 2: wrong usage; 125: the enclave could not be started.";

/// Runs a program in an enclave
///
/// The program and its libraries are those of this machine, unmodified. Standard input and output,
/// working directory, environment, exit status and signals are those of a run without scone.
#[derive(Args)]
#[command(after_help = AFTER)]
pub(crate) struct Run {
    /// What runs the enclave
    #[arg(long, value_enum, value_name = "BACKEND", default_value = "auto", help_heading = ENCLAVE)]
    backend: Backend,
    /// Costs of a real processor, which the emulator then adds
    #[arg(long, value_name = "MODEL", default_value = "off", help_heading = ENCLAVE,
          long_help = cost_models())]
    cost_model: String,
    /// An enclave that debuggers may look into (the default)
    #[arg(long, conflicts_with = "production", help_heading = ENCLAVE)]
    debug: bool,
    /// An enclave that nobody may look into; needs a signature of yours
    #[arg(long, requires = "sigstruct", help_heading = ENCLAVE)]
    production: bool,
    /// Signature of the enclave, as `scone sign` writes it
    #[arg(long, value_name = "FILE", help_heading = ENCLAVE)]
    sigstruct: Option<PathBuf>,
    /// Prints MRENCLAVE and stops
    #[arg(long, help_heading = ENCLAVE)]
    measure: bool,

    /// How system calls leave the enclave
    #[arg(long, value_enum, value_name = "MODE", default_value = "auto", help_heading = RESOURCES)]
    syscalls: Leaving,
    /// Enclave threads (at most 16); any number of the program's threads share them [default: one
    /// for each processor]
    #[arg(long, value_name = "N", help_heading = RESOURCES,
          value_parser = clap::value_parser!(u64).range(1..=TCS_COUNT))]
    threads: Option<u64>,
    /// Most host threads that make asynchronous calls (at most 16); those that have nothing to do
    /// sleep [default: one for each two processors]
    #[arg(long, value_name = "N", help_heading = RESOURCES,
          value_parser = clap::value_parser!(u64).range(1..=TCS_COUNT))]
    host_threads: Option<u64>,
    /// Limit of the program's memory, such as 512M or 4G [default: what the machine has]
    #[arg(long, value_name = "SIZE", value_parser = size::parse, help_heading = RESOURCES)]
    heap: Option<u64>,

    /// Keeps what is below PATH in the enclave's memory, gone at the end; may be given several times
    /// [default SIZE: 1G]
    #[arg(long, value_name = "PATH[:SIZE]", value_parser = ephemeral::parse, help_heading = PROGRAM)]
    ephemeral: Vec<Ephemeral>,
    /// Sets a variable, or with a name alone takes it over from here
    #[arg(long, value_name = "NAME[=VALUE]", help_heading = PROGRAM)]
    env: Vec<OsString>,
    /// Takes no variables over but those named by --env
    #[arg(long, help_heading = PROGRAM)]
    clear_env: bool,
    /// Working directory
    #[arg(long, value_name = "FOLDER", help_heading = PROGRAM)]
    cwd: Option<PathBuf>,

    /// Reports at the end where time went, and which calls were not supported
    #[arg(long, value_enum, value_name = "FORM", num_args = 0..=1, require_equals = true,
          default_missing_value = "text", help_heading = REPORTS)]
    stats: Option<Stats>,
    /// Writes a line for each system call, to standard error or to a file: of debug enclaves only
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true,
          default_missing_value = "-", conflicts_with = "production", help_heading = REPORTS)]
    trace: Option<PathBuf>,
    /// Leaves out the line which says that an emulated enclave protects nothing
    #[arg(long, short, help_heading = REPORTS)]
    quiet: bool,

    /// The program and its arguments
    #[arg(trailing_var_arg = true, value_name = "PROGRAM", required_unless_present = "measure")]
    command: Vec<OsString>,
}

const ENCLAVE: &str = "Enclave";
const RESOURCES: &str = "Resources";
const PROGRAM: &str = "Program";
const REPORTS: &str = "Reports";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backend {
    /// The processor where it can, else the emulator
    Auto,
    /// The processor
    Sgx,
    /// The emulator, which gives no protection
    Emu,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Leaving {
    /// The runtime compares, and keeps what gets more done
    Auto,
    /// Each call leaves the enclave by itself, at once
    Sync,
    /// Host threads make the calls while the enclave goes on; what need not be at once leaves with the next
    Async,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stats {
    Text,
    Json,
}

impl Run {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        if self.measure {
            let mrenclave = layout(enclave_image::IMAGE, !self.production)?.measure();
            return output::text_line(&mrenclave.to_string());
        }
        let quiet = self.quiet;
        let options = self.options()?;
        let announce = |kind| {
            if kind == Kind::Emulated && !quiet {
                banner(&options);
            }
        };
        let never: Infallible = launcher::run(&options, announce).map_err(failed)?;
        match never {}
    }

    fn options(self) -> Result<Options, Failure> {
        if let Some(folder) = &self.cwd {
            std::env::set_current_dir(folder)
                .map_err(|e| Failure::file(folder, &e).with_status(Failure::USAGE))?;
        }
        let cost_model = CostModel::load(&self.cost_model).map_err(|e| {
            let advice = "scone run --help describes the models";
            Failure::new(first_line(&e.to_string()), advice).with_status(Failure::USAGE)
        })?;
        let heap = size::check(self.heap)?;
        let sigstruct = self.sigstruct.as_deref().map(read).transpose()?;
        let trace = self.trace.as_deref().map(trace::open).transpose()?;
        let here = std::env::vars_os().filter(|(name, _)| name != place::LIMIT_BEFORE);
        let env = environment::build(self.clear_env, &self.env, here)?;
        Ok(Options {
            program: program::find(&self.command, &env)?,
            args: self.command,
            env,
            backend: match self.backend {
                Backend::Auto => BackendChoice::Auto,
                Backend::Sgx => BackendChoice::Sgx,
                Backend::Emu => BackendChoice::Emulator,
            },
            mode: match self.syscalls {
                Leaving::Auto => Mode::Auto,
                Leaving::Sync => Mode::Sync,
                Leaving::Async => Mode::Async,
            },
            threads: self.threads.unwrap_or(0),
            host_threads: self.host_threads.unwrap_or(0),
            heap,
            debug: !self.production,
            sigstruct,
            ephemeral: ephemeral::check(self.ephemeral)?,
            stats: self.stats.is_some(),
            stats_json: self.stats == Some(Stats::Json),
            trace,
            cost_model,
            tamper: None,
        })
    }
}

fn cost_models() -> String {
    let [off, rest @ ..] = CostModel::NAMES;
    format!(
        "Costs of a real processor, which the emulator then adds by waiting: {off}, {}, or a TOML \
         file with eenter, eexit, aex, eresume and epc_fault in cycles",
        rest.join(", ")
    )
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn banner(options: &Options) {
    let model = match options.cost_model.name.as_str() {
        "off" => String::new(),
        name => format!(", costs of {name}"),
    };
    anstream::eprintln!(
        "scone: emulated enclave{model}: NO PROTECTION from this machine (see scone check)"
    );
}

fn failed(error: LaunchError) -> Failure {
    let (advice, status) = match &error {
        LaunchError::NoBackend(_) => ("scone check says what is missing", Failure::START),
        LaunchError::NoSignature | LaunchError::BadSignature(_) => {
            ("scone sign makes a SIGSTRUCT for --sigstruct", Failure::USAGE)
        }
        LaunchError::Nul(_) => ("leave it out", Failure::USAGE),
        LaunchError::Memory(_) => ("free memory, or raise the container's limit", Failure::START),
        LaunchError::Refused(_) => {
            ("scone inspect shows image and signature; do they belong together?", Failure::START)
        }
        _ => ("report this as a bug", Failure::START),
    };
    Failure::new(error.to_string(), advice).with_status(status)
}
