//! Signals from outside: one thread takes them all, and tells the enclave or does what they do by
//! default.
//!
//! All other threads block them, so that no handler ever runs while the enclave's program owns the
//! registers; the exceptions are those by which the backend works.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use hostcall_abi::{control, layout};
use worker::{Arrived, block_signals, default_action, ignore_signal, ignored_signals, wait_signal};

use crate::threads::{KICK, Running, TICK};

/// SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS: exceptions. The kernel looks at SIGTTIN and
/// SIGTTOU itself when a terminal is used; SIGKILL and SIGSTOP are its own.
const LEFT_ALONE: [i32; 8] = [4, 5, 7, 8, 11, 31, SIGTTIN, SIGTTOU];
const SIGTTIN: i32 = 21;
const SIGTTOU: i32 = 22;
const SIGCHLD: i32 = 17;

/// How soon a signal is looked for again while one of its kind has not been taken by the enclave.
const AGAIN: Duration = Duration::from_millis(2);

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// The signals that the thread takes.
fn taken() -> u64 {
    LEFT_ALONE.iter().chain(&[KICK, TICK]).fold(!0, |set, signal| set & !bit(*signal))
}

/// What was ignored and blocked when the process started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtStart {
    pub(crate) ignored: u64,
    pub(crate) blocked: u64,
}

/// Blocks signals in this thread and all that it starts: to be called before there are others.
pub(crate) fn block() -> AtStart {
    AtStart { ignored: ignored_signals(), blocked: block_signals(taken()) }
}

/// What the enclave has said about signals.
#[derive(Debug, Default)]
pub(crate) struct Dispositions {
    caught: AtomicU64,
    ignored: AtomicU64,
}

impl Dispositions {
    /// Sets which signals are told to the enclave and which are ignored.
    pub(crate) fn set(&self, caught: u64, ignored: u64) {
        self.caught.store(caught, Ordering::SeqCst);
        self.ignored.store(ignored, Ordering::SeqCst);
        for signal in [SIGTTIN, SIGTTOU] {
            ignore_signal(signal, (caught | ignored) & bit(signal) != 0);
        }
        ignore_signal(SIGCHLD, ignored & bit(SIGCHLD) != 0);
    }
}

/// Starts the thread.
pub(crate) fn start(running: &'static Running) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("signals".into())
        .stack_size(64 << 10)
        .spawn(move || take_all(running))?;
    Ok(())
}

fn take_all(running: &Running) {
    let pending = running.boot.control.word(control::PENDING);
    loop {
        // The record of a signal is not overwritten before the enclave has read it.
        let waiting = pending.load(Ordering::SeqCst);
        let again = (waiting != 0).then_some(AGAIN);
        let Some(arrived) = wait_signal(taken() & !waiting, again) else { continue };
        let signal = bit(arrived.signal.cast_signed());
        if running.signals.caught.load(Ordering::SeqCst) & signal != 0 {
            tell(running, &arrived);
        } else if running.signals.ignored.load(Ordering::SeqCst) & signal == 0 {
            default_action(arrived.signal.cast_signed());
        }
    }
}

/// Records a signal, and makes an enclave thread look.
fn tell(running: &Running, arrived: &Arrived) {
    let block = &running.boot.control;
    let at = control::SIGINFO + u64::from(arrived.signal - 1) * control::SIGINFO_WORDS;
    let fields = [
        arrived.code.cast_unsigned().into(),
        arrived.pid.cast_unsigned().into(),
        arrived.uid.into(),
        arrived.value,
    ];
    for (index, field) in (0..).zip(fields) {
        block.word(at + index).store(field, Ordering::SeqCst);
    }
    block.word(control::PENDING).fetch_or(bit(arrived.signal.cast_signed()), Ordering::SeqCst);
    if running.wake_idle() {
        return;
    }
    (0..layout::TCS_COUNT).for_each(|index| running.kick(index));
}
