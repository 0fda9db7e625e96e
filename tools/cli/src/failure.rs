//! The one way in which a command fails: a line for a person, and an exit status.

use std::fmt;

use anstyle::{AnsiColor, Style};

const NAME: Style = AnsiColor::Red.on_default().bold();

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What happened, naming the wrong value.
    pub(crate) what: String,
    /// What the person may do about it.
    pub(crate) advice: String,
    /// Exit status: 126 and 127 as a shell has them, 2 for usage, 125 for a
    /// run that fails before its program, 1 for the rest.
    pub(crate) status: u8,
}

impl Failure {
    /// Exit status for what was asked in a way that cannot be done.
    pub(crate) const USAGE: u8 = 2;
    /// Exit status of `scone run` when it fails itself, before there is a program.
    pub(crate) const START: u8 = 125;

    /// A failure with exit status 1.
    pub(crate) fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), advice: advice.into(), status: 1 }
    }

    /// The same failure with another exit status.
    pub(crate) fn with_status(self, status: u8) -> Self {
        Self { status, ..self }
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let what = format!("{}: {error}", path.display());
        Self::new(what, "check the path and its permissions")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, advice, .. } = self;
        write!(f, "{NAME}scone:{NAME:#} {what}; {advice}")
    }
}
