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
//!   for what the kernel must have lost before anybody looks again ([`Kind::Taking`]), and for what another
//!   thread may know to be on its way ([`has_both_ends`]).
//! * **Nothing posted waits for a call that waits**: what is posted when a sender ends, as the close of a
//!   stream, is made before ([`end_senders`]).
//! * **Nothing posted is left behind**: an enclave thread that goes to sleep, a tick, and the end of the
//!   process make all that is in the list ([`flush`]).
//! * **A posted call never waits**, and what it has come to is told to its [`Sender`], who makes good
//!   what the program was told already.

mod entry;

use alloc::{collections::VecDeque, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use enclave_core::{HostSlice, Mutex, MutexGuard, has_current};
use enclave_threads::{current, give_processor_away, want_tick};
use hostcall_abi::request::{self, flag, state};

use crate::{
    Call, Errno,
    way::{are_posted, may_be_posted, post},
};
use entry::{Entry, Of, Poster, same};

/// Most calls in the list.
const MOST: u64 = 256;
/// Looks at a list that another enclave thread takes along, before the processor is given away.
const LOOKS: u32 = 500;

/// Who posts calls that may come to another end than the program was told.
pub trait Sender: Send + Sync {
    /// Whether nothing more of this sender may be made: something before it was not.
    fn holds(&self) -> bool;

    /// A call was made, with this result; `None` if it was called off. In the order in which they were
    /// posted. Must be short, and make no call. Returns whether the sender holds from here on.
    fn made(self: Arc<Self>, call: Call, result: Option<Result<u64, Errno>>) -> bool;
}

/// What a posted call of a sender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A piece of a stream: it must not be made unless the piece before did all that its third argument
    /// asked for.
    Piece,
    /// A question.
    Question,
    /// It takes from the kernel what the program has got already: no call of any thread overtakes it.
    Taking,
}

/// Whether this process may have both ends of a stream.
static BOTH_ENDS: AtomicBool = AtomicBool::new(false);

/// To be called when the process is about to connect a stream: it may have both ends of it.
pub fn connects() {
    BOTH_ENDS.store(true, Ordering::SeqCst);
}

/// Whether this process may have both ends of a stream, and so know what is on its way.
#[must_use]
pub fn has_both_ends() -> bool {
    BOTH_ENDS.load(Ordering::SeqCst)
}

/// In the order in which they were posted.
struct List {
    entries: VecDeque<Entry>,
    numbers: u64,
    carriers: u64,
    /// Whether calls of senders that hold may be in the list.
    held: bool,
}

static LIST: Mutex<List> =
    Mutex::new(List { entries: VecDeque::new(), numbers: 0, carriers: 0, held: false });
/// Entries of the list, for a look without the lock.
static COUNT: AtomicU64 = AtomicU64::new(0);

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

/// Takes the last call that was posted for `sender` out of the list, if it is the one whose first buffer is `at`
/// and no other call has taken it along.
pub fn take_back(sender: &Arc<dyn Sender>, at: u64) -> Option<Call> {
    let mut list = LIST.lock();
    let of = |entry: &Entry| entry.of.as_ref().is_some_and(|of| Arc::ptr_eq(&of.sender, sender));
    let last = list.entries.iter().rposition(of)?;
    let entry = list.entries.get(last)?;
    if entry.carrier != 0 || entry.call.first_room() != at {
        return None;
    }
    let entry = list.remove(last);
    drop(list);
    entry.map(|entry| entry.call)
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
        drop(wait_while(|list| list.under_way().next().is_some()));
        if let Ok(call) = Call::new(GETPPID, 0) {
            call.run_with_all();
        }
    }
}

/// Waits until the host has made what `under_way` says is to be waited for; returns the list.
fn wait_while(under_way: impl Fn(&List) -> bool) -> MutexGuard<'static, List> {
    let mut looks = 0;
    loop {
        let mut list = LIST.lock();
        let ended = list.collect();
        if !under_way(&list) {
            if ended.is_empty() {
                return list;
            }
            // To drop them may post a call.
            drop(list);
            drop(ended);
            continue;
        }
        drop(list);
        drop(ended);
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
    let number = list.numbers;
    list.numbers += 1;
    let after = of.as_ref().filter(|of| of.kind == Kind::Piece).and_then(|of| {
        let before = |entry: &&Entry| {
            entry.is(Kind::Piece) && entry.of.as_ref().is_some_and(|other| of.has_sender_of(other))
        };
        list.entries.iter().rev().find(before).map(|entry| entry.number)
    });
    list.held |= of.as_ref().is_some_and(|of| of.sender.holds());
    list.entries.push_back(Entry {
        call,
        of,
        number,
        by: poster(),
        after,
        carrier: 0,
        done: false,
    });
    let alone = COUNT.fetch_add(1, Ordering::Relaxed) == 0;
    drop(list);
    post();
    if alone {
        want_tick();
    }
}

/// The list, taken along by a call.
#[derive(Debug)]
pub(crate) struct Carried {
    carrier: HostSlice,
    number: u64,
}

/// The thread that runs this, if one does.
fn poster() -> Poster {
    has_current().then(current)
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
    let own = poster();
    let waited_for = |entry: &Entry| entry.is_for_all() || same(&entry.by, &own);
    let list = wait_while(|list| list.under_way().any(waited_for));
    link(list, carrier, |entry| {
        entry.is_for_all() || entry.by.as_ref().is_none_or(|by| !by.runs_elsewhere())
    })
}

