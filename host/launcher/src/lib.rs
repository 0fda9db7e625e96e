//! Runs a program in an enclave: builds the enclave, gives it host threads, serves its requests.
//!
//! Design principles:
//!
//! * **The launcher cannot tell which backend it holds**; everything it does, it does through the
//!   `backend` traits.
//! * **Nothing it decides is trusted.** A wrong answer of the launcher is found by the runtime, or
//!   harms availability only.
//! * **One host thread belongs to one enclave thread (TCS)** for the life of the process; threads
//!   of the pool never enter.

mod boot;
mod construct;
mod error;
mod options;
mod pool;
mod rings;
mod services;
mod signals;
mod tamper;
mod threads;

pub use boot::Boot;
pub use error::LaunchError;
pub use options::{BackendChoice, CostModel, Ephemeral, Mode, Options};
pub use tamper::Tamper;

use std::convert::Infallible;

pub use backend::Kind;

/// Runs the program of `options`. On success it never returns: the process ends as the program
/// does. `announce` is called once, when it is known what runs the enclave.
///
/// # Errors
///
/// [`LaunchError`] says why the enclave could not be started.
pub fn run(options: &Options, announce: impl FnOnce(Kind)) -> Result<Infallible, LaunchError> {
    let machine = construct::machine(options)?;
    announce(machine.capabilities().kind);
    let at_start = signals::block();
    let enclave = construct::enclave(machine.as_ref(), options)?;
    let boot = boot::prepare(&machine.capabilities(), options, at_start)?;
    construct::initialise(enclave.as_ref(), options)?;
    let tamper = options.tamper;
    if let Some(tamper) = tamper {
        tamper.shared(&boot);
    }
    threads::run(enclave, boot, tamper, options.host_threads)
}
