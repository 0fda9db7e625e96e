//! inotify(7), by the host.

use enclave_core::to_usize;
use enclave_files::flag;
use enclave_hostcalls::{Errno, Wait, misbehaved};

use super::records::{Kind, Records};
use crate::{
    Sys,
    args::{
        Arg::{Int, Str},
        at_most, forward, forward_zero, path, uint,
    },
    path::{AT_FDCWD, Place, place_of},
};

mod nr {
    pub(super) const INOTIFY_ADD_WATCH: u64 = 254;
    pub(super) const INOTIFY_RM_WATCH: u64 = 255;
    pub(super) const INOTIFY_INIT1: u64 = 294;
}

/// `struct inotify_event` in bytes, without the name.
const HEAD: usize = 16;
/// Longest name in bytes, with its end (`PATH_MAX`): not all file systems keep to 255.
const LONGEST: usize = 4096;

/// Ends the enclave if these are no whole records: the program walks through them.
pub(super) fn check(mut records: &[u8]) {
    while !records.is_empty() {
        records = after_first(records).unwrap_or_else(|| {
            misbehaved("the host misbehaved: a record of inotify that cannot be")
        });
    }
}

/// What follows the first record, if that is one.
fn after_first(records: &[u8]) -> Option<&[u8]> {
    let (head, rest) = records.split_first_chunk::<HEAD>()?;
    let len = u32::from_le_bytes(*head.last_chunk()?);
    let (name, rest) = rest.split_at_checked(to_usize(len.into()))?;
    let is_name =
        name.len().is_multiple_of(HEAD) && name.len() <= LONGEST && name.last() == Some(&0);
    (name.is_empty() || is_name).then_some(rest)
}

pub(crate) fn inotify_init(_: &mut Sys<'_>) -> Result<u64, Errno> {
    init(0)
}

pub(crate) fn inotify_init1(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    init(uint(sys.args[0]))
}

fn init(flags: u64) -> Result<u64, Errno> {
    super::make_as(Records::of(Kind::Inotify), nr::INOTIFY_INIT1, [flags | flag::CLOEXEC], flags)
}

pub(crate) fn inotify_add_watch(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, name, mask, ..] = sys.args;
    let (inotify, name) = (Records::host_of(Kind::Inotify, fd)?, path(name)?);
    // Nobody watches what is in memory.
    if matches!(place_of(AT_FDCWD, name.clone(), true), Ok(Place::Memory(_))) {
        return Err(Errno::ENOSYS);
    }
    let args = [Int(inotify.number()), Str(&name), Int(uint(mask))];
    let watch = forward(nr::INOTIFY_ADD_WATCH, Wait::No, args)?;
    at_most(watch, i32::MAX.unsigned_abs().into())
}

pub(crate) fn inotify_rm_watch(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let inotify = Records::host_of(Kind::Inotify, sys.args[0])?;
    forward_zero(nr::INOTIFY_RM_WATCH, [Int(inotify.number()), Int(uint(sys.args[1]))])
}
