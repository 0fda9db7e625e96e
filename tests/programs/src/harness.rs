//! Every case as a test of its own, for `cargo test` and nextest.

use std::env;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::{Case, Mode, Runner, Tier, report};

/// Runs `cases` as the test harness's command line says.
#[must_use]
pub fn main(cases: Vec<Case>) -> ExitCode {
    let arguments = Arguments::from_args();
    let full = env::var("PROGRAMS_TIER").is_ok_and(|tier| tier == "full");
    let trials = cases
        .into_iter()
        .map(|case| {
            let skip = case.tier == Tier::Full && !full;
            Trial::test(case.name.clone(), move || judge(&case)).with_ignored_flag(skip)
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn judge(case: &Case) -> Result<(), Failed> {
    let mode = env::var("PROGRAMS_MODE").map_or(Ok(Mode::Auto), |text| text.parse::<Mode>())?;
    let done = Runner::new(mode).map_err(|error| format!("{error:#}"))?.run(case);
    let line = report::line(&done);
    if done.outcome.is_expected() { Ok(()) } else { Err(line.into()) }
}
