//! `hostile-host LIE auto|sync|async PROGRAM ARGUMENTS`: runs a program in an enclave, on a host that lies.

use std::{env, process::ExitCode};

use anyhow::{Context, Result, bail};
use launcher::{BackendChoice, CostModel, Mode, Options};

fn options() -> Result<Options> {
    let mut words = env::args_os().skip(1);
    let mut text = || words.next().and_then(|word| word.into_string().ok());
    let lie = text().context("which lie?")?;
    let mode = match text().as_deref() {
        Some("auto") => Mode::Auto,
        Some("sync") => Mode::Sync,
        Some("async") => Mode::Async,
        other => bail!("calls leave auto, sync or async, not {other:?}"),
    };
    let args: Vec<_> = words.collect();
    Ok(Options {
        program: args.first().context("which program?")?.clone(),
        args,
        env: Vec::new(),
        backend: BackendChoice::Emulator,
        mode,
        threads: 2,
        host_threads: 1,
        heap: 1 << 30,
        debug: true,
        sigstruct: None,
        stats: false,
        stats_json: false,
        trace: None,
        cost_model: CostModel::off(),
        ephemeral: Vec::new(),
        tamper: Some(hostile_host::parse(&lie)?),
    })
}

fn main() -> ExitCode {
    let run = || -> Result<std::convert::Infallible> { Ok(launcher::run(&options()?, |_| {})?) };
    let Err(error) = run();
    eprintln!("hostile-host: {error:#}");
    ExitCode::from(99)
}
