//! The standard streams, and what else a program is started with.

use alloc::{sync::Arc, vec, vec::Vec};

use enclave_core::to_usize;
use enclave_descriptors::dirent::{Format, check};
use enclave_hostcalls::{Call, Errno, Wait, misbehaved};

use crate::{HostFd, HostFile, OpenFile, flag::DIRECTORY, table};

const STANDARD_ERROR: u32 = 2;
/// Where the host does not say which descriptors there are, those below this are looked for.
const GUESSED: u32 = 1024;
const FCNTL: u64 = 72;
const F_GETFD: u64 = 1;
const F_GETFL: u64 = 3;
const GETDENTS64: u64 = 217;
const PRLIMIT64: u64 = 302;
const RLIMIT_NOFILE: u64 = 7;

/// Gives the program those of the standard streams that are open on the host, under the same
/// numbers. Closed ones become `/dev/null` on the host, so that their numbers cannot become
/// something else there. With `keep_errors`, the host's standard error stays open for the reports
/// of the runtime when the program closes its own. What else there is, `open` makes open files of, with their
/// status flags.
///
/// # Errors
///
/// `EIO` if the host does not have `/dev/null`.
pub fn init(keep_errors: bool, open: impl Fn(HostFd, u64) -> Arc<OpenFile>) -> Result<(), Errno> {
    for number in 0..3 {
        match host_status(number.into()) {
            Ok(flags) => {
                let file = HostFile::new(HostFd::adopt(number), b"");
                if number == STANDARD_ERROR && keep_errors {
                    core::mem::forget(Arc::clone(file.fd()));
                }
                let file = OpenFile::new(file, flags);
                table().replace(number.into(), file, false)?;
            }
            Err(_) => core::mem::forget(HostFd::open(b"/dev/null", 2, 0)?),
        }
    }
    for number in inherited()? {
        if let Ok(flags) = host_status(number.into()) {
            table().replace(number.into(), open(HostFd::adopt(number), flags), false)?;
        }
    }
    if let Ok(limit) = soft_limit() {
        table().set_limit(limit);
    }
    Ok(())
}

/// What else the host's process was started with: descriptors that it did not make itself, as a
/// shell's `3<file` or `<(command)`.
fn inherited() -> Result<Vec<u32>, Errno> {
    const FD_CLOEXEC: u64 = 1;
    let kept =
        |number: &u32| fcntl((*number).into(), F_GETFD).is_ok_and(|flags| flags & FD_CLOEXEC == 0);
    // A bare container may have no /proc.
    let numbers = HostFd::open(b"/proc/self/fd", DIRECTORY, 0)
        .map_or_else(|_| Ok((STANDARD_ERROR + 1..GUESSED).collect()), |all| listed(&all))?;
    Ok(numbers.into_iter().filter(kept).collect())
}

/// The numbers above those of the standard streams in a directory.
fn listed(directory: &HostFd) -> Result<Vec<u32>, Errno> {
    const ROOM: u64 = 32 << 10;
    let mut numbers = Vec::new();
    loop {
        let mut call = Call::new(GETDENTS64, ROOM)?;
        let buffer = call.room(ROOM);
        call.args([directory.number(), buffer.address(), ROOM]);
        let count = call.count(Wait::No, ROOM)?;
        if count == 0 {
            return Ok(numbers);
        }
        let mut bytes = vec![0; to_usize(count)];
        buffer.read_bytes(&mut bytes);
        let each = |name: &[u8]| {
            let number = core::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
            numbers.extend(number.filter(|&number: &u32| number > STANDARD_ERROR));
        };
        if check(&bytes, Format::New, each).is_err() {
            misbehaved("the host misbehaved: a directory entry that cannot exist");
        }
    }
}

/// The host's limit of open files.
fn soft_limit() -> Result<u64, Errno> {
    let mut call = Call::new(PRLIMIT64, 16)?;
    let limits = call.room(16);
    call.args([0, RLIMIT_NOFILE, 0, limits.address()]).zero(Wait::No)?;
    Ok(limits.word(0).read())
}

/// The status flags of a descriptor of the host.
///
/// # Errors
///
/// As fcntl(2).
pub fn host_status(number: u64) -> Result<u64, Errno> {
    fcntl(number, F_GETFL)
}

fn fcntl(number: u64, command: u64) -> Result<u64, Errno> {
    const LARGEST: u64 = i32::MAX.unsigned_abs() as u64;
    Call::new(FCNTL, 0)?.args([number, command]).count(Wait::No, LARGEST)
}
