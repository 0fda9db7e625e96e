//! Leaving the enclave for a request.

use hostcall_abi::{exit, request, service};

use crate::{
    HostSlice,
    asm::scone_call,
    data,
    panic::is_dying_elsewhere,
    sync::Once,
    xstate::{restore_live, save_live},
};

/// Requests for the runtime's own needs, one per enclave thread.
pub(crate) static OWN_REQUESTS: Once<HostSlice> = Once::new();

/// Leaves the enclave with a request, and returns when the host has entered again.
///
/// The program's FS base and live vector state survive; all other registers are scrubbed. The
/// reply stands in the request, and is the caller's to check.
///
/// It is inlined, down to the exit: on some processors a kernel leaves nothing of the predictions of
/// returns, and each takes 7 ns then.
#[inline(always)]
pub fn exit_call(request: HostSlice) {
    assert!(request.len() >= request::BYTES);
    leave(exit::CALL, request.address());
}

#[inline(always)]
fn leave(reason: u64, argument: u64) {
    let live = save_live();
    // SAFETY: `scone_call` keeps the stack and the registers that its ABI preserves; what it
    // lets the host see is `reason` and `argument`.
    unsafe { scone_call(reason, argument) };
    restore_live(live);
    if is_dying_elsewhere() {
        wait_for_the_end();
    }
}

/// `-EINTR` as a result.
const EINTR: u64 = 4_u64.wrapping_neg();

/// Another enclave thread ends the enclave: nothing goes on here, whatever the host answers.
#[cold]
fn wait_for_the_end() -> ! {
    loop {
        let request = stage_own(SCHED_YIELD, []);
        let (reason, argument) = match request {
            Some(request) => (exit::CALL, request.address()),
            None => (exit::REFUSED, service::EXIT),
        };
        // SAFETY: as in `leave`.
        unsafe { scone_call(reason, argument) };
    }
}

/// Writes a call with up to six arguments into this enclave thread's own request.
fn stage_own<const N: usize>(number: u64, args: [u64; N]) -> Option<HostSlice> {
    const { assert!(N <= request::ARG_COUNT) }
    let requests = OWN_REQUESTS.get()?;
    let request = requests.part(data::tcs_index() * request::BYTES, request::BYTES);
    request.word(request::NUMBER).write(number);
    let args = args.into_iter().chain([0; request::ARG_COUNT]).take(request::ARG_COUNT);
    for (index, arg) in args.enumerate() {
        request.word(request::ARGS + index as u64).write(arg);
    }
    Some(request)
}

/// Makes a call with up to six arguments that needs no staging, with this enclave thread's own
/// request: for the needs of the core and the scheduler. Returns the unchecked result.
pub fn own_call<const N: usize>(number: u64, args: [u64; N]) -> u64 {
    let Some(request) = stage_own(number, args) else { return u64::MAX };
    // A host thread that is wanted elsewhere may call the request off before it was made.
    loop {
        exit_call(request);
        let result = request.word(request::RESULT).read();
        if result != EINTR && result != request::CALLED_OFF {
            return result;
        }
        // What the thread was called for is still to be seen to.
        data::want_reschedule();
    }
}

const SCHED_YIELD: u64 = 24;

/// Gives the processor away once (sched_yield).
pub(crate) fn yield_processor() {
    own_call(SCHED_YIELD, []);
}

/// Ends the process: `number` is [`service::EXIT`] or [`service::KILL`].
pub fn exit_forever(number: u64, value: u64) -> ! {
    loop {
        own_call(number, [value]);
        if OWN_REQUESTS.get().is_none() {
            // Before start-up is done there is no request to tell the host more with.
            leave(exit::REFUSED, service::EXIT);
        }
    }
}

/// Writes to the host's standard error, for the last words of the runtime.
pub(crate) fn last_words(pieces: &[&str]) {
    const WRITE: u64 = 1;
    let Some(requests) = OWN_REQUESTS.get() else { return };
    let room = requests
        .part(hostcall_abi::layout::TCS_COUNT * request::BYTES + data::tcs_index() * 512, 512);
    let mut text = [0; 512];
    let mut len = 0;
    for byte in pieces.iter().flat_map(|piece| piece.bytes()).take(text.len()) {
        text[len] = byte;
        len += 1;
    }
    room.write_bytes(&text[..len]);
    own_call(WRITE, [2, room.address(), len as u64]);
}

/// Takes the start of the arena for the core's own requests; returns the rest.
pub(crate) fn take_own_requests(arena: HostSlice) -> HostSlice {
    let own = hostcall_abi::layout::TCS_COUNT * (request::BYTES + 512);
    OWN_REQUESTS.set(arena.part(0, own));
    arena.part(own, arena.len() - own)
}
