//! poll(2) and ppoll(2), and the wait that select(2) shares with them.

use alloc::{sync::Arc, vec::Vec};

use enclave_core::{AppPtr, AppSlice, to_usize};
use enclave_files::{Moment, OpenFile, table};
use enclave_hostcalls::{Call, Errno, Wait, misbehaved};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{
    Sys,
    args::{int, uint},
    socket,
    time::Timespec,
    wait::{Deadline, Watch, attend, interrupted, with_mask},
};

const PPOLL: u64 = 271;

/// `POLLERR | POLLHUP`: always reported.
const ALWAYS: u16 = 0x8 | 0x10;
const POLLNVAL: u16 = 0x20;

/// `struct pollfd`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct PollFd {
    fd: i32,
    events: u16,
    revents: u16,
}
const POLLFD: u64 = size_of::<PollFd>() as u64;

/// Something to wait for, and what has become of it.
pub(crate) struct Entry {
    /// `None` if there is nothing to wait for.
    pub(crate) file: Option<Arc<OpenFile>>,
    pub(crate) events: u16,
    pub(crate) revents: u16,
}

impl Entry {
    /// Number on the host, if the host must be asked.
    fn host(&self) -> Option<u64> {
        Some(self.file.as_ref()?.host()?.number())
    }

    /// Looks at an object without a descriptor of the host, or at the part of it that the host
    /// does not know.
    fn look(&mut self) {
        if let Some(file) = &self.file
            && (file.host().is_none() || file.queue().is_some())
        {
            let ready = u16::try_from(file.ready() & 0xffff).unwrap_or(0);
            self.revents = ready & (self.events | ALWAYS);
        }
    }
}

fn ready(entries: &[Entry]) -> u64 {
    entries.iter().filter(|entry| entry.revents != 0).count() as u64
}

/// Waits until one of `entries` is ready; returns how many are.
///
/// # Errors
///
/// `EINTR` if there is a signal to deliver.
pub(crate) fn wait(entries: &mut [Entry], deadline: Deadline) -> Result<u64, Errno> {
    entries.iter_mut().for_each(Entry::look);
    let hosts = entries.iter().filter(|entry| entry.host().is_some()).count() as u64;
    let mut now = deadline == Deadline::Now || ready(entries) > 0;
    let watched = if now { Vec::new() } else { queued(entries) };
    let watch = if watched.is_empty() { None } else { Some(Watch::new(watched, hosts > 0)?) };
    loop {
        if watch.is_some() {
            entries.iter_mut().for_each(Entry::look);
            now |= ready(entries) > 0;
        }
        let signal = interrupted();
        if hosts > 0 {
            let timeout = if now || signal { Some(0) } else { deadline.remaining() };
            ask_host(entries, hosts, watch.as_ref(), timeout)?;
        } else if !now && !signal {
            deadline.park();
            entries.iter_mut().for_each(Entry::look);
        }
        let ready = ready(entries);
        if ready > 0 || now || deadline.passed() {
            return Ok(ready);
        }
        if signal {
            return Err(deadline.interrupted());
        }
    }
}

/// The files that tell when they become ready.
fn queued(entries: &[Entry]) -> Vec<Arc<OpenFile>> {
    let files = entries.iter().filter_map(|entry| entry.file.as_ref());
    files.filter(|file| file.queue().is_some()).cloned().collect()
}

/// Asks the host about its `hosts` entries, and waits at most `timeout` nanoseconds (`None` for
/// ever) for them and for the bell of `watch`.
fn ask_host(
    entries: &mut [Entry],
    hosts: u64,
    watch: Option<&Watch>,
    timeout: Option<u64>,
) -> Result<(), Errno> {
    const POLLIN: u64 = 1;
    let bell = watch.and_then(Watch::bell);
    let count = hosts + u64::from(bell.is_some());
    let mut call = Call::new(PPOLL, count * POLLFD + 16)?;
    let array = call.room(count * POLLFD);
    let asked = entries.iter().filter_map(|entry| Some((entry.host()?, u64::from(entry.events))));
    let asked = asked.chain(bell.map(|bell| (bell.number(), POLLIN)));
    for (index, (fd, events)) in (0..).zip(asked) {
        array.word(index).write(fd | events << 32);
    }
    let time = call.room(16);
    if let Some(timeout) = timeout {
        time.word(0).write(timeout / 1_000_000_000);
        time.word(1).write(timeout % 1_000_000_000);
    }
    let time = if timeout.is_some() { time.address() } else { 0 };
    let wait = if timeout == Some(0) { Wait::No } else { Wait::Maybe };
    let result = call.args([array.address(), count, time]).count(wait, count);
    Moment::now();
    entries
        .iter()
        .filter_map(|entry| entry.file.as_ref()?.stream()?.told())
        .for_each(|told| told.forget());
    if let Some(bell) = bell {
        bell.silence(result.is_ok() && array.word(hosts).read() >> 48 != 0);
    }
    if attend(result)?.is_none() {
        return Ok(());
    }
    let asked = entries.iter_mut().filter(|entry| entry.host().is_some());
    for (index, entry) in (0..).zip(asked) {
        let found = u16::try_from(array.word(index).read() >> 48).unwrap_or(0);
        if found & !(entry.events | ALWAYS) != 0 {
            misbehaved("the host misbehaved: it reported events that were not asked for");
        }
        entry.revents |= found;
        if found & ALWAYS != 0 {
            entry.file.iter().for_each(|file| socket::has_failed(file));
        }
    }
    Ok(())
}

pub(crate) fn poll(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fds, count, timeout, ..] = sys.args;
    poll_array(fds, uint(count), Deadline::after_milliseconds(int(timeout)))
}

pub(crate) fn ppoll(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fds, count, timeout, mask, mask_size, _] = sys.args;
    let deadline = Deadline::after_timespec(timeout)?;
    let result = with_mask(mask, mask_size, || poll_array(fds, uint(count), deadline));
    write_remaining(timeout, deadline);
    result
}

/// Writes the time that is left over a `struct timespec` of the program, as Linux does.
pub(crate) fn write_remaining(timeout: u64, deadline: Deadline) {
    if let (1.., Some(rest)) = (timeout, deadline.remaining()) {
        // Linux ignores a fault here as well.
        let _ = AppPtr::new(timeout).write(&Timespec::new(rest));
    }
}

fn poll_array(address: u64, count: u64, deadline: Deadline) -> Result<u64, Errno> {
    if count > table().limit() {
        return Err(Errno::EINVAL);
    }
    let array = AppSlice::new(address, count * POLLFD)?;
    let mut fds = alloc::vec![PollFd { fd: -1, events: 0, revents: 0 }; to_usize(count)];
    array.read_bytes(fds.as_mut_bytes())?;
    let mut entries: Vec<Entry> = fds.iter().map(entry).collect();
    wait(&mut entries, deadline)?;
    for (fd, entry) in fds.iter_mut().zip(&entries) {
        fd.revents = entry.revents;
    }
    array.write_bytes(fds.as_bytes())?;
    Ok(ready(&entries))
}

fn entry(fd: &PollFd) -> Entry {
    let (file, revents) = match u64::try_from(fd.fd) {
        // A negative number is to be ignored.
        Err(_) => (None, 0),
        Ok(number) => match table().get(number) {
            Ok(file) => (Some(file), 0),
            Err(_) => (None, POLLNVAL),
        },
    };
    Entry { file, events: fd.events, revents }
}
