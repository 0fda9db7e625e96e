//! Where the kernel has put this process: the lower half of its address space is the enclave's.
//!
//! With a stack without limit, or one that may become very large (`ulimit -s unlimited`), the kernel puts
//! other things where they would be in the way. Then the command executes itself once more, with a usual
//! limit, and takes that back: where things are was decided meanwhile.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use hostcall_abi::layout::ELRANGE_SIZE;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Failure;

/// Tells the command that is executed once more what the limit was, in bytes; not for the program.
pub(crate) const LIMIT_BEFORE: &str = "SCONE_STACK_LIMIT";

/// Bytes of the stack meanwhile: nobody else has just this limit.
const MEANWHILE: u64 = (8 << 20) + 4096;

/// What there is to do for who runs into this.
const ADVICE: &str = "limit the stack (`ulimit -s 8192`)";

/// Makes sure that this process is above the enclave's addresses.
///
/// # Errors
///
/// The kernel is told to put it there whatever it does.
pub(crate) fn settle() -> Result<(), Failure> {
    let stack = getrlimit(Resource::Stack);
    let again = std::env::var_os(LIMIT_BEFORE).filter(|_| stack.current == Some(MEANWHILE));
    if !is_low() {
        let Some(before) = again else { return Ok(()) };
        // Without a limit, no number was told.
        let before = before.to_str().and_then(|bytes| bytes.parse().ok());
        return limit(Rlimit { current: before, ..stack });
    }
    if again.is_some() || stack.current.is_some_and(|limit| limit <= MEANWHILE) {
        let what = "the kernel puts this command where the enclave's addresses are";
        let advice = "set the sysctl vm.legacy_va_layout to 0, and start it without \
                      `setarch --addr-compat-layout`";
        return Err(Failure::new(what, advice).with_status(Failure::START));
    }
    limit(Rlimit { current: Some(MEANWHILE), ..stack })?;
    let before = stack.current.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    let execfn = || PathBuf::from(OsStr::from_bytes(rustix::param::linux_execfn().to_bytes()));
    let own = std::env::current_exe().unwrap_or_else(|_| execfn());
    let mut args = std::env::args_os();
    let mut command = Command::new(&own);
    command.arg0(args.next().unwrap_or_default()).args(args).env(LIMIT_BEFORE, before);
    let error = command.exec();
    let what = format!("cannot execute {} once more: {error}", own.display());
    Err(Failure::new(what, ADVICE).with_status(Failure::START))
}

/// Whether this program, or what it maps, lies where the enclave would.
fn is_low() -> bool {
    // Too long for the heap: a mapping of its own.
    let mapped = Vec::<u8>::with_capacity(1 << 20);
    [settle as *const () as u64, mapped.as_ptr() as u64].iter().any(|&at| at < ELRANGE_SIZE)
}

fn limit(limit: Rlimit) -> Result<(), Failure> {
    setrlimit(Resource::Stack, limit).map_err(|error| {
        let what = format!("the limit of the stack cannot be changed: {error}");
        Failure::new(what, ADVICE).with_status(Failure::START)
    })
}
