//! System V IPC (sysvipc(7)) and POSIX message queues (mq_overview(7)), inside one process.
//!
//! Objects live in the enclave and end with it: nothing of what passes through them is outside.

mod mq;
mod msg;
mod registry;
mod sem;
mod shm;

pub(crate) use mq::{mq_getsetattr, mq_notify, mq_open, mq_timedreceive, mq_timedsend, mq_unlink};
pub(crate) use msg::{msgctl, msgget, msgrcv, msgsnd};
pub(crate) use sem::{semctl, semget, semop, semtimedop};
pub(crate) use shm::{shmat, shmctl, shmdt, shmget};

use alloc::sync::Arc;

use enclave_files::{WaitQueue, Watcher};
use enclave_hostcalls::Errno;
use enclave_threads::{clock, current};

use crate::wait::{Deadline, interrupted};

/// `IPC_NOWAIT`.
const NO_WAIT: u64 = 0o4000;

/// Commands of semctl(2), msgctl(2) and shmctl(2).
mod command {
    /// `IPC_RMID`
    pub(super) const REMOVE: u64 = 0;
    /// `IPC_SET`
    pub(super) const SET: u64 = 1;
    /// `IPC_STAT`
    pub(super) const STAT: u64 = 2;
    /// `IPC_INFO`
    pub(super) const INFO: u64 = 3;
}

/// Seconds since 1970.
fn now() -> u64 {
    clock::realtime() / 1_000_000_000
}

/// Tries until it can be done: `attempt` returns `None` as long as it has to wait for a change of
/// what `queue` belongs to.
///
/// # Errors
///
/// Those of `attempt`; `late` once the deadline has passed; `EINTR` for a signal.
fn wait<T>(
    queue: &WaitQueue,
    deadline: Deadline,
    late: Errno,
    mut attempt: impl FnMut() -> Result<Option<T>, Errno>,
) -> Result<T, Errno> {
    if let Some(done) = attempt()? {
        return Ok(done);
    }
    let sleeper: Arc<dyn Watcher> = current();
    queue.add(Arc::clone(&sleeper));
    let result = loop {
        // Changes since the last look wake this thread, so none is missed.
        match attempt() {
            Ok(None) if deadline.passed() => break Err(late),
            Ok(None) if interrupted() => break Err(deadline.interrupted()),
            Ok(None) => deadline.park(),
            Ok(Some(done)) => break Ok(done),
            Err(errno) => break Err(errno),
        }
    };
    queue.remove(&sleeper);
    result
}
