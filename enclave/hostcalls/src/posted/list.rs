//! The list of what is posted.

use alloc::{collections::VecDeque, sync::Arc, vec::Vec};
use core::sync::atomic::Ordering;

use enclave_core::HostSlice;
use hostcall_abi::request::{self, flag, state};

use super::{
    COUNT, Carried,
    entry::{Entry, Of, Poster, same},
    poster,
};
use crate::Call;

/// In the order in which they were posted.
pub(super) struct List {
    pub(super) entries: VecDeque<Entry>,
    numbers: u64,
    carriers: u64,
    /// Whether calls of senders that hold may be in the list.
    held: bool,
}

/// What is to be dropped without the lock, for that may post a call.
pub(super) type Ended = Vec<(Poster, Option<Of>)>;

impl List {
    pub(super) const fn new() -> Self {
        Self { entries: VecDeque::new(), numbers: 0, carriers: 0, held: false }
    }

    /// Adds a call. Returns whether it is the only one.
    pub(super) fn push(&mut self, call: Call, of: Option<Of>) -> bool {
        let after = of.as_ref().filter(|of| of.is_piece()).and_then(|of| {
            let before = |other: &Of| other.is_piece() && of.has_sender_of(other);
            let before = |entry: &&Entry| entry.of.as_ref().is_some_and(before);
            self.entries.iter().rev().find(before).map(|entry| entry.number)
        });
        let number = self.numbers;
        self.numbers += 1;
        self.held |= of.as_ref().is_some_and(|of| of.sender.holds());
        self.entries.push_back(Entry {
            call,
            of,
            number,
            by: poster(),
            after,
            carrier: 0,
            done: false,
        });
        COUNT.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// What was taken along, and is not done.
    pub(super) fn under_way(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.carrier != 0 && !entry.is_done())
    }

    /// Whether there is a sender that only calls in the list keep.
    pub(super) fn has_ending_sender(&self) -> bool {
        self.entries.iter().any(|entry| {
            let calls = || self.entries.iter().filter(|other| other.has_sender_of(entry)).count();
            let ends = |kept: usize| kept <= self.entries.len() && kept <= calls();
            entry.of.as_ref().is_some_and(|of| ends(Arc::strong_count(&of.sender)))
        })
    }

    /// Takes out what is done. Each sender is told in order.
    pub(super) fn collect(&mut self) -> Ended {
        let mut ended = Vec::new();
        let mut at = 0;
        while let Some(entry) = self.entries.get(at) {
            let waits = || self.entries.range(..at).any(|before| before.has_sender_of(entry));
            if !entry.is_done() || waits() || self.is_looked_at(at, entry.number) {
                at += 1;
            } else if let Some(Entry { call, of, by, .. }) = self.remove(at) {
                call.memory().word(request::FLAGS).write(0);
                if let Some(of) = &of {
                    let result = call.later_result();
                    self.held |= Arc::clone(&of.sender).made(call, of.kind, result);
                }
                ended.push((by, of));
            }
        }
        ended
    }

    /// Whether the host may still look at what came of the call with a number, which is at a place: for the piece
    /// behind it, which is under way.
    fn is_looked_at(&self, at: usize, number: u64) -> bool {
        let behind = self.entries.range(at + 1..).find(|behind| behind.after == Some(number));
        behind.is_some_and(|behind| behind.carrier != 0 && !behind.is_done())
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<Entry> {
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
                later.has_sender_of(entry) || !later.is_taking() && same(&later.by, &entry.by)
            };
            if wanted(entry) || found.iter().any(needed) {
                found.push(at);
            }
        }
        found.reverse();
        found
    }

    /// Has a call take along what of the list is `wanted`, all of which is to be made.
    pub(super) fn link(
        &mut self,
        carrier: HostSlice,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Option<Carried> {
        let number = self.carriers + 1;
        let mut before = carrier;
        for index in self.closure(wanted) {
            // One that is not in the list any more was made, and well: else this would be held.
            let after = self.entries[index].after.and_then(|number| self.address(number));
            let memory = self.entries[index].call.memory();
            memory.word(request::STATE).write(state::SUBMITTED);
            // Until it is made: what comes after it must not take an old result for its own.
            memory.word(request::RESULT).write(request::CALLED_OFF);
            memory.word(request::FLAGS).write(if after.is_some() { flag::CHUNK } else { 0 });
            memory.word(request::AFTER).write(after.unwrap_or(0));
            self.entries[index].carrier = number;
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

    /// The request of the entry with a number.
    fn address(&self, number: u64) -> Option<u64> {
        let at = self.entries.binary_search_by_key(&number, |entry| entry.number).ok()?;
        Some(self.entries.get(at)?.call.memory().address())
    }

    /// Takes out the calls of senders that hold them.
    pub(super) fn call_off_what_is_held(&mut self) -> Ended {
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
                Arc::clone(&of.sender).made(call, of.kind, None);
                ended.push((by, Some(of)));
            }
        }
        ended
    }
}
