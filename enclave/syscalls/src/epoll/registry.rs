//! What is registered in an epoll set, by token and by descriptor.

use alloc::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    vec::Vec,
};

use enclave_core::to_usize;
use enclave_files::{OpenFile, Told};
use enclave_hostcalls::misbehaved;

use super::{event, inside::Inside};

/// Names a registration for the host: index in the low half, generation in the high half. The
/// generation changes with each use of the index, so that late events are told from lies, and with each
/// change of the registration, so that a one-shot event is told from one that came before it was armed again.
pub(super) type Token = u64;

/// The token of another generation of a registration.
pub(super) fn of_generation(token: Token, generation: u32) -> Token {
    u64::from(generation) << 32 | token & 0xffff_ffff
}

/// A registration.
pub(super) struct Entry {
    pub(super) file: Weak<OpenFile>,
    /// Whether the host knows of it.
    pub(super) on_host: bool,
    /// What the program wants to know, and how.
    pub(super) events: u32,
    /// What the program wants to be told.
    pub(super) data: u64,
    /// There if the stream is to know what is reported of it.
    pub(super) told: Option<Arc<Told>>,
    /// There if the object can become ready without the host.
    pub(super) inside: Option<Arc<Inside>>,
    /// The host's number for a file that is registered by another number already.
    pub(super) twin: Option<u64>,
    key: Key,
    /// The generation that it was made with: those since then are its own.
    first: u32,
    /// The generation that the host is to report; `None` when a one-shot event was reported.
    pub(super) armed: Option<u32>,
    /// The call of the host that reported it last.
    reported: u64,
}

impl Entry {
    /// What of `events` is to be reported now.
    pub(super) fn wanted(&self, events: u32) -> u32 {
        events & wanted(self.events)
    }

    /// Notes that the call `call` of the host reports it. One that does so twice ends the enclave.
    pub(super) fn note_report(&mut self, call: u64) {
        if core::mem::replace(&mut self.reported, call) == call {
            misbehaved("the host misbehaved: it reported the same twice at once");
        }
    }

    /// What of `events` goes to the program that the host reports by `token`. Of a one-shot registration
    /// that is one event each time that it is armed.
    pub(super) fn take(&mut self, token: Token, events: u32) -> u32 {
        let wanted = self.wanted(events);
        if self.events & event::ONESHOT == 0 || wanted == 0 {
            return wanted;
        }
        let is_armed = self.armed.is_some_and(|generation| u64::from(generation) == token >> 32);
        if !is_armed {
            return 0;
        }
        self.armed = None;
        wanted
    }
}

/// What a registration for `events` reports; nothing after a one-shot event.
pub(super) fn wanted(events: u32) -> u32 {
    match events & !event::HOW {
        0 if events & event::ONESHOT != 0 => 0,
        wanted => wanted | event::ALWAYS,
    }
}

/// Descriptor of the program and address of the open file.
type Key = (u64, usize);

/// The last generation: an index that had it is never used again.
const LAST: u64 = u32::MAX as u64;

struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

/// What a token stands for.
pub(super) enum Found<'a> {
    /// A registration.
    Entry(&'a mut Entry),
    /// One that was removed: an event may have been on its way.
    Gone,
    /// Nothing that ever was.
    Never,
}

/// The registrations of a set.
#[derive(Default)]
pub(super) struct Registry {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_key: BTreeMap<Key, Token>,
    /// Calls of the host that have reported something.
    calls: u64,
    /// Files that died are looked for when there are so many registrations.
    sweep_at: usize,
}

fn key(fd: u64, file: &Arc<OpenFile>) -> Key {
    (fd & 0xffff_ffff, Arc::as_ptr(file).addr())
}

impl Registry {
    /// The token of a registration.
    pub(super) fn token(&self, fd: u64, file: &Arc<OpenFile>) -> Option<Token> {
        // The weak reference keeps the address from being used again.
        self.by_key.get(&key(fd, file)).copied()
    }

    /// Registers what is not registered yet; returns its token.
    pub(super) fn insert(
        &mut self,
        fd: u64,
        file: &Arc<OpenFile>,
        events: u32,
        data: u64,
    ) -> Token {
        let key = key(fd, file);
        let on_host = file.host().is_some();
        let told = event::told(file, events).map(Arc::clone);
        let file = Arc::downgrade(file);
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, entry: None });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let slot = &mut self.slots[to_usize(index.into())];
        let first = slot.generation;
        slot.entry = Some(Entry {
            file,
            on_host,
            events,
            data,
            told,
            inside: None,
            twin: None,
            key,
            first,
            armed: Some(first),
            reported: 0,
        });
        let token = of_generation(index.into(), first);
        self.by_key.insert(key, token);
        token
    }

    /// Notes the number that a registration has on the host instead of its file's.
    pub(super) fn set_twin(&mut self, token: Token, number: u64) {
        if let Found::Entry(entry) = self.find(token) {
            entry.twin = Some(number);
        }
    }

    /// The number of a call of the host that has reported something.
    pub(super) fn next_call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    /// A new generation for a registration. When they are used up, the last one is used again.
    pub(super) fn next_generation(&mut self, token: Token) -> Option<u32> {
        let slot = self.slots.get_mut(to_usize(token & 0xffff_ffff))?;
        slot.generation = slot.generation.saturating_add(1);
        Some(slot.generation)
    }

    /// What a token stands for.
    pub(super) fn find(&mut self, token: Token) -> Found<'_> {
        let (index, generation) = (token & 0xffff_ffff, token >> 32);
        let Some(slot) = self.slots.get_mut(to_usize(index)) else { return Found::Never };
        match &mut slot.entry {
            _ if generation > u64::from(slot.generation) => Found::Never,
            Some(entry) if generation >= u64::from(entry.first) => Found::Entry(entry),
            None if generation == u64::from(slot.generation) && generation < LAST => Found::Never,
            _ => Found::Gone,
        }
    }

    /// Removes a registration. What it held is to be dropped without a lock.
    pub(super) fn remove(&mut self, token: Token) -> Option<Entry> {
        let index = token & 0xffff_ffff;
        let slot = self.slots.get_mut(to_usize(index))?;
        let entry = slot.entry.take()?;
        self.by_key.remove(&entry.key);
        // An index whose generations are used up is never used again.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(u32::try_from(index).unwrap_or(u32::MAX));
        }
        Some(entry)
    }

    /// Removes the registrations of files that are closed, if it is time for that: Linux does so
    /// when a file dies, and the host has done it.
    pub(super) fn sweep(&mut self) -> Vec<Entry> {
        if self.by_key.len() < self.sweep_at {
            return Vec::new();
        }
        let entries = self.slots.iter().filter_map(|slot| slot.entry.as_ref());
        let dead = entries.filter(|entry| entry.file.strong_count() == 0);
        let dead: Vec<Token> =
            dead.filter_map(|entry| self.by_key.get(&entry.key).copied()).collect();
        let removed = dead.into_iter().filter_map(|token| self.remove(token)).collect();
        self.sweep_at = (2 * self.by_key.len()).max(64);
        removed
    }
}
