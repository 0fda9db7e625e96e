//! Calls that hardly ever wait, made by a thread that must not wait.
//!
//! They cannot be asked not to wait ([`hostcall_abi::request::hardly_waits`]). So the thread makes
//! the call, and an alarm calls it off if it takes too long. The alarm is set once for many calls: it is
//! let go off when it finds nothing to call off.

use std::{cell::Cell, io};

use hostcall_abi::request::{ARG_COUNT, CALLED_OFF};

use crate::{Attention, cpu::monotonic, execute::EINTR, timer::Alarm};

/// Nanoseconds after which the alarm goes off: a call has between a half and all of them.
const PATIENCE: u64 = 10_000_000;

thread_local! {
    /// Wanted when the alarm goes off.
    static OVERDUE: Attention = const { Attention::new() };
    static ALARM: Alarm = const { Alarm::new() };
    /// When the alarm goes off.
    static SET_TO: Cell<u64> = const { Cell::new(0) };
}

/// Makes a call; `None` if it was called off before it did anything. `kick` is the signal whose
/// handler calls [`crate::interrupt`].
pub(crate) fn watched(kick: i32, number: u64, args: [u64; ARG_COUNT]) -> Option<u64> {
    OVERDUE.with(|overdue| {
        // First this, so that no alarm from here on is overlooked.
        overdue.clear();
        set_alarm(kick).ok()?;
        let result = overdue.call(number, args);
        (result != EINTR && result != CALLED_OFF).then_some(result)
    })
}

fn set_alarm(kick: i32) -> io::Result<()> {
    let now = monotonic();
    if SET_TO.get() < now + PATIENCE / 2 {
        ALARM.with(|alarm| alarm.set(kick, now + PATIENCE))?;
        SET_TO.set(now + PATIENCE);
    }
    Ok(())
}

/// For the handler of a kick: the alarm may have gone off.
pub(crate) fn look_at_the_time() {
    OVERDUE.with(Attention::want);
}
