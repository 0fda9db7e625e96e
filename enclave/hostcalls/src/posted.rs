//! Posted calls: made with the next call that leaves, for their answers are known.
//!
//! A server's thread leaves the enclave for each answer that it sends and each file that it closes, and
//! learns nothing by it. Such calls are staged and put into a list instead. The next call of the thread
//! takes them along, or one of another thread if their own waits, and the host makes them first. So:
//!
//! * **No call overtakes a posted one of its thread**: one that leaves while another call has taken those
//!   along waits until they are made. The host sees what a thread does in the order in which it does it,
//!   and what threads do to one stream as well.
//! * **Threads seldom wait for each other**: what a thread posted that runs elsewhere is left to it, but
//!   for what the kernel must have lost before anybody looks again ([`Kind::Taking`]), for what is written to
//!   files ([`Kind::Write`]), and for what another thread may know to be on its way ([`has_both_ends`]).
//! * **Nothing posted waits for a call that waits**: what is posted when a sender ends, as the close of a
//!   stream, is made before ([`end_senders`]).
//! * **Nothing posted is left behind**: an enclave thread that goes to sleep, a tick, and the end of the
//!   process make all that is in the list ([`flush`]).
//! * **A posted call never waits**, and what it has come to is told to its [`Sender`], who makes good
//!   what the program was told already.

mod entry;
mod list;
mod posters;
mod queue;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{HostSlice, Mutex, MutexGuard};
use enclave_threads::{give_processor_away, update_tick};
use hostcall_abi::request;

use crate::{
    Call, Errno,
    way::{are_posted, may_be_posted, post},
};
use entry::Of;
use list::List;
pub use queue::Queue;

/// Most calls in the list.
const MOST: u64 = 256;
/// Looks at a list that another enclave thread takes along, before the processor is given away.
const LOOKS: u32 = 500;

/// Who posts calls that may come to another end than the program was told.
pub trait Sender: Send + Sync {
    /// Where its calls stand in the list: always the same, and no other sender's.
    fn queue(&self) -> &Queue;

    /// Whether nothing more of this sender may be made: something before it was not.
    fn holds(&self) -> bool;

    /// A call was made, with this result; `None` if it was called off. In the order in which they were
    /// posted. Must be short, and make no call. Returns whether the sender holds from here on.
    fn made(self: Arc<Self>, call: Call, kind: Kind, result: Option<Result<u64, Errno>>) -> bool;
}

/// What a posted call of a sender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A piece of a stream, of so many bytes: it must not be made unless the piece before was taken whole.
    Piece(u64),
    /// The same of a file: no call of any thread overtakes it, for others may see the file.
    Write(u64),
    /// A question.
    Question,
    /// It takes so many bytes from the kernel, which the program has got already: no call of any thread
    /// overtakes it.
    Taking(u64),
}

/// Streams that this process has connected, or is about to: it may have both ends of them.
static CONNECTED: AtomicU64 = AtomicU64::new(0);

/// Errors of connect(2) with which the stream is connected nevertheless, or will be.
const MAY_BE: [Errno; 4] = [Errno::EINPROGRESS, Errno::EINTR, Errno::EALREADY, Errno::EISCONN];

/// To be called when the process is about to connect a stream: it may have both ends of it.
pub fn connects() {
    CONNECTED.fetch_add(1, Ordering::SeqCst);
}

/// Makes a call that connects a stream, of which the process may have both ends from then on.
///
/// # Errors
///
/// Those of the call.
pub fn connect_by(call: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
    connects();
    let result = call();
    if result.is_err_and(|errno| !MAY_BE.contains(&errno)) {
        // As most servers do at their start: they ask a daemon that is not there for the names of users.
        CONNECTED.fetch_sub(1, Ordering::SeqCst);
    }
    result
}

/// Whether this process may have both ends of a stream, and so know what is on its way.
#[must_use]
pub fn has_both_ends() -> bool {
    CONNECTED.load(Ordering::SeqCst) > 0
}

static LIST: Mutex<List> = Mutex::new(List::new());
/// Entries of the list, for a look without the lock.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Whether posted calls are to be made yet.
#[must_use]
pub fn is_any_posted() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// Whether a call can be posted now.
#[must_use]
pub fn can_post() -> bool {
    are_posted() && COUNT.load(Ordering::Relaxed) < MOST
}

/// Whether a call may be posted for which more is about to come, whether others are or not.
#[must_use]
pub fn can_hold() -> bool {
    may_be_posted() && COUNT.load(Ordering::Relaxed) < MOST
}

