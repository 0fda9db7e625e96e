//! The tests that every backend passes.
//!
//! A backend's own test calls [`crate::suite_tests!`] with an expression that makes it. Each test
//! builds a small enclave of hand-assembled code; since ELRANGE starts at 0, there can be only one in
//! a process at a time, so the tests take turns.

mod answers;
pub mod assembler;
mod building;
mod copies;
mod entering;
mod keys;
mod kicks;
mod pages;
pub mod server;
pub mod specimen;

pub use answers::*;
pub use building::*;
pub use copies::*;
pub use entering::*;
pub use keys::*;
pub use kicks::*;
pub use pages::*;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits until no other test of this process has an enclave.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Defines a `#[test]` for each test of the suite; `$make` evaluates to a [`crate::Backend`].
/// Attributes for all of them may stand in front, in brackets.
#[macro_export]
macro_rules! suite_tests {
    ([$(#[$attribute:meta])*] $make:expr) => {
        $crate::suite_tests!(@each [$(#[$attribute])*] $make;
            round_trip, bare_round_trip, flags_at_entry, divide_error, invalid_opcode, system_call, page_fault,
            page_fault_outside, resume_restores_registers, ssa_exhausted, busy_tcs, bad_tcs,
            bad_secs, bad_pages, bad_tcs_pages, wrong_mrenclave, bad_signature, wrong_attributes,
            initialised_once, unmeasured_code, accept_new_pages, accept_mismatches, accept_bad_operands, permissions,
            trim_and_remove, dynamic_tcs, accept_copy, copies_in_a_row, copies_of_two_threads, driver_refusals, kick_outside,
            kick_inside, kick_storm, kick_storm_accepting, reports, bad_operands, reserved_policy, seal_keys, refused_keys,
            two_threads, leaves_keep_registers, exits_answered, exception_after_answer,
            kick_storm_answered,
        );
    };
    ($make:expr) => {
        $crate::suite_tests!([] $make);
    };
    (@each $attributes:tt $make:expr; $($name:ident),* $(,)?) => {
        $($crate::suite_tests!(@one $attributes $make; $name);)*
    };
    (@one [$($attribute:tt)*] $make:expr; $name:ident) => {
        #[test]
        $($attribute)*
        fn $name() {
            let _turn = $crate::suite::turn();
            $crate::suite::$name(&$make);
        }
    };
}
