//! What has come for the sockets of a set, as the host sees it when it reports them.
//!
//! While calls are posted, the host looks at what has come for the sockets that it reports, and the program
//! gets it from the runtime ([`Stream::saw`](enclave_files::Stream::saw)): so a server leaves the enclave once
//! for all requests that have come, not once more for each.

use enclave_core::Mutex;
use enclave_files::Moment;
use enclave_hostcalls::{Call, Errno, Staging, misbehaved};
use hostcall_abi::looks::{self, ROOM, SLOTS};

use super::registry::{Found, Registry, Token};

/// Registrations that can be looked at.
const MAP_LEN: u64 = 4096;

/// The looks of one epoll set.
pub(super) struct Looks {
    map: Staging,
    /// There unless a wait has it.
    block: Mutex<Option<Staging>>,
}

impl Looks {
    pub(super) fn new() -> Result<Self, Errno> {
        let (map, block) = (Staging::new(8 * MAP_LEN)?, Staging::new(looks::BYTES)?);
        (0..MAP_LEN).for_each(|index| map.memory().word(index).write(0));
        block.memory().word(looks::MAP).write(map.memory().address());
        block.memory().word(looks::MAP_LEN).write(MAP_LEN);
        Ok(Self { map, block: Mutex::new(Some(block)) })
    }

    /// Has the host look at its descriptor `fd` when it reports `token`, or at nothing.
    pub(super) fn set(&self, token: Token, fd: Option<u64>) {
        let index = token & 0xffff_ffff;
        if index < MAP_LEN {
            self.map.memory().word(index).write(fd.map_or(0, |fd| fd + 1));
        }
    }

    /// Has the host look at what a wait reports; `None` if another wait has it do so.
    pub(super) fn begin(&self, wait: &mut Call) -> Option<Look<'_>> {
        let block = self.block.lock().take()?;
        block.memory().word(looks::FILLED).write(0);
        wait.look(block.memory().address());
        Some(Look { looks: self, block: Some(block), begin: Moment::now() })
    }
}

/// What the host is to leave with one wait.
pub(super) struct Look<'a> {
    looks: &'a Looks,
    /// There until it is dropped.
    block: Option<Staging>,
    begin: Moment,
}

impl Look<'_> {
    /// Tells the streams what the host has seen until `end`; returns how many of them got something.
    pub(super) fn collect(self, registry: &Mutex<Registry>, end: Moment) -> usize {
        let Some(block) = self.block.as_ref().map(Staging::memory) else { return 0 };
        let filled = block.word(looks::FILLED).read();
        if filled > SLOTS {
            misbehaved("the host misbehaved: it looked more often than it was told to");
        }
        let mut seen = 0;
        for slot in 0..filled {
            let token = block.word(looks::token(slot)).read();
            let file = match registry.lock().find(token) {
                Found::Entry(entry) => entry.file.upgrade(),
                Found::Gone => None,
                Found::Never => misbehaved("the host misbehaved: it looked at what there is not"),
            };
            let result = Call::checked(block.word(looks::result(slot)).read());
            seen += usize::from(result.is_ok_and(|count| count > 0));
            let room = block.part(looks::seen(slot), ROOM);
            let stream = file.as_ref().and_then(|file| file.stream());
            if !stream.is_some_and(|stream| stream.saw([self.begin, end], room, result)) {
                self.looks.set(token, None);
            }
        }
        seen
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        *self.looks.block.lock() = self.block.take();
    }
}
