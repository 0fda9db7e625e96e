//! Signals that call a thread out of the enclave.

use std::ffi::c_void;

/// Called for each arriving kick, on the thread that it hit.
///
/// It may run in a signal handler, where only async-signal-safe things are allowed.
pub type KickHandler = fn(&Kick);

/// A signal that the launcher sent to a thread.
#[derive(Clone, Copy, Debug)]
pub struct Kick {
    /// Signal number.
    pub signal: i32,
    /// The TCS that the signal interrupted inside the enclave: an AEX has saved its state, and the
    /// handler may enter the same TCS (at the next CSSA); once it returns, the TCS is resumed.
    /// `None`: the thread was outside, and the handler must not enter.
    pub tcs: Option<u64>,
    /// The interrupted context (`ucontext_t`) when the thread was outside and the handler runs in
    /// the signal's frame; else null.
    pub context: *mut c_void,
}
