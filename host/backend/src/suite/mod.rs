//! The tests that every backend passes.
//!
//! A backend's own test calls [`crate::suite_tests!`] with an expression that makes it. Each test
//! builds a small enclave of hand-assembled code; since ELRANGE starts at 0, there can be only one in
//! a process at a time, so the tests take turns.

pub mod assembler;
mod entering;
pub mod specimen;

pub use entering::*;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits until no other test of this process has an enclave.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Defines a `#[test]` for each test of the suite; `$make` evaluates to a [`crate::Backend`].
#[macro_export]
macro_rules! suite_tests {
    ($make:expr) => {
        $crate::suite_tests!(@each $make;
            round_trip, bare_round_trip, divide_error, invalid_opcode, system_call, page_fault,
            page_fault_outside, resume_restores_registers, ssa_exhausted, busy_tcs, bad_tcs,
        );
    };
    (@each $make:expr; $($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                let _turn = $crate::suite::turn();
                $crate::suite::$name(&$make);
            }
        )*
    };
}
