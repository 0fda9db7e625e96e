//! An epoll set.

use alloc::{collections::VecDeque, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU32, Ordering};

use enclave_core::{Mutex, Once};
use enclave_files::{HostFd, Object, OpenFile, Stat, WaitQueue, ready};
use enclave_hostcalls::{Call, Errno, Wait};

use super::{
    event,
    inside::Inside,
    looks::Looks,
    registry::{Found, Registry, Token},
};
use crate::wait::Bell;

const EPOLL_CTL: u64 = 233;

/// The token of the set's bell: no registration has it.
pub(super) const BELL: Token = Token::MAX;

/// What is to be done with a registration on the host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Add = 1,
    Delete = 2,
    Modify = 3,
}

/// An epoll set.
pub(super) struct Set {
    host: Arc<HostFd>,
    pub(super) registry: Mutex<Registry>,
    /// Changes are made one after the other, so that registry and host agree.
    pub(super) changes: Mutex<()>,
    /// Registrations of inside objects that may be ready.
    list: Mutex<VecDeque<Token>>,
    /// Registrations that the host has to be asked about.
    pub(super) hosts: AtomicU32,
    /// Registrations of inside objects.
    pub(super) insides: AtomicU32,
    /// Threads that wait, or are about to wait, on the host.
    outside: AtomicU32,
    bell: Once<Bell>,
    looks: Once<Looks>,
    queue: WaitQueue,
}

impl Set {
    pub(super) fn new(host: HostFd) -> Self {
        Self {
            host: Arc::new(host),
            registry: Mutex::default(),
            changes: Mutex::new(()),
            list: Mutex::default(),
            hosts: AtomicU32::new(0),
            insides: AtomicU32::new(0),
            outside: AtomicU32::new(0),
            bell: Once::new(),
            looks: Once::new(),
            queue: WaitQueue::new(),
        }
    }

    /// Number on the host.
    pub(super) fn number(&self) -> u64 {
        self.host.number()
    }

    /// Changes the registration of the host's descriptor `fd` there.
    pub(super) fn change(
        &self,
        change: Change,
        fd: u64,
        events: u32,
        token: Token,
    ) -> Result<(), Errno> {
        let mut call = Call::new(EPOLL_CTL, 16)?;
        let event = call.room(16);
        event.word(0).write(u64::from(events) | token << 32);
        event.word(1).write(token >> 32);
        call.args([self.number(), change as u64, fd, event.address()]).zero(Wait::No)
    }

    /// The looks at what has come, if there are any.
    pub(super) fn looks(&self) -> Option<&Looks> {
        self.looks.get()
    }

    /// Has the host look at what has come for a file, while calls are posted. Called with `changes` locked.
    pub(super) fn look_at(&self, file: &OpenFile, events: u32, fd: u64, token: Token) {
        let told = event::told(file, events).is_some();
        if told
            && self.looks.get().is_none()
            && let Ok(looks) = Looks::new()
        {
            self.looks.set(looks);
        }
        self.looks().iter().for_each(|looks| looks.set(token, told.then_some(fd)));
    }

    /// Hangs the bell up on the host. Called with `changes` locked, before the first inside object
    /// is registered.
    pub(super) fn hang_bell(&self) -> Result<(), Errno> {
        if self.bell.get().is_none() {
            let bell = Bell::new()?;
            self.change(Change::Add, bell.number(), ready::IN, BELL)?;
            self.bell.set(bell);
        }
        Ok(())
    }

    /// Runs a wait on the host. Inside objects that become ready from here on ring the bell.
    pub(super) fn outside<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.outside.fetch_add(1, Ordering::SeqCst);
        let result = wait();
        self.outside.fetch_sub(1, Ordering::SeqCst);
        result
    }

    /// The bell was heard.
    pub(super) fn silence(&self) {
        if let Some(bell) = self.bell.get() {
            bell.silence(true);
        }
    }

    /// Puts a registration into the list and wakes who waits.
    pub(super) fn enqueue(&self, token: Token) {
        self.list.lock().push_back(token);
        self.wake();
    }

    /// Wakes who waits for inside objects.
    pub(super) fn wake(&self) {
        if self.outside.load(Ordering::SeqCst) > 0
            && let Some(bell) = self.bell.get()
        {
            bell.ring();
        }
        self.wake_inside();
    }

    /// Wakes who waits inside only. Who waits outside is told by the host.
    pub(super) fn wake_inside(&self) {
        self.queue.wake(ready::IN);
    }

    /// Whether there is something in the list.
    pub(super) fn has_listed(&self) -> bool {
        !self.list.lock().is_empty()
    }

    /// Calls `report(events, data)` for at most `max` ready inside objects; returns how many there
    /// were. Those that stay ready stay in the list, unless they are edge-triggered.
    pub(super) fn take_ready(
        &self,
        max: u64,
        mut report: impl FnMut(u32, u64) -> Result<(), Errno>,
    ) -> Result<u64, Errno> {
        let mut reported = 0;
        let mut again = Vec::new();
        let mut rest = self.list.lock().len();
        let mut result = Ok(());
        while rest > 0 && reported < max && result.is_ok() {
            rest -= 1;
            let token = self.list.lock().pop_front();
            let Some((inside, events, data)) = token.and_then(|token| self.inside(token)) else {
                continue;
            };
            inside.dequeued();
            let found = inside.ready();
            if found == 0 {
                continue;
            }
            if events & event::ONESHOT != 0 {
                inside.set_events(event::ONESHOT);
            } else if events & event::EDGE == 0 {
                again.push(inside);
            }
            result = report(found, data);
            reported += 1;
        }
        again.iter().for_each(|inside| inside.enqueue());
        result.map(|()| reported)
    }

    fn inside(&self, token: Token) -> Option<(Arc<Inside>, u32, u64)> {
        match self.registry.lock().find(token) {
            Found::Entry(entry) => Some((entry.inside.clone()?, entry.events, entry.data)),
            Found::Gone | Found::Never => None,
        }
    }
}

impl Object for Set {
    fn host(&self) -> Option<&Arc<HostFd>> {
        Some(&self.host)
    }

    fn seek(&self, _: u64, _: u64) -> Result<u64, Errno> {
        Ok(0)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        self.host.stat()
    }

    /// What the host does not know: whether an inside object is ready.
    fn ready(&self) -> u32 {
        let listed: Vec<Token> = self.list.lock().iter().copied().collect();
        let ready = |token| self.inside(token).is_some_and(|(inside, ..)| inside.ready() != 0);
        if listed.into_iter().any(ready) { ready::IN } else { 0 }
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[eventpoll]".to_vec()
    }
}
