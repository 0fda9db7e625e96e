//! Hosts that lie by what they do, rather than by one answer.

use crate::host::{BOTH, End, SYNC, tell, tell_to};
use anyhow::Result;

/// The lies themselves are what makes the difference in all other tests.
#[test]
fn an_honest_host_does_no_harm() -> Result<()> {
    tell("honest", BOTH, End::Harmless)
}

#[test]
fn completions_of_what_is_not_outside() -> Result<()> {
    tell("complete twice", &["async"], End::Found)?;
    tell("complete unknown", &["async"], End::Found)?;
    tell("complete inside", &["async"], End::Found)?;
    tell("complete stale", BOTH, End::Any)?;
    tell("complete early", BOTH, End::Any)
}

#[test]
fn completions_in_another_order() -> Result<()> {
    tell("complete reordered", BOTH, End::Harmless)
}

/// One thread of the program waits for ever, the others go on.
#[test]
fn requests_that_are_never_made() -> Result<()> {
    tell_to("waiting.c", "complete never", BOTH, End::Harmless)
}

#[test]
fn entries_that_are_not_expected() -> Result<()> {
    tell("enter no-tcs", BOTH, End::Harmless)?;
    tell("enter resume", BOTH, End::Harmless)?;
    tell("enter unanswered", SYNC, End::Found)?;
    tell("enter others", BOTH, End::Any)
}

#[test]
fn flags_and_control_words_that_no_code_expects() -> Result<()> {
    tell("enter state", BOTH, End::Harmless)?;
    tell_to("floating.c", "honest", SYNC, End::Harmless)?;
    tell_to("floating.c", "enter state", BOTH, End::Harmless)
}

/// The enclave refuses without a stack; the launcher gives up.
#[test]
fn an_exception_while_one_is_handled() -> Result<()> {
    tell("enter nested", BOTH, End::Any)
}

#[test]
fn exceptions_that_are_handled_twice_late_or_never_were() -> Result<()> {
    tell("enter handle-twice", BOTH, End::Harmless)?;
    tell("enter resume-first", BOTH, End::Harmless)?;
    tell("enter kick", BOTH, End::Harmless)
}

#[test]
fn signals_and_kicks_all_the_time() -> Result<()> {
    tell("kicks", BOTH, End::Harmless)?;
    tell("signals harmless", BOTH, End::Harmless)
}

#[test]
fn signals_that_only_libc_sends() -> Result<()> {
    tell("signals internal", BOTH, End::Found)
}

/// It ends by its own doing, and tells why.
#[test]
fn memory_of_the_runtime_that_is_taken_away() -> Result<()> {
    tell("enter broken", BOTH, End::Broken)
}

#[test]
fn clocks_that_go_back_or_jump() -> Result<()> {
    tell("service clocks-back", BOTH, End::Harmless)?;
    tell("service clocks-jump", BOTH, End::Any)
}

#[test]
fn a_processor_that_has_everything() -> Result<()> {
    tell("service cpuid", BOTH, End::Harmless)
}

#[test]
fn pages_that_are_said_to_have_changed() -> Result<()> {
    tell("service pages", BOTH, End::Found)
}

/// Words of requests and buffers change between any two looks at them.
#[test]
fn words_that_change_at_any_time() -> Result<()> {
    tell("flip", BOTH, End::Any)
}

#[test]
fn anything_at_random() -> Result<()> {
    (1..=20).try_for_each(|seed| tell(&format!("random {seed}"), BOTH, End::Any))
}
