//! Serves the enclave's requests.
//!
//! Design principles:
//!
//! * **The host only has to be safe from accidents of its own**, not from the measured runtime:
//!   requests are executed as they come, with the pointers that the runtime staged.
//! * **A request lies in the arena** ([`Shared`]), or it is not executed.
//! * **No wake-up is lost between the look at the flag and the system call**: a kick that comes in
//!   between calls it off ([`interrupt`]).

#![expect(unsafe_code, reason = "raw system calls and memory shared with the enclave")]

mod affinity;
mod attempt;
mod cpu;
mod execute;
mod exits;
mod looks;
mod memory;
mod process;
mod readiness;
mod signals;
mod timer;
mod wait;
mod watch;

pub use affinity::keep_off_this_processor;
pub use attempt::Job;
pub use cpu::{Cpu, clocks, cpu, cpuid, timestamp};
pub use execute::{Attention, NOBODY, interrupt};
pub use exits::{Exits, answer_exit};
pub use memory::{Request, Shared};
pub use process::{exit_now, kick_thread, kill_self, thread_id};
pub use readiness::{Awaited, Ended, Readiness};
pub use signals::{
    Arrived, block_signals, default_action, ignore_signal, ignored_signals, wait_signal,
};
pub use timer::{set_alarm, start_tick};
pub use wait::{wait_word, wake_word};
