//! The `#!` line of a script, as Linux reads it (`fs/binfmt_script.c`).

use core::fmt;

/// Bytes of a file that decide what it is (`BINPRM_BUF_SIZE`).
pub const HEAD_SIZE: usize = 256;

/// How often an interpreter may itself be a script; one more is `ELOOP` (`fs/exec.c`).
pub const MAX_DEPTH: usize = 5;

/// Interpreter and its optional single argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script<'a> {
    /// Path of the interpreter.
    pub interp: &'a [u8],
    /// All that follows on the line, without surrounding blanks, as one argument.
    pub arg: Option<&'a [u8]>,
}

/// Why a `#!` line can't be used; each means `ENOEXEC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptError {
    /// No interpreter is named.
    NoInterpreter,
    /// The interpreter's path may go on after the first 256 bytes.
    TooLong,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInterpreter => write!(f, "script names no interpreter"),
            Self::TooLong => write!(f, "interpreter path doesn't fit the first {HEAD_SIZE} bytes"),
        }
    }
}

impl core::error::Error for ScriptError {}

const fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn trim(mut line: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = line
        && is_blank(*first)
    {
        line = rest;
    }
    while let [rest @ .., last] = line
        && is_blank(*last)
    {
        line = rest;
    }
    line
}

/// Reads the `#!` line at the begin of `file` (of which at most [`HEAD_SIZE`] bytes count).
/// `None` when the file is no script.
///
/// The new arguments are: `interp`, `arg` if any, the script's path, and the old arguments without
/// the first.
///
/// # Errors
///
/// See [`ScriptError`].
pub fn parse(file: &[u8]) -> Result<Option<Script<'_>>, ScriptError> {
    let head = file.get(..HEAD_SIZE).unwrap_or(file);
    let Some(line) = head.strip_prefix(b"#!") else {
        return Ok(None);
    };
    let newline = line.iter().position(|&byte| byte == b'\n');
    let stop = line.iter().position(|&byte| byte == b'\n' || byte == 0);
    // A short file is padded with zeroes, and so ends its own line.
    let open_end = newline.is_none() && head.len() == HEAD_SIZE;
    let line = trim(line.get(..stop.unwrap_or(line.len())).unwrap_or(line));
    let name_end = line.iter().position(|&byte| is_blank(byte));
    if open_end && stop.is_none() && name_end.is_none() {
        return Err(ScriptError::TooLong);
    }
    let (interp, rest) = line.split_at(name_end.unwrap_or(line.len()));
    if interp.is_empty() {
        return Err(ScriptError::NoInterpreter);
    }
    let arg = trim(rest);
    Ok(Some(Script { interp, arg: (!arg.is_empty()).then_some(arg) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script<'a>(
        interp: &'a str,
        arg: Option<&'a str>,
    ) -> Result<Option<Script<'a>>, ScriptError> {
        Ok(Some(Script { interp: interp.as_bytes(), arg: arg.map(str::as_bytes) }))
    }

    #[test]
    fn lines_as_linux_reads_them() {
        assert_eq!(parse(b"\x7fELF"), Ok(None));
        assert_eq!(parse(b"#!/bin/sh\necho"), script("/bin/sh", None));
        assert_eq!(parse(b"#! \t/bin/sh \t \n"), script("/bin/sh", None));
        assert_eq!(parse(b"#!/usr/bin/env -S  a b \nx"), script("/usr/bin/env", Some("-S  a b")));
        assert_eq!(parse(b"#!/bin/sh\r\n"), script("/bin/sh\r", None));
        assert_eq!(parse(b"#!/bin/sh -e"), script("/bin/sh", Some("-e")));
        assert_eq!(parse(b"#!/bin/sh\0junk\n"), script("/bin/sh", None));
        assert_eq!(parse(b"#!"), Err(ScriptError::NoInterpreter));
        assert_eq!(parse(b"#!  \n/bin/sh"), Err(ScriptError::NoInterpreter));
    }

    #[test]
    fn a_path_must_end_in_the_first_256_bytes() {
        let mut long = b"#!/".to_vec();
        long.resize(300, b'a');
        assert_eq!(parse(&long), Err(ScriptError::TooLong));
        long[254] = b' ';
        assert_eq!(
            parse(&long).map(|found| found.map(|script| script.interp.len())),
            Ok(Some(252))
        );
        long.truncate(200);
        assert_eq!(
            parse(&long).map(|found| found.map(|script| script.interp.len())),
            Ok(Some(198))
        );
    }
}
