//! Where the kernel has put this process: the lower half of its address space is the enclave's.
//!
//! With a stack without limit (`ulimit -s unlimited`) the kernel lays out the address space from below,
//! where it would be in the way. Then the command executes itself once more, with a limit, and takes that
//! back: where things are was decided meanwhile.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use hostcall_abi::layout::ELRANGE_SIZE;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Failure;

/// Says to the command that is executed once more that the stack had no limit; not for the program.
pub(crate) const UNLIMITED: &str = "SCONE_STACK_UNLIMITED";

/// Bytes of the stack meanwhile.
const LIMIT: u64 = 8 << 20;

/// Makes sure that this process is above the enclave's addresses.
///
/// # Errors
///
/// The kernel is told to put it there whatever it does.
pub(crate) fn settle() -> Result<(), Failure> {
    let stack = getrlimit(Resource::Stack);
    if !is_low() {
        let Some(_) = std::env::var_os(UNLIMITED) else { return Ok(()) };
        return limit(Rlimit { current: None, ..stack });
    }
    if stack.current.is_some() || std::env::var_os(UNLIMITED).is_some() {
        let what = "the kernel puts this command where the enclave's addresses are";
        let advice = "set the sysctl vm.legacy_va_layout to 0, and start it without \
                      `setarch --addr-compat-layout`";
        return Err(Failure::new(what, advice).with_status(Failure::START));
    }
    limit(Rlimit { current: Some(LIMIT), ..stack })?;
    let own = OsStr::from_bytes(rustix::param::linux_execfn().to_bytes());
    let mut args = std::env::args_os();
    let mut command = Command::new(own);
    command.arg0(args.next().unwrap_or_else(|| own.to_owned())).args(args).env(UNLIMITED, "1");
    let error = command.exec();
    let what = format!("cannot execute {} once more: {error}", own.display());
    Err(Failure::new(what, "limit the stack (`ulimit -s 8192`)").with_status(Failure::START))
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
        Failure::new(what, "limit the stack (`ulimit -s 8192`)").with_status(Failure::START)
    })
}
