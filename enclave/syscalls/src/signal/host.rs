//! What the host does with signals, and what it says about those it caught.

use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{Mutex, own_call};
use enclave_hostcalls::{changed, misbehaved};
use enclave_signals::{
    SigInfo, SigSet, Target, code,
    number::{SYNCHRONOUS, UNBLOCKABLE},
};
use enclave_threads::{SignalInfo, take_pending_signals};
use hostcall_abi::service;

use super::{look, send};
use crate::process::process;

/// Signals that libc sends to its own threads (SIGCANCEL and SIGSETXID of glibc).
const INTERNAL: SigSet = SigSet::of(&[32, 33]);

/// Signals that somebody blocked or waited for at some time: once they are caught, they stay so.
static HELD: AtomicU64 = AtomicU64::new(0);
/// What the host was told last: caught, ignored.
static TOLD: Mutex<(u64, u64)> = Mutex::new((0, 0));

/// Tells the host which signals are caught and which are ignored, if that has changed.
pub(super) fn update() {
    let (handled, ignored) = look(|state| state.signals.dispositions());
    let held = SigSet(HELD.load(Ordering::Relaxed));
    let caught = (handled | held).without(UNBLOCKABLE);
    let wanted = (caught.0, ignored.without(caught).0);
    let mut told = TOLD.lock();
    if *told != wanted {
        *told = wanted;
        own_call(service::SIGNAL, [wanted.0, wanted.1]);
    }
}

/// Signals are blocked or waited for: the host must not act on them any more.
pub(crate) fn hold(set: SigSet) {
    let set = set.without(UNBLOCKABLE).0;
    if set & !HELD.fetch_or(set, Ordering::Relaxed) != 0 {
        update();
    }
}

/// Takes the signals that the host has caught, and sends them to the process.
pub(super) fn collect() {
    take_pending_signals(|number, claim| {
        let info = checked(number, claim);
        // What threads send to each other stays inside, and libc believes it.
        let own = info.code == code::TKILL && info.sender().0 == process().pid;
        if INTERNAL.contains(number) || own {
            misbehaved("the host misbehaved: a signal that only the program itself can send");
        }
        // Its sender may have changed files before.
        changed();
        send(Target::Process, info);
    });
}

/// What the host says, as far as it can be: a fault is nothing that it could know of.
fn checked(number: u32, claim: SignalInfo) -> SigInfo {
    let low = |word: u64| u32::try_from(word & 0xffff_ffff).unwrap_or(0);
    let claimed = low(claim.code).cast_signed();
    let fault = SYNCHRONOUS.contains(number) && claimed > 0;
    let code = if fault || claimed == code::TIMER { code::USER } else { claimed };
    SigInfo::queued(number, code, low(claim.pid), low(claim.uid), claim.value)
}