/// Takes the last call that was posted for `sender` out of the list, if it is the piece whose first buffer is `at`
/// and no other call has taken it along.
pub fn take_back(sender: &impl Sender, at: u64) -> Option<Call> {
    let (call, _dropped_without_the_lock) = LIST.lock().take_back(sender, at)?;
    Some(call)
}

/// Lets `change` alter the last call of the list and how many bytes it moves, if this thread has posted it for
/// `sender` as a piece, and no other call has taken it along. Returns what `change` does: whether it has.
pub fn change_last(sender: &impl Sender, change: impl FnOnce(&mut Call, &mut u64) -> bool) -> bool {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return false;
    }
    LIST.lock().last_piece(sender).is_some_and(|(call, len)| change(call, len))
}

/// Makes what is in the list, and waits for what another call has taken along.
pub fn flush() {
    /// A call that changes nothing, to take others along.
    const GETPPID: u64 = 110;
    /// What ends with the senders of calls is posted when these were made. Others may post on and on.
    const ROUNDS: usize = 4;
    for _ in 0..ROUNDS {
        if COUNT.load(Ordering::Relaxed) == 0 {
            return;
        }
        if wait_for_all().is_empty() {
            return;
        }
        if let Ok(call) = Call::new(GETPPID, 0) {
            call.run_with_all();
        }
    }
}

/// Waits until the host has made all that calls have taken along; returns the list.
fn wait_for_all() -> MutexGuard<'static, List> {
    wait_while(|list| list.under_way().next().is_some())
}

/// Waits until the host has made what `under_way` says is to be waited for; returns the list, which has no calls
/// of senders that hold them.
fn wait_while(under_way: impl Fn(&List) -> bool) -> MutexGuard<'static, List> {
    let mut looks = 0;
    loop {
        let mut list = LIST.lock();
        let mut ended = list.collect();
        ended.extend(list.call_off_what_is_held());
        let waits = under_way(&list);
        if !waits && ended.is_empty() {
            return list;
        }
        // To drop them may post a call, or make one.
        drop(list);
        drop(ended);
        if !waits {
            continue;
        }
        looks += 1;
        if looks % LOOKS == 0 {
            give_processor_away();
        }
        core::hint::spin_loop();
    }
}

impl Call {
    /// Puts the call into the list. It must not have to wait, and nobody learns what comes of it.
    pub fn post(self) {
        add(self, None);
    }

    /// Puts the call into the list for a sender, who learns what comes of it.
    pub fn post_for(self, sender: Arc<dyn Sender>, kind: Kind) {
        add(self, Some(Of { sender, kind }));
    }
}

fn add(call: Call, of: Option<Of>) {
    let mut list = LIST.lock();
    let alone = list.push(call, of);
    post();
    drop(list);
    if alone {
        update_tick();
    }
}

/// The list, taken along by a call.
#[derive(Debug)]
pub(crate) struct Carried {
    carrier: HostSlice,
    number: u64,
}

/// Call before one that may wait takes calls along. A sender whom nobody but the list has any more ends when
/// its last call was made, and what ends with it is posted then, as the close of a stream that was sent to:
/// that must not come after the wait.
#[inline(always)]
pub(crate) fn end_senders() {
    if COUNT.load(Ordering::Relaxed) != 0 && LIST.lock().has_ending_sender() {
        flush();
    }
}

/// Has the staged call in `carrier` take along what was posted by its thread, and by those that wait.
#[inline(always)]
pub(crate) fn take_along(carrier: HostSlice) -> Option<Carried> {
    if COUNT.load(Ordering::Relaxed) == 0 { None } else { take_own(carrier) }
}

#[cold]
fn take_own(carrier: HostSlice) -> Option<Carried> {
    let mut list = wait_while(|list| {
        let own = list.own();
        list.under_way().any(|entry| entry.is_for_all() || Some(entry.by) == own)
    });
    list.link(carrier, |entry, poster| entry.is_for_all() || !poster.runs_elsewhere())
}

/// Has the staged call in `carrier` take along all that nobody has taken yet, behind what others have taken.
pub(crate) fn take_all(carrier: HostSlice) -> Option<Carried> {
    wait_for_all().link(carrier, |_, _| true)
}

impl Drop for Carried {
    fn drop(&mut self) {
        // It may leave once more, without them.
        self.carrier.word(request::POSTED).write(0);
        let mut list = LIST.lock();
        let ended = list.collect();
        list.let_go(self.number);
        drop(list);
        drop(ended);
    }
}
