//! What the host says before it was asked: what has come for sockets, and what is in a file.

use anyhow::Result;

use crate::host::{End, tell_to};

/// Where it is asked so: exits are dear, or said to be.
const ASKING: &[&str] = &["async"];

fn ahead(lie: &str, end: End) -> Result<()> {
    tell_to("ahead.c", lie, ASKING, end)
}

#[test]
fn an_honest_host_is_believed() -> Result<()> {
    ahead("honest", End::Harmless)
}

#[test]
fn looks_that_cannot_be() -> Result<()> {
    ["looks filled 65", "looks filled -1", "looks token 0x100000", "looks token -1"]
        .iter()
        .try_for_each(|lie| ahead(lie, End::Found))?;
    ["looks result +1", "looks result -134", "looks result -4095"]
        .iter()
        .try_for_each(|lie| ahead(lie, End::Found))
}

/// Nothing, or what there could be.
#[test]
fn looks_that_can_be() -> Result<()> {
    ["looks filled 0", "looks result 0", "looks result -11"]
        .iter()
        .try_for_each(|lie| ahead(lie, End::Harmless))?;
    ["looks result -104", "looks filled 64", "looks result 7", "looks result 4000"]
        .iter()
        .try_for_each(|lie| ahead(lie, End::Any))
}

/// What the program has got is not taken from the kernel, or something else is.
#[test]
fn what_is_not_taken() -> Result<()> {
    ["reply 45 1", "reply 45 +1", "reply 45 -104", "reply 45 -4095"]
        .iter()
        .try_for_each(|lie| ahead(lie, End::Any))
}

#[test]
fn files_that_cannot_be() -> Result<()> {
    ["reply 17 +1", "reply 17 0x7fffffff", "reply 5 1", "reply 5 -4095"]
        .iter()
        .try_for_each(|lie| ahead(lie, End::Found))?;
    ["reply 17 -5", "reply 17 0", "reply 257 -2", "reply 257 -11"]
        .iter()
        .try_for_each(|lie| ahead(lie, End::Any))
}

/// Files that are opened before the program asks for them.
#[test]
fn files_that_nobody_asked_for() -> Result<()> {
    // No descriptor, none that is free, and no error.
    ["expected 0x80000000", "expected 0", "expected -134", "expected -4095"]
        .iter()
        .try_for_each(|lie| ahead(lie, End::Found))?;
    // An error; not made; and a descriptor that there is not, of which nothing else is said, or the truth about
    // another.
    ["expected -2", "expected -512", "expected 1000000"]
        .iter()
        .try_for_each(|lie| ahead(lie, End::Any))
}

#[test]
fn anything_at_random() -> Result<()> {
    ahead("flip", End::Any)?;
    (1..=5).try_for_each(|seed| ahead(&format!("random {seed}"), End::Any))
}
