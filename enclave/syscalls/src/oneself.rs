//! Calls that look at other processes: here they find one, this one.

use alloc::{sync::Arc, vec::Vec};

use enclave_core::AppSlice;
use enclave_hostcalls::Errno;

use crate::{
    Sys,
    args::{self, uint},
    file::buffers,
    memory, signal,
};

/// Checks that a process or thread id is of this process.
///
/// # Errors
///
/// `EPERM` for others: their memory is none of the program's.
fn check_own(id: u64) -> Result<(), Errno> {
    let own = u32::try_from(uint(id)).is_ok_and(signal::is_own);
    own.then_some(()).ok_or(Errno::EPERM)
}

/// Copies between two lists of buffers until one of them ends, or a part cannot be accessed.
fn copy(to: &[AppSlice], from: &[AppSlice]) -> Result<u64, Errno> {
    let (mut to, mut from) = (to.iter(), from.iter());
    let (mut target, mut source) = (None, None);
    let mut done = 0;
    loop {
        let next = |rest: Option<AppSlice>, list: &mut core::slice::Iter<'_, AppSlice>| {
            rest.filter(|rest: &AppSlice| !rest.is_empty())
                .or_else(|| list.copied().find(|slice| !slice.is_empty()))
        };
        let (Some(into), Some(out)) = (next(target, &mut to), next(source, &mut from)) else {
            return Ok(done);
        };
        let len = into.len().min(out.len());
        match into.first(len).copy_from(out.first(len)) {
            Ok(()) => done += len,
            Err(fault) if done == 0 => return Err(fault.into()),
            Err(_) => return Ok(done),
        }
        target = Some(into.part(len, into.len() - len));
        source = Some(out.part(len, out.len() - len));
    }
}

/// The local and the remote buffers of process_vm_readv(2) and process_vm_writev(2).
fn vectors(sys: &Sys<'_>) -> Result<[Vec<AppSlice>; 2], Errno> {
    let [pid, local, local_count, remote, remote_count, flags] = sys.args;
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let (local, remote) = (buffers(local, local_count)?, buffers(remote, remote_count)?);
    check_own(pid)?;
    Ok([local, remote])
}

pub(crate) fn process_vm_readv(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [local, remote] = vectors(sys)?;
    copy(&local, &remote)
}

pub(crate) fn process_vm_writev(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [local, remote] = vectors(sys)?;
    copy(&remote, &local)
}

/// What two processes have in common: all of it, as they are one. Files are compared.
pub(crate) fn kcmp(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const FILE: u64 = 0;
    const LAST_SHARED: u64 = 6;
    let [first, second, what, first_fd, second_fd, _] = sys.args;
    check_own(first)?;
    check_own(second)?;
    match uint(what) {
        FILE => {
            let (first, second) = (args::file(first_fd)?, args::file(second_fd)?);
            // Equal, or in an order that says nothing.
            Ok(match Arc::as_ptr(&first).cmp(&Arc::as_ptr(&second)) {
                core::cmp::Ordering::Equal => 0,
                core::cmp::Ordering::Less => 1,
                core::cmp::Ordering::Greater => 2,
            })
        }
        1..=LAST_SHARED => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// Protection keys need a register that the runtime does not switch: there are none.
pub(crate) fn pkey_alloc(_: &mut Sys<'_>) -> Result<u64, Errno> {
    Err(Errno::ENOSPC)
}

pub(crate) fn pkey_free(_: &mut Sys<'_>) -> Result<u64, Errno> {
    Err(Errno::EINVAL)
}

/// mprotect(2) with a key: -1 is none.
pub(crate) fn pkey_mprotect(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const NONE: i32 = -1;
    if args::int(sys.args[3]) == NONE { memory::mprotect(sys) } else { Err(Errno::EINVAL) }
}
