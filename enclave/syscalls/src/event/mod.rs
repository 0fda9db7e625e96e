//! Descriptors that tell of events: eventfd and signalfd live inside, timers, inotify and pidfds
//! on the host.

mod eventfd;
mod inotify;
mod pidfd;
mod records;
mod signalfd;
mod timerfd;

pub(crate) use eventfd::{eventfd, eventfd2, is_eventfd, signal};
pub(crate) use inotify::{inotify_add_watch, inotify_init, inotify_init1, inotify_rm_watch};
pub(crate) use pidfd::{pidfd_open, pidfd_send_signal};
pub(crate) use records::made_outside;
pub(crate) use signalfd::{signalfd, signalfd4};
pub(crate) use timerfd::{timerfd_create, timerfd_gettime, timerfd_settime};

use enclave_files::{HostFd, HostFile, Object, OpenFile, flag, table};
use enclave_hostcalls::{Call, Errno, Wait};

/// Type of the files behind these descriptors: none of the usual ones. They are waited for.
const ANONYMOUS: u32 = 0o600;

/// Makes a descriptor on the host by a call with `args`, the last of which is `flags`, and gives
/// it a number.
fn make<const N: usize>(number: u64, args: [u64; N], flags: u64) -> Result<u64, Errno> {
    make_as(|file| file, number, args, flags)
}

/// As [`make`], for what is more than a file of the host.
fn make_as<const N: usize, T: Object>(
    object: impl FnOnce(HostFile) -> T,
    number: u64,
    args: [u64; N],
    flags: u64,
) -> Result<u64, Errno> {
    let fd = Call::new(number, 0)?.args(args).descriptor(Wait::No)?;
    let file = HostFile::of_kind(HostFd::adopt(fd), ANONYMOUS);
    let file = OpenFile::new(object(file), flag::RDWR | flags & flag::NONBLOCK);
    table().insert(file, flags & flag::CLOEXEC != 0)
}
