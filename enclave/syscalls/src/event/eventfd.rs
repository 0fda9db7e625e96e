//! eventfd(2): a counter inside.

use alloc::vec::Vec;

use enclave_core::Mutex;
use enclave_files::{Io, Object, OpenFile, Stat, WaitQueue, flag, ready, store_host, table};
use enclave_hostcalls::{Errno, Wait};

use super::ANONYMOUS;
use crate::{Sys, args::uint};

const NAME: &[u8] = b"anon_inode:[eventfd]";
const SEMAPHORE: u64 = 1;
/// The largest value of a counter.
const MAX: u64 = u64::MAX - 1;

struct EventFd {
    counter: Mutex<u64>,
    /// Reading takes one, not all.
    semaphore: bool,
    queue: WaitQueue,
}

impl EventFd {
    fn take(&self) -> Option<u64> {
        let mut counter = self.counter.lock();
        let taken = match *counter {
            0 => return None,
            _ if self.semaphore => 1,
            all => all,
        };
        *counter -= taken;
        Some(taken)
    }

    /// Adds one, without ever waiting.
    fn signal(&self) {
        let mut counter = self.counter.lock();
        *counter = counter.saturating_add(1);
        drop(counter);
        self.queue.wake(ready::IN);
    }

    fn add(&self, value: u64) -> bool {
        let mut counter = self.counter.lock();
        let sum = counter.checked_add(value).filter(|&sum| sum <= MAX);
        *counter = sum.unwrap_or(*counter);
        sum.is_some()
    }
}

impl Object for EventFd {
    fn read(&self, file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        if io.len() < 8 {
            return Err(Errno::EINVAL);
        }
        match self.take() {
            Some(value) => {
                self.queue.wake(ready::OUT);
                io.fill(&value.to_le_bytes())
            }
            None if file.nonblocking() => Err(Errno::EAGAIN),
            None => {
                self.queue.wait(|| *self.counter.lock() > 0);
                Err(Errno::EINTR)
            }
        }
    }

    fn write(&self, file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        let mut bytes = [0; 8];
        let mut done = 0;
        for buffer in io.buffers {
            let part = buffer.first((bytes.len() - done) as u64);
            let end = done + enclave_core::to_usize(part.len());
            part.read_bytes(&mut bytes[done..end])?;
            done = end;
        }
        let value = u64::from_le_bytes(bytes);
        if done < bytes.len() || value == u64::MAX {
            return Err(Errno::EINVAL);
        }
        if self.add(value) {
            self.queue.wake(ready::IN);
            return Ok(8);
        }
        if file.nonblocking() {
            return Err(Errno::EAGAIN);
        }
        self.queue.wait(|| *self.counter.lock() <= MAX - value);
        Err(Errno::EINTR)
    }

    fn seek(&self, _: u64, _: u64) -> Result<u64, Errno> {
        Ok(0)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(Stat::inside(ANONYMOUS, 0))
    }

    fn ready(&self) -> u32 {
        match *self.counter.lock() {
            0 => ready::OUT,
            MAX => ready::IN,
            // Only what the kernel adds goes this far.
            u64::MAX => ready::IN | ready::ERROR,
            _ => ready::IN | ready::OUT,
        }
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn name(&self) -> Vec<u8> {
        NAME.to_vec()
    }
}

/// Whether it is an eventfd, of the program's own or one that came from outside.
pub(crate) fn is_eventfd(file: &OpenFile) -> bool {
    file.object().downcast_ref::<EventFd>().is_some() || file.name() == NAME
}

/// Adds one to an eventfd, as the kernel does when something has happened.
pub(crate) fn signal(file: &OpenFile) {
    if let Some(eventfd) = file.object().downcast_ref::<EventFd>() {
        eventfd.signal();
    } else if let Some(host) = file.host() {
        // One that is full tells enough.
        let _ = store_host(host, &1_u64.to_le_bytes(), None, Wait::No);
    }
}

pub(crate) fn eventfd(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    create(uint(sys.args[0]), 0)
}

pub(crate) fn eventfd2(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    create(uint(sys.args[0]), uint(sys.args[1]))
}

fn create(start: u64, flags: u64) -> Result<u64, Errno> {
    if flags & !(SEMAPHORE | flag::NONBLOCK | flag::CLOEXEC) != 0 {
        return Err(Errno::EINVAL);
    }
    let semaphore = flags & SEMAPHORE != 0;
    let object = EventFd { counter: Mutex::new(start), semaphore, queue: WaitQueue::new() };
    let file = OpenFile::new(object, flag::RDWR | flags & flag::NONBLOCK);
    table().insert(file, flags & flag::CLOEXEC != 0)
}
