//! `scone check`

mod machine;

use std::fmt::Write as _;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::Serialize;

use crate::{Failure, output};
use machine::{Fact, State};

/// Says what this machine offers, and what follows
#[derive(Args)]
pub(crate) struct Check {
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    /// What `--backend auto` takes: `sgx`, `emu`, or nothing.
    backend: Option<&'static str>,
    /// Whether a program that runs here is protected from this machine.
    protected: bool,
    follows: &'static str,
    facts: Vec<Fact>,
}

impl Check {
    pub(crate) fn execute(&self) -> Result<ExitCode, Failure> {
        let report = Report::new(machine::facts());
        if self.json { output::json(&report) } else { output::text_line(&report.render()) }
    }
}

impl Report {
    fn new(facts: Vec<Fact>) -> Self {
        let has = |names: &[&str]| {
            names.iter().all(|n| facts.iter().any(|f| f.name == *n && f.state == State::Yes))
        };
        let (backend, follows) = if has(machine::NEEDED_BY_SGX) {
            (Some("sgx"), "Programs run in SGX enclaves and are protected from this machine.")
        } else if has(machine::NEEDED_BY_EMULATOR) {
            (Some("emu"), "Programs run in emulated enclaves, which give NO protection.")
        } else {
            (None, "Programs cannot run here: see the lines marked `no`.")
        };
        Self { backend, protected: backend == Some("sgx"), follows, facts }
    }

    fn render(&self) -> String {
        let mut text = String::new();
        for Fact { name, state, found, follows } in &self.facts {
            let (style, word) = shown(*state);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{style}{word:>5}{style:#}  {name:22} {found}");
            if !follows.is_empty() {
                let _ = writeln!(text, "{:30}{follows}", "");
            }
        }
        let _ = write!(text, "\n{}", self.follows);
        text
    }
}

fn shown(state: State) -> (Style, &'static str) {
    match state {
        State::Yes => (AnsiColor::Green.on_default(), "yes"),
        State::No => (AnsiColor::Red.on_default(), "no"),
        State::Note => (AnsiColor::Cyan.on_default(), "note"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(names: &[&'static str]) -> Report {
        let fact = |name: &&'static str| Fact::new(name, State::Yes, "found", "");
        Report::new(names.iter().map(fact).collect())
    }

    #[test]
    fn prefers_hardware_and_needs_all_of_it() {
        let all = [machine::NEEDED_BY_SGX, machine::NEEDED_BY_EMULATOR].concat();
        assert_eq!(report(&all).backend, Some("sgx"));
        assert!(report(&all).protected);
        assert_eq!(report(machine::NEEDED_BY_EMULATOR).backend, Some("emu"));
        assert!(!report(machine::NEEDED_BY_EMULATOR).protected);
        assert_eq!(report(&machine::NEEDED_BY_EMULATOR[1..]).backend, None);
    }

    #[test]
    fn every_needed_fact_is_looked_for() {
        let names: Vec<_> = machine::facts().iter().map(|f| f.name).collect();
        for needed in machine::NEEDED_BY_SGX.iter().chain(machine::NEEDED_BY_EMULATOR) {
            assert!(names.contains(needed), "{needed}");
        }
    }
}
