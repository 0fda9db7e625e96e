//! Printing for people and for programs.

use std::process::ExitCode;

use serde::Serialize;

use crate::Failure;

/// Prints `value` as indented JSON on standard output.
pub(crate) fn json(value: &impl Serialize) -> Result<ExitCode, Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Failure::new(format!("cannot write JSON: {e}"), "report this as a bug"))?;
    text_line(&text)
}

/// Prints one text and a newline on standard output; a reader that has gone away is no failure.
pub(crate) fn text_line(text: &str) -> Result<ExitCode, Failure> {
    use std::io::{ErrorKind, Write};
    match writeln!(anstream::stdout(), "{text}") {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("standard output: {e}"), "check where it leads"))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
