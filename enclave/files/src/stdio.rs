//! The standard streams.

use alloc::sync::Arc;

use enclave_hostcalls::{Call, Errno, Wait};

use crate::{HostFd, HostFile, OpenFile, table};

const STANDARD_ERROR: u32 = 2;
const FCNTL: u64 = 72;
const F_GETFL: u64 = 3;
const PRLIMIT64: u64 = 302;
const RLIMIT_NOFILE: u64 = 7;

/// Gives the program those of the standard streams that are open on the host, under the same
/// numbers. Closed ones become `/dev/null` on the host, so that their numbers cannot become
/// something else there. With `keep_errors`, the host's standard error stays open for the reports
/// of the runtime when the program closes its own.
///
/// # Errors
///
/// `EIO` if the host does not have `/dev/null`.
pub fn init(keep_errors: bool) -> Result<(), Errno> {
    for number in 0..3 {
        match status(number) {
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
    if let Ok(limit) = soft_limit() {
        table().set_limit(limit);
    }
    Ok(())
}

/// The host's limit of open files.
fn soft_limit() -> Result<u64, Errno> {
    let mut call = Call::new(PRLIMIT64, 16)?;
    let limits = call.room(16);
    call.args([0, RLIMIT_NOFILE, 0, limits.address()]).zero(Wait::No)?;
    Ok(limits.word(0).read())
}

fn status(number: u32) -> Result<u64, Errno> {
    Call::new(FCNTL, 0)?.args([u64::from(number), F_GETFL]).run(Wait::No)
}
