//! Calls that the host makes on another thread while this enclave thread runs others.

use alloc::{collections::BTreeMap, sync::Arc};

use enclave_core::{HostSlice, Mutex, fatal, own_call};
use hostcall_abi::{request, service};

use crate::{Thread, clock, current, host::control, park, park_until, scheduler::interrupted};

/// Requests that are outside, by host address. An answer to any other is a lie.
static OUTSIDE: Mutex<BTreeMap<u64, InFlight>> = Mutex::new(BTreeMap::new());

struct InFlight {
    request: HostSlice,
    thread: Arc<Thread>,
    done: bool,
}

/// Nanoseconds that a call gets to end by itself, before it is interrupted for a signal.
const PATIENCE: u64 = 200_000;

/// Hands a staged request to the host and waits until it is done, if it is not made at once. When a
/// signal comes for the thread, the host is told to give the request up: it then ends with `EINTR`,
/// unless it was just done.
pub fn handover(staged: HostSlice) {
    staged.word(request::STATE).write(request::state::AWAITED);
    await_completion(staged, true, || own_call(service::SUBMIT, [staged.address()]) != 1);
}

/// Waits until the host says that a request is done. `begin` is called once completions of it are
/// expected; if it returns `false`, the request is done already. A request that `may_wait` is given
/// up when a signal comes.
pub(crate) fn await_completion(staged: HostSlice, may_wait: bool, begin: impl FnOnce() -> bool) {
    let address = staged.address();
    let entry = InFlight { request: staged, thread: current(), done: false };
    OUTSIDE.lock().insert(address, entry);
    if !begin() {
        OUTSIDE.lock().remove(&address);
        return;
    }
    loop {
        let mut outside = OUTSIDE.lock();
        if outside.get(&address).is_none_or(|entry| entry.done) {
            outside.remove(&address);
            return;
        }
        drop(outside);
        if may_wait && interrupted() {
            // First it gets the time in which a call ends that need not wait.
            park_until(Some(clock::monotonic() + PATIENCE));
            own_call(service::CANCEL, [address]);
        } else {
            park();
        }
    }
}

/// Wakes the threads whose requests the host has completed.
pub(crate) fn collect() {
    let mut next = control().take_completed();
    while next != 0 {
        let mut outside = OUTSIDE.lock();
        // A second completion of the same request, or one of a request that is not outside, would
        // let the host free staging memory under our feet.
        let Some(entry) = outside.get_mut(&next).filter(|entry| !entry.done) else {
            fatal("the host misbehaved: it completed a request that was not outside");
        };
        entry.done = true;
        next = entry.request.word(request::NEXT).read();
        let thread = Arc::clone(&entry.thread);
        drop(outside);
        thread.unpark();
    }
}
