//! Wrong results of single chunks of a transfer, which are made by rings. Those of the checker's
//! program are seven of 40960 bytes and a shorter one, and two of 32768 bytes.

use anyhow::Result;

use crate::host::{BOTH, End, tell_to};

const ASYNC: &[&str] = &["async"];

fn all<const N: usize>(claims: [&str; N], end: End) -> Result<()> {
    claims.iter().try_for_each(|claims| tell_to("bulk.c", &format!("chunks {claims}"), ASYNC, end))
}

#[test]
fn an_honest_host_moves_all() -> Result<()> {
    tell_to("bulk.c", "honest", BOTH, End::Harmless)
}

#[test]
fn chunks_larger_than_asked() -> Result<()> {
    all(["0:+1", "1:+1", "7:+1", "7:40960", "0:0x7fffffff", "3:0x3f8000000000"], End::Found)
}

/// Numbers that Linux does not return, and a chunk that is called off with nothing before it that
/// would be a reason.
#[test]
fn errors_that_do_not_exist() -> Result<()> {
    all(["0:-134", "1:-513", "7:-4095", "0:-512", "1:-512", "7:-512"], End::Found)
}

/// A chunk that was short or failed, and one behind it that was moved all the same.
#[test]
fn transfers_that_go_on_behind_their_end() -> Result<()> {
    all(["0:100,1:+0", "0:-5,1:+0", "0:0,1:0", "0:-5,1:-5", "0:100,1:-512,2:+0"], End::Found)
}

/// What the program gets is what was moved before, whatever the host has put behind it.
#[test]
fn short_chunks_and_errors() -> Result<()> {
    all(["0:0", "0:-5", "0:100", "1:0", "1:-5", "1:32767", "6:1", "7:99", "7:-28"], End::Harmless)
}

/// A chunk that was interrupted is asked for again.
#[test]
fn chunks_that_are_interrupted() -> Result<()> {
    all(["1:-4", "7:-4"], End::Harmless)
}

#[test]
fn requests_that_are_done_early_or_late() -> Result<()> {
    tell_to("bulk.c", "complete early", ASYNC, End::Any)?;
    tell_to("bulk.c", "complete reordered", ASYNC, End::Harmless)?;
    tell_to("bulk.c", "flip", ASYNC, End::Any)?;
    (1..=5).try_for_each(|seed| tell_to("bulk.c", &format!("random {seed}"), ASYNC, End::Any))
}
