//! The signals of a process and its threads.

mod queues;

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    Action, AltStack, Disposition, Pending, SigInfo, SigSet, flags,
    number::{MAX, SIGCONT, SIGKILL, SIGRTMIN, STOPPING, UNBLOCKABLE, is_valid},
};

/// Signals a process can have in its queues, unless it is told otherwise (RLIMIT_SIGPENDING).
const QUEUE_LIMIT: usize = 7_810;

/// Whom a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Any thread that does not block it.
    Process,
    /// One thread.
    Thread(u32),
}

/// There is no such thread (ESRCH).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownThread;

/// No more real-time signals can be queued (EAGAIN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

/// What became of a signal that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is ignored.
    Ignored,
    /// It merged with one that waits.
    Merged,
    /// It waits until somebody unblocks or takes it.
    Waits,
    /// This thread must look for it.
    Wakes(u32),
}

/// A handler that is to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The signal.
    pub info: SigInfo,
    /// Its action at this time.
    pub action: Action,
    /// The mask that the frame restores.
    pub mask: SigSet,
    /// Threads that must look for signals of the process which this one does not take any more.
    pub others: Vec<u32>,
}

/// What a thread has to do before it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Call a handler.
    Deliver(Delivery),
    /// End the process by this signal.
    Terminate(u32),
    /// Stop the process by this signal, then ask again.
    Stop(u32),
}

#[derive(Clone, Debug, Default)]
struct ThreadSignals {
    blocked: SigSet,
    /// The mask to go back to, once a temporary one has done its work (sigsuspend).
    saved: Option<SigSet>,
    /// Signals that the thread waits for (sigtimedwait).
    waits_for: SigSet,
    pending: Pending,
    altstack: AltStack,
}

impl ThreadSignals {
    fn hidden(&self) -> SigSet {
        self.blocked.without(self.waits_for)
    }
}

/// The signals of a process.
#[derive(Clone, Debug)]
pub struct Signals {
    actions: [Action; MAX as usize],
    shared: Pending,
    threads: BTreeMap<u32, ThreadSignals>,
    leader: u32,
    /// Signals that the queues may hold together.
    limit: usize,
}

fn index(signal: u32) -> usize {
    signal as usize - 1
}

impl Signals {
    /// A process whose first thread is `leader`, with the signals that it ignores and blocks from
    /// the start.
    #[must_use]
    pub fn new(leader: u32, ignored: SigSet, blocked: SigSet) -> Self {
        let mut actions = [Action::DEFAULT; MAX as usize];
        let ignored = ignored.without(UNBLOCKABLE);
        for signal in (1..=MAX).filter(|&signal| ignored.contains(signal)) {
            actions[index(signal)] = Action::ignore();
        }
        let first =
            ThreadSignals { blocked: blocked.without(UNBLOCKABLE), ..ThreadSignals::default() };
        Self {
            actions,
            shared: Pending::default(),
            threads: [(leader, first)].into(),
            leader,
            limit: QUEUE_LIMIT,
        }
    }

    /// Adds a thread that `parent` has made: it inherits the mask.
    pub fn add_thread(&mut self, tid: u32, parent: u32) {
        let blocked = self.blocked(parent);
        self.threads.insert(tid, ThreadSignals { blocked, ..ThreadSignals::default() });
    }

    /// Removes a thread that has ended. Returns a thread that must look for signals of the process
    /// in its place, if any waits.
    pub fn remove_thread(&mut self, tid: u32) -> Option<u32> {
        self.threads.remove(&tid);
        let waiting = self.shared.set();
        (1..=MAX)
            .filter(|&signal| waiting.contains(signal))
            .find_map(|signal| self.choose(Target::Process, signal))
    }

    /// Whether there is such a thread.
    #[must_use]
    pub fn has_thread(&self, tid: u32) -> bool {
        self.threads.contains_key(&tid)
    }

