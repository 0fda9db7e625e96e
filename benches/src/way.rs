//! Ways of running a program: natively, or in the enclave with one mode of system calls.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::ops::compile_c;

/// How system calls leave the enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// One exit per call
    Sync,
    /// Through rings
    Async,
    /// As the runtime chooses
    Auto,
    /// No enclave, but Syscall User Dispatch switched on: what the emulator cannot do without
    Sud,
}

/// One way of running, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    Native,
    /// Without an enclave, with Syscall User Dispatch switched on.
    Sud,
    Sync,
    Async,
    Auto,
    /// Of a call to the host, without an enclave: by io_uring, whose kernel thread polls.
    SqPoll,
    /// By a helper thread, which submits all it finds to io_uring.
    Batched,
    /// By a helper thread, which makes the calls itself.
    Handed,
}

/// Ways of a call to the host.
pub(crate) const OF_HOST: &[Way] = &[Way::Native, Way::Sud, Way::SqPoll, Way::Batched, Way::Handed];

impl Way {
    /// Whether there is no enclave.
    pub(crate) const fn is_native(self) -> bool {
        matches!(self, Self::Native | Self::Sud)
    }

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
    /// What [`Way::Sud`] has programs load first (`c/sud.c`).
    sud: Option<PathBuf>,
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
            Mode::Sud => Way::Sud,
        };
        let all = std::iter::once(Way::Native).chain(modes.iter().map(of_mode)).collect();
        Self { scone: scone.to_owned(), sud: None, all, model: model.to_owned() }
    }

    /// Builds what the ways need in `folder`.
    ///
    /// # Errors
    ///
    /// If there is no compiler.
    pub(crate) fn prepare(&mut self, folder: &Path) -> Result<()> {
        if self.all.contains(&Way::Sud) {
            self.sud = Some(compile_c(folder, "sud", &["-shared", "-fPIC"])?);
        }
        Ok(())
    }

    /// The ways of a program that is linked statically: it loads nothing.
    pub(crate) fn of_static(&self) -> Vec<Way> {
        self.all.iter().copied().filter(|&way| way != Way::Sud).collect()
    }

    /// `words` as a command; `options` go to `scone run`.
    pub(crate) fn command(&self, way: Way, options: &[String], words: &[String]) -> Command {
        let (program, arguments) = words.split_first().expect("a command has a program");
        if way.is_native() {
            let mut command = Command::new(program);
            command.args(arguments);
            if way == Way::Sud {
                command.env("LD_PRELOAD", self.sud.as_ref().expect("ways are prepared"));
            }
            return command;
        }
        let mut command = Command::new(&self.scone);
        command.args(["run", "--quiet", "--backend", "emu", "--syscalls", way.name()]);
        command.args(["--cost-model", &self.model]).args(options).arg("--").args(words);
        command
    }
}
