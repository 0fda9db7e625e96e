//! inotify(7), by the host.

use enclave_files::flag;
use enclave_hostcalls::{Errno, Wait};

use crate::{
    Sys,
    args::{
        Arg::{Int, Str},
        at_most, forward, forward_zero, host, path, uint,
    },
    path::{AT_FDCWD, Place, place_of},
};

mod nr {
    pub(super) const INOTIFY_ADD_WATCH: u64 = 254;
    pub(super) const INOTIFY_RM_WATCH: u64 = 255;
    pub(super) const INOTIFY_INIT1: u64 = 294;
}

pub(crate) fn inotify_init(_: &mut Sys<'_>) -> Result<u64, Errno> {
    init(0)
}

pub(crate) fn inotify_init1(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    init(uint(sys.args[0]))
}

fn init(flags: u64) -> Result<u64, Errno> {
    super::make(nr::INOTIFY_INIT1, [flags | flag::CLOEXEC], flags)
}

pub(crate) fn inotify_add_watch(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, name, mask, ..] = sys.args;
    let (inotify, name) = (host(fd)?, path(name)?);
    // Nobody watches what is in memory.
    if matches!(place_of(AT_FDCWD, name.clone(), true), Ok(Place::Memory(_))) {
        return Err(Errno::ENOSYS);
    }
    let args = [Int(inotify.number()), Str(&name), Int(uint(mask))];
    let watch = forward(nr::INOTIFY_ADD_WATCH, Wait::No, args)?;
    at_most(watch, i32::MAX.unsigned_abs().into())
}

pub(crate) fn inotify_rm_watch(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let inotify = host(sys.args[0])?;
    forward_zero(nr::INOTIFY_RM_WATCH, [Int(inotify.number()), Int(uint(sys.args[1]))])
}