    /// All threads.
    pub fn threads(&self) -> impl Iterator<Item = u32> + '_ {
        self.threads.keys().copied()
    }

    /// Resets what a new program does not keep: handlers and alternate stacks.
    pub fn exec(&mut self) {
        for action in &mut self.actions {
            *action = if action.is_ignore() { Action::ignore() } else { Action::DEFAULT };
        }
        for thread in self.threads.values_mut() {
            thread.altstack = AltStack::default();
        }
    }

    /// The action of a signal.
    #[must_use]
    pub fn action(&self, signal: u32) -> Action {
        self.actions[index(signal)]
    }

    /// Sets the action of a signal that can be caught, returns the old one. What is ignored from
    /// now on is dropped from the queues.
    pub fn set_action(&mut self, signal: u32, mut action: Action) -> Action {
        action.flags &= flags::KNOWN;
        action.mask = action.mask().without(UNBLOCKABLE).0;
        let old = core::mem::replace(&mut self.actions[index(signal)], action);
        if action.disposition(signal) == Disposition::Ignore {
            self.flush(SigSet::one(signal));
        }
        old
    }

    fn flush(&mut self, set: SigSet) {
        self.shared.flush(set);
        for thread in self.threads.values_mut() {
            thread.pending.flush(set);
        }
    }

    /// The signals with a handler, and those that are ignored explicitly.
    #[must_use]
    pub fn dispositions(&self) -> (SigSet, SigSet) {
        let mut caught = SigSet::EMPTY;
        let mut ignored = SigSet::EMPTY;
        for (signal, action) in (1..=MAX).zip(&self.actions) {
            match action.disposition(signal) {
                Disposition::Handler => caught = caught | SigSet::one(signal),
                Disposition::Ignore if action.is_ignore() => {
                    ignored = ignored | SigSet::one(signal);
                }
                _ => {}
            }
        }
        (caught, ignored)
    }

    /// What a thread blocks.
    #[must_use]
    pub fn blocked(&self, tid: u32) -> SigSet {
        self.threads.get(&tid).map_or(SigSet::EMPTY, |thread| thread.blocked)
    }

    /// Replaces what a thread blocks. Returns threads that must look for signals of the process
    /// which this one does not take any more.
    pub fn set_blocked(&mut self, tid: u32, set: SigSet) -> Vec<u32> {
        let Some(thread) = self.threads.get_mut(&tid) else { return Vec::new() };
        let set = set.without(UNBLOCKABLE);
        let newly = set.without(thread.blocked);
        thread.blocked = set;
        let orphans = newly & self.shared.set();
        (1..=MAX)
            .filter(|&signal| orphans.contains(signal))
            .filter_map(|signal| self.choose(Target::Process, signal))
            .collect()
    }

    /// Blocks `set` until the next handler has been called or [`Self::settle`].
    pub fn block_for_now(&mut self, tid: u32, set: SigSet) -> Vec<u32> {
        let old = self.blocked(tid);
        let others = self.set_blocked(tid, set);
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.saved.get_or_insert(old);
        }
        others
    }

    /// Ends a temporary mask.
    pub fn settle(&mut self, tid: u32) -> Vec<u32> {
        let saved = self.threads.get_mut(&tid).and_then(|thread| thread.saved.take());
        saved.map_or_else(Vec::new, |saved| self.set_blocked(tid, saved))
    }

    /// Whether a thread has a temporary mask.
    #[must_use]
    pub fn is_unsettled(&self, tid: u32) -> bool {
        self.threads.get(&tid).is_some_and(|thread| thread.saved.is_some())
    }

    /// Says which signals a thread waits for, although it blocks them.
    pub fn wait_for(&mut self, tid: u32, set: SigSet) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.waits_for = set;
        }
    }

    /// The alternate stack of a thread.
    pub fn altstack(&mut self, tid: u32) -> Option<&mut AltStack> {
        self.threads.get_mut(&tid).map(|thread| &mut thread.altstack)
    }

    /// Whether a thread has to ask [`Self::next`].
    #[must_use]
    pub fn is_wanted(&self, tid: u32) -> bool {
        let hidden = self.threads.get(&tid).map_or(SigSet::EMPTY, ThreadSignals::hidden);
        !self.pending(tid).without(hidden).is_empty()
    }

    /// The thread that takes `signal`, if one does.
    fn choose(&self, target: Target, signal: u32) -> Option<u32> {
        let wants = |thread: &ThreadSignals| !thread.hidden().contains(signal);
        match target {
            Target::Thread(tid) => self.threads.get(&tid).filter(|t| wants(t)).map(|_| tid),
            Target::Process => {
                // Whoever waits for it, the leader, one that has nothing else to do, any.
                let eligible = || self.threads.iter().filter(|(_, thread)| wants(thread));
                let waits = eligible().find(|(_, thread)| thread.waits_for.contains(signal));
                let leader = || eligible().find(|(tid, _)| **tid == self.leader);
                let idle = || eligible().find(|(tid, _)| !self.is_wanted_by_own(**tid));
                let found = waits.or_else(leader).or_else(idle).or_else(|| eligible().next());
                found.map(|(tid, _)| *tid)
            }
        }
    }

    fn is_wanted_by_own(&self, tid: u32) -> bool {
        self.threads.get(&tid).is_some_and(|t| !t.pending.set().without(t.hidden()).is_empty())
    }

    fn is_ignored(&self, target: Target, signal: u32) -> bool {
        let disposition = self.action(signal).disposition(signal);
        let blocks = |thread: &ThreadSignals| thread.blocked.contains(signal);
        let kept = match target {
            Target::Thread(tid) => self.threads.get(&tid).is_some_and(blocks),
            Target::Process => self.threads.values().any(blocks),
        };
        disposition == Disposition::Ignore && !kept
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] for a real-time signal from sigqueue(3) and kin.
    pub fn send(&mut self, target: Target, info: SigInfo) -> Result<Sent, QueueFull> {
        let signal = info.signal();
        debug_assert!(is_valid(signal));
        if signal == SIGCONT {
            self.flush(STOPPING);
        } else if STOPPING.contains(signal) {
            self.flush(SigSet::one(SIGCONT));
        }
        if self.is_ignored(target, signal) {
            return Ok(Sent::Ignored);
        }
        let full = signal >= SIGRTMIN && self.queued() >= self.limit;
        let queue = match target {
            Target::Process => &mut self.shared,
            Target::Thread(tid) => match self.threads.get_mut(&tid) {
                Some(thread) => &mut thread.pending,
                None => return Ok(Sent::Ignored),
            },
        };
        if full {
            return Err(QueueFull);
        }
        if !queue.add(info) {
            return Ok(Sent::Merged);
        }
        Ok(self.choose(target, signal).map_or(Sent::Waits, Sent::Wakes))
    }

    /// Sends a signal that a thread has raised by a fault: if it cannot be delivered to a handler,
    /// it ends the process.
    pub fn force(&mut self, tid: u32, info: SigInfo) {
        let signal = info.signal();
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let action = &mut self.actions[index(signal)];
        let hidden = thread.blocked.contains(signal);
        if hidden || action.is_ignore() {
            *action = Action::DEFAULT;
            thread.blocked = thread.blocked.without(SigSet::one(signal));
        }
        thread.pending.flush(SigSet::one(signal));
        thread.pending.add(info);
    }

    /// A frame for `signal` could not be written: SIGSEGV, without its handler if it was that.
    pub fn frame_failed(&mut self, tid: u32, signal: u32) {
        const SIGSEGV: u32 = crate::number::SIGSEGV;
        if signal == SIGSEGV {
            self.actions[index(SIGSEGV)] = Action::DEFAULT;
        }
        self.force(tid, SigInfo::kernel(SIGSEGV));
    }

    /// What a thread has to do next.
    pub fn next(&mut self, tid: u32) -> Option<Next> {
        loop {
            let blocked = self.threads.get(&tid)?.blocked;
            let info = self.take(tid, !blocked)?;
            let signal = info.signal();
            let action = self.action(signal);
            if signal == SIGKILL {
                return Some(Next::Terminate(signal));
            }
            match action.disposition(signal) {
                Disposition::Ignore => {}
                Disposition::Terminate => return Some(Next::Terminate(signal)),
                Disposition::Stop => return Some(Next::Stop(signal)),
                Disposition::Handler => return Some(Next::Deliver(self.deliver(tid, info))),
            }
        }
    }

    fn deliver(&mut self, tid: u32, info: SigInfo) -> Delivery {
        let signal = info.signal();
        let action = self.action(signal);
        if action.has(flags::RESETHAND) {
            self.actions[index(signal)] = Action::DEFAULT;
        }
        let old = self.blocked(tid);
        let saved = self.threads.get_mut(&tid).and_then(|thread| thread.saved.take());
        let own = if action.has(flags::NODEFER) { SigSet::EMPTY } else { SigSet::one(signal) };
        let others = self.set_blocked(tid, old | action.mask() | own);
        Delivery { info, action, mask: saved.unwrap_or(old), others }
    }
}
