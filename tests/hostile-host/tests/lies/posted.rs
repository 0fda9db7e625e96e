//! Calls that are made along with others, and come to another end than the program was told.

use anyhow::Result;

use crate::host::{End, tell_to};

/// Where calls are posted: exits are dear, or said to be.
const POSTING: &[&str] = &["async"];

fn stream(lie: &str, end: End) -> Result<()> {
    tell_to("stream.c", lie, POSTING, end)
}

#[test]
fn an_honest_host_sends_all() -> Result<()> {
    stream("honest", End::Harmless)
}

/// What the kernel does not take at once is sent later, and nothing goes before it.
#[test]
fn a_kernel_that_is_short_of_memory() -> Result<()> {
    ["short 1", "short 40", "short 119"].iter().try_for_each(|lie| stream(lie, End::Harmless))
}

#[test]
fn pieces_longer_than_they_were() -> Result<()> {
    stream("reply 44 +1", End::Found)?;
    stream("reply 44 0x7fffffff", End::Found)
}

#[test]
fn errors_that_do_not_exist() -> Result<()> {
    stream("reply 44 -134", End::Found)?;
    stream("reply 44 -4095", End::Found)
}

/// Errors that exist end the stream; that none of it was sent can be said for ever.
#[test]
fn pieces_that_fail() -> Result<()> {
    ["reply 44 -104", "reply 44 -32", "reply 44 -11"]
        .iter()
        .try_for_each(|lie| stream(lie, End::Any))
}

#[test]
fn calls_that_are_not_made() -> Result<()> {
    stream("posted lost", End::Any)?;
    stream("posted late", End::Any)
}

/// As much room as no kernel has, and an answer that changes.
#[test]
fn room_that_is_not_there() -> Result<()> {
    stream("word 55 3:1 -1", End::Harmless)?;
    stream("reply 55 -22", End::Harmless)?;
    stream("flip", End::Any)?;
    (1..=5).try_for_each(|seed| stream(&format!("random {seed}"), End::Any))
}

/// Heads that wait for their bodies, whether other calls are posted or not.
#[test]
fn heads_and_bodies() -> Result<()> {
    let heads = |lie: &str, end| tell_to("heads.c", lie, &["auto", "async"], end);
    for lie in ["honest", "short 1", "short 49", "short 50", "short 51"] {
        heads(lie, End::Harmless)?;
    }
    for lie in ["reply 44 +1", "reply 44 0x7fffffff", "reply 44 -134", "reply 17 0x7fffffff"] {
        heads(lie, End::Found)?;
    }
    for lie in ["reply 44 -104", "posted late", "reply 17 -5", "reply 17 0"] {
        heads(lie, End::Any)?;
    }
    Ok(())
}

/// Little that is written to files waits for more, whether other calls are posted or not. What the host does not
/// write, the program is told of: by the next write, by fsync(2) or by close(2).
#[test]
fn writes() -> Result<()> {
    let writes = |lie: &str, end| tell_to("writes.c", lie, &["auto", "async"], end);
    for lie in ["honest", "posted full", "reply 138 -38", "word 138 1:0 0x9fa0", "word 138 1:4 1"] {
        writes(lie, End::Harmless)?;
    }
    for lie in ["reply 18 +1", "reply 1 +1", "reply 18 0x7fffffff", "reply 1 -134"] {
        writes(lie, End::Found)?;
    }
    for lie in ["posted lost", "posted late", "reply 18 -5", "reply 1 3", "flip"] {
        writes(lie, End::Any)?;
    }
    Ok(())
}
