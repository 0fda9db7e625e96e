//! Who the process and the thread are.

use enclave_hostcalls::Errno;
use enclave_threads::current;

use crate::{Sys, process::process};

pub(crate) fn getpid(_: &mut Sys<'_>) -> Result<u64, Errno> {
    Ok(process().pid.into())
}

pub(crate) fn getppid(_: &mut Sys<'_>) -> Result<u64, Errno> {
    Ok(process().ppid.into())
}

pub(crate) fn gettid(_: &mut Sys<'_>) -> Result<u64, Errno> {
    Ok(current().tid().into())
}
