//! The list of what is posted.
//!
//! A server may have a hundred calls in it, which all come and go with each exit: so what is done with the whole list
//! looks at each entry a fixed number of times. What belongs together is not searched for: the calls of a sender
//! ([`Queue`](super::Queue)), those of a thread ([`Posters`]), and pieces that follow each other.

use alloc::{collections::VecDeque, sync::Arc, vec::Vec};
use core::sync::atomic::Ordering;

use enclave_core::HostSlice;
use enclave_threads::Thread;
use hostcall_abi::request::{self, flag, state};

use super::{
    COUNT, Carried, Kind, Sender,
    entry::{Entry, Of},
    posters::{Poster, Posters},
};
use crate::{Call, Errno, way::came_back};

/// In the order in which they were posted.
pub(super) struct List {
    entries: VecDeque<Entry>,
    posters: Posters,
    numbers: u64,
    carriers: u64,
    /// Entries that were taken along.
    carried: usize,
    /// Whether calls of senders that hold may be in the list.
    held: bool,
}

/// What an entry has kept: its sender, and with the last one of a thread that. To be dropped without the lock, for
/// that may post a call.
pub(super) type Kept = (Option<Arc<dyn Sender>>, Option<Arc<Thread>>);

/// The same of several.
pub(super) type Ended = Vec<Kept>;

impl List {
    pub(super) const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            posters: Posters::new(),
            numbers: 0,
            carriers: 0,
            carried: 0,
            held: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Has others see how long the list is.
    fn count(&self) {
        COUNT.store(self.entries.len() as u64, Ordering::Relaxed);
    }

    /// Adds a call. Returns whether it is the only one.
    pub(super) fn push(&mut self, call: Call, of: Option<Of>) -> bool {
        self.numbers += 1;
        let number = self.numbers;
        let (mut ticket, mut after) = (0, 0);
        if let Some(of) = &of {
            let queue = of.sender.queue();
            ticket = queue.push();
            if of.is_piece() {
                if let Some(before) = self.place(queue.piece()) {
                    let before = &mut self.entries[before];
                    before.behind = number;
                    after = before.number;
                }
                queue.set_piece(number);
            }
            self.held |= of.sender.holds();
        }
        let by = self.posters.enter();
        self.entries.push_back(Entry {
            call,
            of,
            number,
            ticket,
            by,
            after,
            behind: 0,
            carrier: 0,
            done: false,
        });
        self.count();
        self.entries.len() == 1
    }

    /// Where the entry with a number is, if it is in the list.
    fn place(&self, number: u64) -> Option<usize> {
        // Mostly, it has gone with all that came before the first.
        self.entries.front().filter(|first| first.number <= number)?;
        self.entries.binary_search_by_key(&number, |entry| entry.number).ok()
    }

    /// Takes the last call of a sender out, if it is the piece whose first buffer is `at` and no other call has taken
    /// it along.
    pub(super) fn take_back(&mut self, sender: &impl Sender, at: u64) -> Option<(Call, Kept)> {
        let queue = sender.queue();
        let last = self.place(queue.piece())?;
        let entry = &self.entries[last];
        if !queue.is_last(entry.ticket) || entry.carrier != 0 || entry.call.first_room() != at {
            return None;
        }
        let Entry { call, of, after, by, .. } = self.entries.remove(last)?;
        queue.take_back(after);
        self.count();
        Some((call, (of.map(|of| of.sender), self.posters.leave(by))))
    }

    /// The last call and how many bytes it moves, if this thread has posted it for `sender` as a piece, and no other
    /// call has taken it along.
    pub(super) fn last_piece(&mut self, sender: &impl Sender) -> Option<(&mut Call, &mut u64)> {
        let own = self.own();
        let Entry { call, of: Some(of), by, carrier: 0, .. } = self.entries.back_mut()? else {
            return None;
        };
        let (Kind::Piece(len) | Kind::Write(len)) = &mut of.kind else { return None };
        let is_its = core::ptr::eq(of.sender.queue(), sender.queue());
        (is_its && Some(*by) == own).then_some((call, len))
    }

    /// Who this thread is among the posters ([`Entry::by`]), if it has calls in the list.
    pub(super) fn own(&self) -> Option<usize> {
        self.posters.own()
    }

    /// What was taken along, and is not done.
    pub(super) fn under_way(&self) -> impl Iterator<Item = &Entry> {
        let among = if self.carried == 0 { 0 } else { self.entries.len() };
        let carried = self.entries.iter().take(among).filter(|entry| entry.carrier != 0);
        carried.filter(|entry| !entry.is_done())
    }

    /// Whether there is a sender that only calls in the list keep.
    pub(super) fn has_ending_sender(&self) -> bool {
        let mut senders = self.entries.iter().filter_map(|entry| Some(&entry.of.as_ref()?.sender));
        senders.any(|sender| Arc::strong_count(sender) as u64 <= sender.queue().len())
    }

