//! Ways of running a program: natively, or in the enclave with one mode of system calls.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How system calls leave the enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// One exit per call
    Sync,
    /// Through rings
    Async,
    /// As the runtime chooses
    Auto,
}

/// One way of running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    Native,
    Sync,
    Async,
    Auto,
    /// Of a call to the host, without an enclave: by the thread itself, which has Syscall User
    /// Dispatch switched on.
    Sud,
    /// By io_uring, whose kernel thread polls.
    SqPoll,
    /// By a helper thread, which submits all it finds to io_uring.
    Batched,
    /// By a helper thread, which makes the calls itself.
    Handed,
}

/// Ways of a call to the host.
pub(crate) const OF_HOST: &[Way] = &[Way::Native, Way::Sud, Way::SqPoll, Way::Batched, Way::Handed];

impl Way {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Sync => "sync",
            Self::Async => "async",
            Self::Auto => "auto",
            Self::Sud => "sud",
            Self::SqPoll => "sqpoll",
            Self::Batched => "batched",
            Self::Handed => "handed",
        }
    }
}

/// The ways of one run of benchmarks.
pub(crate) struct Ways {
    scone: PathBuf,
    /// Native first.
    pub(crate) all: Vec<Way>,
    /// The cost model of the emulator.
    pub(crate) model: String,
}

impl Ways {
    pub(crate) fn new(scone: &Path, modes: &[Mode], model: &str) -> Self {
        let of_mode = |mode: &Mode| match mode {
            Mode::Sync => Way::Sync,
            Mode::Async => Way::Async,
            Mode::Auto => Way::Auto,
        };
        let all = std::iter::once(Way::Native).chain(modes.iter().map(of_mode)).collect();
        Self { scone: scone.to_owned(), all, model: model.to_owned() }
    }

    /// `words` as a command; `options` go to `scone run`.
    pub(crate) fn command(&self, way: Way, options: &[String], words: &[String]) -> Command {
        let (program, arguments) = words.split_first().expect("a command has a program");
        if way == Way::Native {
            let mut command = Command::new(program);
            command.args(arguments);
            return command;
        }
        let mut command = Command::new(&self.scone);
        command.args(["run", "--quiet", "--backend", "emu", "--syscalls", way.name()]);
        command.args(["--cost-model", &self.model]).args(options).arg("--").args(words);
        command
    }
}
