//! Acceptance tests with real programs.
//!
//! Each [`Case`] is run natively first and then under `scone run -- PROGRAM ARGS`, in a directory
//! of the same name, with the same input and environment; what it printed, how it ended and which
//! files it left behind are compared byte for byte, or judged by a checker where the output
//! depends on time or chance. Cases are plain data, one file per family in [`table`].
//!
//! A case that is known to fail says so with a reason ([`Expect::Fails`]); when it passes the
//! test fails, so that the list of known failures can only shrink.
//!
//! Environment: `SCONE` names the binary (otherwise it is taken from the target directory, and
//! built when missing), `SCONE_RUN_PREFIX` replaces the whole `scone run ... --` prefix (empty:
//! native against native), `PROGRAMS_TIER=full` adds the heavy cases, `PROGRAMS_MODE` chooses
//! sync, async or auto, `PROGRAMS_DIR` is where things are built and run.

pub mod case;
pub mod cli;
pub mod client;
mod compare;
pub mod fixture;
pub mod harness;
pub mod install;
pub mod places;
mod prepare;
mod process;
pub mod report;
pub mod run;
pub mod scripted;
pub mod servers;
pub mod table;

pub use case::{C_LINKS, Case, Compare, Expect, Tier, Tool, case};
pub use process::Output;
pub use run::{Mode, Outcome, Runner};
