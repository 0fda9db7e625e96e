//! The control block that is shared with the host.

use enclave_core::{HostPtr, HostSlice, Once};
use hostcall_abi::control;

/// The control block and how many enclave threads may be used.
#[derive(Debug)]
pub struct Control {
    block: HostSlice,
    /// Enclave threads that may be used.
    pub threads: u64,
}

static CONTROL: Once<Control> = Once::new();

/// Takes the control block. Must be called once, before [`crate::run`].
pub fn init(block: HostSlice, threads: u64) {
    CONTROL.set(Control { block, threads });
}

pub(crate) fn control() -> &'static Control {
    &CONTROL
}

impl Control {
    pub(crate) fn idle_word(&self, index: u64) -> HostPtr {
        self.block.word(control::IDLE + index)
    }

    /// Takes the list of completed requests.
    pub(crate) fn take_completed(&self) -> u64 {
        let head = self.block.word(control::COMPLETED);
        if head.read() == 0 { 0 } else { head.swap(0) }
    }

    pub(crate) fn has_events(&self) -> bool {
        self.block.word(control::COMPLETED).read() != 0
            || self.block.word(control::PENDING).read() != 0
    }

    pub(crate) fn want_tick(&self, wanted: bool) {
        self.block.word(control::TICK).write(wanted.into());
    }
}

/// What the host says about a signal it caught: all of it a claim.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignalInfo {
    /// `si_code`.
    pub code: u64,
    /// Sender's process id.
    pub pid: u64,
    /// Sender's user id.
    pub uid: u64,
    /// `si_value`.
    pub value: u64,
}

/// Takes the set of signals that arrived (bit n-1 for signal n), and calls `each` for them.
pub fn take_pending_signals(mut each: impl FnMut(u32, SignalInfo)) {
    let block = control().block;
    let word = block.word(control::PENDING);
    if word.read() == 0 {
        return;
    }
    let set = word.swap(0);
    for number in (1..=64).filter(|number| set >> (number - 1) & 1 == 1) {
        let at = control::SIGINFO + u64::from(number - 1) * control::SIGINFO_WORDS;
        let field = |index| block.word(at + index).read();
        each(number, SignalInfo { code: field(0), pid: field(1), uid: field(2), value: field(3) });
    }
}