/// Has the staged call in `carrier` take along all that nobody has taken yet.
pub(crate) fn take_all(carrier: HostSlice) -> Option<Carried> {
    link(LIST.lock(), carrier, |_| true)
}

fn link(
    mut list: MutexGuard<'static, List>,
    carrier: HostSlice,
    wanted: impl Fn(&Entry) -> bool,
) -> Option<Carried> {
    let (carried, held) = list.link(carrier, wanted);
    drop(list);
    drop(held);
    carried
}

impl Drop for Carried {
    fn drop(&mut self) {
        // It may leave once more, without them.
        self.carrier.word(request::POSTED).write(0);
        let mut list = LIST.lock();
        let ended = list.collect();
        for entry in list.entries.iter_mut().filter(|entry| entry.carrier == self.number) {
            entry.done = entry.is_done();
            if !entry.done {
                // The host did not get there: another call takes it along.
                entry.carrier = 0;
            }
        }
        drop(list);
        drop(ended);
    }
}

/// What is to be dropped without the lock, for that may post a call.
type Ended = Vec<(Poster, Option<Of>)>;

impl List {
    /// What was taken along, and is not done.
    fn under_way(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.carrier != 0 && !entry.is_done())
    }

    /// Whether there is a sender that only calls in the list keep.
    fn has_ending_sender(&self) -> bool {
        self.entries.iter().any(|entry| {
            let calls = self.entries.iter().filter(|other| other.has_sender_of(entry)).count();
            entry.of.as_ref().is_some_and(|of| Arc::strong_count(&of.sender) <= calls)
        })
    }

    /// Takes out what is done. Each sender is told in order.
    fn collect(&mut self) -> Ended {
        let mut ended = Vec::new();
        let mut at = 0;
        while let Some(entry) = self.entries.get(at) {
            let waits = || self.entries.range(..at).any(|before| before.has_sender_of(entry));
            if !entry.is_done() || waits() {
                at += 1;
            } else if let Some(Entry { call, of, by, .. }) = self.remove(at) {
                call.memory().word(request::FLAGS).write(0);
                if let Some(of) = &of {
                    let result = call.later_result();
                    self.held |= Arc::clone(&of.sender).made(call, result);
                }
                ended.push((by, of));
            }
        }
        ended
    }

    fn remove(&mut self, at: usize) -> Option<Entry> {
        let entry = self.entries.remove(at)?;
        COUNT.fetch_sub(1, Ordering::Relaxed);
        Some(entry)
    }

    /// Which entries are to be taken along, if the `wanted` ones are: all of a poster before one that is,
    /// and all of a sender.
    fn closure(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        for (at, entry) in self.entries.iter().enumerate().rev().filter(|(_, e)| e.carrier == 0) {
            let needed = |&later: &usize| {
                let later = &self.entries[later];
                later.has_sender_of(entry) || !later.is(Kind::Taking) && same(&later.by, &entry.by)
            };
            if wanted(entry) || found.iter().any(needed) {
                found.push(at);
            }
        }
        found.reverse();
        found
    }

    /// Has a call take along what of the list is `wanted`, all of which is to be made.
    fn link(
        &mut self,
        carrier: HostSlice,
        wanted: impl Fn(&Entry) -> bool,
    ) -> (Option<Carried>, Ended) {
        let held = self.call_off_what_is_held();
        let mut before = carrier;
        for index in self.closure(wanted) {
            // One that is not in the list any more was made, and well: else this were held.
            let after = self.entries[index].after.and_then(|number| self.address(number));
            let memory = self.entries[index].call.memory();
            memory.word(request::STATE).write(state::SUBMITTED);
            // Until it is made: what comes after it must not take an old result for its own.
            memory.word(request::RESULT).write(request::CALLED_OFF);
            memory.word(request::FLAGS).write(if after.is_some() { flag::CHUNK } else { 0 });
            memory.word(request::AFTER).write(after.unwrap_or(0));
            self.entries[index].carrier = self.carriers + 1;
            before.word(request::POSTED).write(memory.address());
            before = memory;
        }
        before.word(request::POSTED).write(0);
        if before.address() == carrier.address() {
            return (None, held);
        }
        self.carriers += 1;
        (Some(Carried { carrier, number: self.carriers }), held)
    }

    /// The request of the entry with a number.
    fn address(&self, number: u64) -> Option<u64> {
        let at = self.entries.binary_search_by_key(&number, |entry| entry.number).ok()?;
        Some(self.entries.get(at)?.call.memory().address())
    }

    /// Takes out the calls of senders that hold them.
    fn call_off_what_is_held(&mut self) -> Ended {
        let held = |entry: &Entry| entry.of.as_ref().is_some_and(|of| of.sender.holds());
        let mut ended = Vec::new();
        let rest = if core::mem::take(&mut self.held) { self.entries.len() } else { 0 };
        let mut kept = 0;
        for _ in 0..rest {
            let Some(entry) = self.entries.pop_front() else { break };
            // Senders are told in order: behind one that is under way, the host calls it off.
            let mut before = self.entries.iter().rev().take(kept);
            let behind = held(&entry) && before.any(|before| before.has_sender_of(&entry));
            self.held |= behind;
            if entry.carrier != 0 || behind || !held(&entry) {
                self.entries.push_back(entry);
                kept += 1;
            } else if let Entry { call, of: Some(of), by, .. } = entry {
                COUNT.fetch_sub(1, Ordering::Relaxed);
                Arc::clone(&of.sender).made(call, None);
                ended.push((by, Some(of)));
            }
        }
        ended
    }
}
