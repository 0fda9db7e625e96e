//! signalfd(2): signals live inside, so these do too.

use alloc::vec::Vec;

use enclave_core::{AppPtr, Mutex};
use enclave_files::{Io, Object, OpenFile, Stat, WaitQueue, flag, ready, table};
use enclave_hostcalls::Errno;
use enclave_signals::{SigInfo, SigSet, code, number::UNBLOCKABLE};

use super::ANONYMOUS;
use crate::{
    Sys,
    args::{self, int, uint},
    signal,
};

/// `struct signalfd_siginfo` in bytes.
const RECORD: usize = 128;

struct SignalFd(Mutex<SigSet>);

impl SignalFd {
    fn set(&self) -> SigSet {
        *self.0.lock()
    }
}

/// A signal as signalfd tells it. Offsets are those of `struct signalfd_siginfo`.
fn record(info: &SigInfo) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    let mut put = |at: usize, bytes: &[u8]| record[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &info.signo.to_le_bytes());
    put(4, &info.errno.to_le_bytes());
    put(8, &info.code.to_le_bytes());
    let (first, second) = info.sender();
    let value = info.value().to_le_bytes();
    if info.code == code::TIMER {
        // Timer id and overruns.
        put(24, &first.to_le_bytes());
        put(32, &second.to_le_bytes());
    } else {
        // Sender's process and user.
        put(12, &first.to_le_bytes());
        put(16, &second.to_le_bytes());
    }
    if info.code < 0 {
        put(44, &value[..4]);
        put(48, &value);
    }
    record
}

impl Object for SignalFd {
    fn read(&self, file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        let room = io.len() / RECORD as u64;
        if room == 0 {
            return Err(Errno::EINVAL);
        }
        let mut bytes = Vec::new();
        for _ in 0..room {
            let Some(info) = signal::take(self.set()) else { break };
            bytes.extend_from_slice(&record(&info));
        }
        if !bytes.is_empty() {
            return io.fill(&bytes);
        }
        if file.nonblocking() {
            return Err(Errno::EAGAIN);
        }
        signal::ARRIVALS.wait(|| self.ready() != 0);
        Err(Errno::EINTR)
    }

    fn seek(&self, _: u64, _: u64) -> Result<u64, Errno> {
        Ok(0)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(Stat::inside(ANONYMOUS, 0))
    }

    fn ready(&self) -> u32 {
        let waiting = signal::pending() & self.set();
        if waiting == SigSet::EMPTY { 0 } else { ready::IN }
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&signal::ARRIVALS)
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[signalfd]".to_vec()
    }
}

pub(crate) fn signalfd(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    create(sys, 0)
}

pub(crate) fn signalfd4(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    create(sys, uint(sys.args[3]))
}

fn create(sys: &mut Sys<'_>, flags: u64) -> Result<u64, Errno> {
    let [fd, mask, size, ..] = sys.args;
    if size != 8 || flags & !(flag::NONBLOCK | flag::CLOEXEC) != 0 {
        return Err(Errno::EINVAL);
    }
    let set = SigSet(AppPtr::<u64>::new(mask).read()?).without(UNBLOCKABLE);
    // From here on the host must not act on them itself.
    signal::hold(set);
    if int(fd) == -1 {
        let file = OpenFile::new(SignalFd(Mutex::new(set)), flag::RDWR | flags & flag::NONBLOCK);
        return table().insert(file, flags & flag::CLOEXEC != 0);
    }
    let file = args::file(fd)?;
    let object = file.object().downcast_ref::<SignalFd>().ok_or(Errno::EINVAL)?;
    *object.0.lock() = set;
    // What is pending already may be of interest now.
    signal::ARRIVALS.wake(ready::IN);
    Ok(fd)
}
