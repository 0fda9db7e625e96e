//! Posted calls: made with the next call that leaves, for their answers are known.
//!
//! A server's thread leaves the enclave for each answer that it sends and each file that it closes, and
//! learns nothing by it. Such calls are staged and put into a list instead. Whichever call leaves next,
//! of whatever thread, takes the list along, and the host makes what is in it first. So:
//!
//! * **No call overtakes a posted one**: one that leaves while another enclave thread takes the list
//!   along waits until it is made. What the host sees is in the order in which the program did it.
//! * **Nothing posted is left behind**: an enclave thread that goes to sleep, a tick, and the end of the
//!   process make what is in the list ([`flush`]).
//! * **A posted call never waits**, and what it has come to is told to its [`Sender`], who makes good
//!   what the program was told already.

use alloc::{collections::VecDeque, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use enclave_core::{HostSlice, Mutex};
use enclave_threads::{give_processor_away, want_tick};
use hostcall_abi::request::{self, flag, state};

use crate::{Call, Errno, Wait};

/// Most calls in the list.
const MOST: u64 = 64;
/// Looks at a list that another enclave thread takes along, before the processor is given away.
const LOOKS: u32 = 20_000;

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
}

struct Of {
    sender: Arc<dyn Sender>,
    kind: Kind,
}

impl Of {
    fn is_piece_of(&self, sender: &Arc<dyn Sender>) -> bool {
        self.kind == Kind::Piece && Arc::ptr_eq(&self.sender, sender)
    }
}

struct Entry {
    call: Call,
    of: Option<Of>,
    /// Entries are counted for ever.
    number: u64,
    /// The piece before, which may be done.
    after: Option<u64>,
    /// Who takes it along, 0 for nobody yet.
    carrier: u64,
}

/// In the order in which they were posted. What is taken along is at the front.
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
/// Calls that were posted so far.
static TOTAL: AtomicU64 = AtomicU64::new(0);
static ENABLED: AtomicBool = AtomicBool::new(false);

/// Says whether calls may be posted; if not, each leaves by itself.
pub(crate) fn enable(wanted: bool) {
    ENABLED.store(wanted, Ordering::Relaxed);
}

/// Whether a call can be posted now.
#[must_use]
pub fn can_post() -> bool {
    ENABLED.load(Ordering::Relaxed) && COUNT.load(Ordering::Relaxed) < MOST
}

/// Calls that were posted so far.
#[must_use]
pub fn posted() -> u64 {
    TOTAL.load(Ordering::Relaxed)
}

/// Makes what is in the list.
pub fn flush() {
    const GETPPID: u64 = 110;
    if COUNT.load(Ordering::Relaxed) > 0
        && let Ok(call) = Call::new(GETPPID, 0)
    {
        let _ = call.run(Wait::No);
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
        let before =
            |entry: &&Entry| entry.of.as_ref().is_some_and(|other| other.is_piece_of(&of.sender));
        list.entries.iter().rev().find(before).map(|entry| entry.number)
    });
    list.held |= of.as_ref().is_some_and(|of| of.sender.holds());
    list.entries.push_back(Entry { call, of, number, after, carrier: 0 });
    let alone = COUNT.fetch_add(1, Ordering::Relaxed) == 0;
    drop(list);
    TOTAL.fetch_add(1, Ordering::Relaxed);
    if alone {
        want_tick();
    }
}

/// The list, taken along by a call.
#[derive(Debug)]
pub(crate) struct Carried(u64);

/// Has the staged call in `carrier` take the list along.
#[inline(always)]
pub(crate) fn take_along(carrier: HostSlice) -> Option<Carried> {
    if COUNT.load(Ordering::Relaxed) == 0 { None } else { link(carrier) }
}

#[cold]
fn link(carrier: HostSlice) -> Option<Carried> {
    let mut looks = 0;
    loop {
        let mut list = LIST.lock();
        let ended = list.collect();
        let under_way = list.entries.front().is_some_and(|entry| entry.carrier != 0);
        if !under_way {
            let (carried, held) = list.link(carrier);
            drop(list);
            drop((ended, held));
            return carried;
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

impl Drop for Carried {
    fn drop(&mut self) {
        let mut list = LIST.lock();
        let ended = list.collect();
        for entry in list.entries.iter_mut().filter(|entry| entry.carrier == self.0) {
            // The host did not get there: another call takes it along.
            entry.carrier = 0;
        }
        drop(list);
        drop(ended);
    }
}

/// What is to be dropped without the lock, for that may post a call.
type Ended = Vec<Of>;

impl List {
    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        COUNT.fetch_sub(1, Ordering::Relaxed);
        Some(entry)
    }

    /// Takes out what is done.
    fn collect(&mut self) -> Ended {
        let mut ended = Vec::new();
        while let Some(entry) = self.entries.front()
            && entry.carrier != 0
            && entry.call.memory().word(request::STATE).read() == state::DONE
            && let Some(Entry { call, of, .. }) = self.pop()
        {
            call.memory().word(request::FLAGS).write(0);
            if let Some(of) = of {
                let result = call.posted_result();
                self.held |= Arc::clone(&of.sender).made(call, result);
                ended.push(of);
            }
        }
        ended
    }

    /// Has a call take along what is in the list, all of which is to be made.
    fn link(&mut self, carrier: HostSlice) -> (Option<Carried>, Ended) {
        let held = self.call_off_what_is_held();
        if self.entries.is_empty() {
            return (None, held);
        }
        self.carriers += 1;
        let mut before = carrier;
        for index in 0..self.entries.len() {
            // One that is not in the list any more was made, and well: else this were held.
            let after = self.entries[index].after.and_then(|number| self.address(number));
            let entry = &mut self.entries[index];
            entry.carrier = self.carriers;
            let memory = entry.call.memory();
            memory.word(request::STATE).write(state::SUBMITTED);
            memory.word(request::FLAGS).write(if after.is_some() { flag::CHUNK } else { 0 });
            memory.word(request::AFTER).write(after.unwrap_or(0));
            before.word(request::POSTED).write(memory.address());
            before = memory;
        }
        before.word(request::POSTED).write(0);
        (Some(Carried(self.carriers)), held)
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
        for _ in 0..rest {
            let Some(entry) = self.entries.pop_front() else { break };
            if !held(&entry) {
                self.entries.push_back(entry);
            } else if let Some(of) = entry.of {
                COUNT.fetch_sub(1, Ordering::Relaxed);
                Arc::clone(&of.sender).made(entry.call, None);
                ended.push(of);
            }
        }
        ended
    }
}
