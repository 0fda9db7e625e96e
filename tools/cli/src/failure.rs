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
    /// Exit status: 126 and 127 as a shell has them, 2 for usage, 1 for the rest.
    pub(crate) status: u8,
}

impl Failure {
    /// A failure with exit status 1.
    pub(crate) fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), advice: advice.into(), status: 1 }
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