    /// Takes out what is done. Each sender is told in order.
    pub(super) fn collect(&mut self) -> Ended {
        let mut ended = Vec::new();
        let mut at = 0;
        // What nobody has taken along is not done.
        let mut left = self.carried;
        while left > 0
            && let Some(entry) = self.entries.get(at)
        {
            left -= usize::from(entry.carrier != 0);
            if !entry.is_done() || !entry.is_first() || self.is_looked_at(entry) {
                at += 1;
            } else if let Some(entry) = self.entries.remove(at) {
                self.carried -= 1;
                entry.call.memory().word(request::FLAGS).write(0);
                self.end(entry, Call::later_result, &mut ended);
            }
        }
        if !ended.is_empty() {
            self.count();
        }
        ended
    }

    /// Whether the host may still look at what came of a call: for the piece behind it, which is under way.
    fn is_looked_at(&self, entry: &Entry) -> bool {
        let behind = self.place(entry.behind).map(|at| &self.entries[at]);
        behind.is_some_and(|behind| behind.carrier != 0 && !behind.is_done())
    }

    /// An entry has left the list, the first of its sender, who is told what has come of it.
    fn end(
        &mut self,
        entry: Entry,
        result: impl FnOnce(&Call) -> Option<Result<u64, Errno>>,
        ended: &mut Ended,
    ) {
        let Entry { call, of, by, .. } = entry;
        let thread = self.posters.leave(by);
        let sender = of.map(|Of { sender, kind }| {
            sender.queue().pop();
            let result = result(&call);
            if matches!(result, Some(Err(_))) {
                // Its sender learns by it what a peer has done.
                came_back();
            }
            self.held |= Arc::clone(&sender).made(call, kind, result);
            sender
        });
        if ended.is_empty() {
            // Mostly, all that was taken along ends at once.
            ended.reserve(self.carried + 1);
        }
        ended.push((sender, thread));
    }

    /// Says of all entries that are to be taken along, if the `wanted` ones are, that `carrier` does so: all of a
    /// poster before one that is, and all of a sender.
    fn mark(&mut self, carrier: u64, wanted: impl Fn(&Entry, &Poster) -> bool) {
        for entry in self.entries.iter_mut().rev().filter(|entry| entry.carrier == 0) {
            let poster = self.posters.at(entry.by);
            let queue = entry.queue();
            let with_sender = || queue.is_some_and(|queue| queue.is_taken_by(carrier));
            if poster.carrier == carrier || wanted(entry, poster) || with_sender() {
                if !entry.is_taking() {
                    poster.carrier = carrier;
                }
                if let Some(queue) = queue {
                    queue.take_by(carrier);
                }
                entry.carrier = carrier;
                self.carried += 1;
            }
        }
    }

    /// Has a call take along what of the list is `wanted`, all of which is to be made.
    pub(super) fn link(
        &mut self,
        carrier: HostSlice,
        wanted: impl Fn(&Entry, &Poster) -> bool,
    ) -> Option<Carried> {
        let number = self.carriers + 1;
        self.mark(number, wanted);
        let mut before = carrier;
        for entry in self.entries.iter().filter(|entry| entry.carrier == number) {
            // One that is not in the list any more was made, and well: else this would be held.
            let after = self.place(entry.after).map(|at| self.entries[at].call.memory().address());
            let memory = entry.call.memory();
            memory.word(request::STATE).write(state::SUBMITTED);
            // Until it is made: what comes after it must not take an old result for its own.
            memory.word(request::RESULT).write(request::CALLED_OFF);
            memory.word(request::FLAGS).write(if after.is_some() { flag::CHUNK } else { 0 });
            memory.word(request::AFTER).write(after.unwrap_or(0));
            before.word(request::POSTED).write(memory.address());
            before = memory;
        }
        before.word(request::POSTED).write(0);
        if before.address() == carrier.address() {
            return None;
        }
        self.carriers = number;
        Some(Carried { carrier, number })
    }

    /// The call that took entries along has come back. What the host did not get to, another call takes along.
    pub(super) fn let_go(&mut self, carrier: u64) {
        let among = if self.carried == 0 { 0 } else { self.entries.len() };
        let entries = self.entries.iter_mut().take(among);
        for entry in entries.filter(|entry| entry.carrier == carrier) {
            entry.done = entry.is_done();
            if !entry.done {
                entry.carrier = 0;
                self.carried -= 1;
            }
        }
    }

    /// Takes out the calls of senders that hold them.
    pub(super) fn call_off_what_is_held(&mut self) -> Ended {
        let mut ended = Vec::new();
        let rest = if core::mem::take(&mut self.held) { self.entries.len() } else { 0 };
        for _ in 0..rest {
            let Some(entry) = self.entries.pop_front() else { break };
            let held = entry.of.as_ref().is_some_and(|of| of.sender.holds());
            // Senders are told in order: behind one that is under way, the host calls it off.
            let behind = held && !entry.is_first();
            self.held |= behind;
            if entry.carrier != 0 || behind || !held {
                self.entries.push_back(entry);
            } else {
                self.end(entry, |_| None, &mut ended);
            }
        }
        if rest > 0 {
            self.count();
        }
        ended
    }
}
