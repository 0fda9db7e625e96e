//! Users, groups, sessions and capabilities.
//!
//! User and group ids are the process's own: the host's are what it started with, and changes
//! that Linux would permit are made inside only. The host's rights stay those of the launcher.

use alloc::vec::Vec;

use enclave_core::{AppPtr, AppSlice, Mutex};
use enclave_hostcalls::{Call, Errno, Wait};
use enclave_threads::current;

use crate::{
    Sys,
    process::{PID_MAX, process},
    signal,
};

/// Real, effective and saved id.
#[derive(Clone, Copy, Debug)]
struct Ids([u32; 3]);

#[derive(Debug)]
struct Credentials {
    users: Ids,
    groups: Ids,
    /// Set by setgroups(2); until then they are the host's.
    supplementary: Option<Vec<u32>>,
}

static CREDENTIALS: Mutex<Credentials> =
    Mutex::new(Credentials { users: Ids([0; 3]), groups: Ids([0; 3]), supplementary: None });

fn low(word: u64) -> u32 {
    u32::try_from(word & 0xffff_ffff).unwrap_or(0)
}

/// Takes the ids of the boot parameters: real in the low half, effective in the high half.
pub(crate) fn init(users: u64, groups: u64) {
    let ids = |pair: u64| Ids([low(pair), low(pair >> 32), low(pair >> 32)]);
    let mut credentials = CREDENTIALS.lock();
    (credentials.users, credentials.groups) = (ids(users), ids(groups));
}

/// The real user id.
pub(crate) fn real_user() -> u32 {
    CREDENTIALS.lock().users.0[0]
}

/// Owner and group of what the process creates.
pub(crate) fn of_files() -> [u32; 2] {
    let credentials = CREDENTIALS.lock();
    [credentials.users.0[1], credentials.groups.0[1]]
}

/// Whether the process may say that it has these ids (`SCM_CREDENTIALS`).
pub(crate) fn may_claim(user: u32, group: u32) -> bool {
    let credentials = CREDENTIALS.lock();
    credentials.users.0.contains(&user) && credentials.groups.0.contains(&group)
}

/// Whether the process has the rights of the superuser inside.
pub(crate) fn is_privileged() -> bool {
    CREDENTIALS.lock().users.0[1] == 0
}

/// What setting an id to this value leaves as it is.
const KEEP: u32 = u32::MAX;

impl Ids {
    fn may_become(self, id: u32, privileged: bool) -> bool {
        privileged || id == KEEP || self.0.contains(&id)
    }

    fn set(&mut self, new: [u32; 3], privileged: bool) -> Result<(), Errno> {
        if !new.iter().all(|&id| self.may_become(id, privileged)) {
            return Err(Errno::EPERM);
        }
        for (id, new) in self.0.iter_mut().zip(new) {
            if new != KEEP {
                *id = new;
            }
        }
        Ok(())
    }

    /// setuid(2): all three for the privileged, the effective one for others.
    fn set_one(&mut self, id: u32, privileged: bool) -> Result<(), Errno> {
        if id == KEEP {
            return Err(Errno::EINVAL);
        }
        if privileged {
            return self.set([id; 3], true);
        }
        if id != self.0[0] && id != self.0[2] {
            return Err(Errno::EPERM);
        }
        self.set([KEEP, id, KEEP], false)
    }

    /// setreuid(2): the saved id follows the effective one if the real one is set, too.
    fn set_pair(&mut self, real: u32, effective: u32, privileged: bool) -> Result<(), Errno> {
        let [old_real, old_effective, _] = self.0;
        if !privileged && real != KEEP && real != old_real && real != old_effective {
            return Err(Errno::EPERM);
        }
        self.set([real, effective, KEEP], privileged)?;
        if real != KEEP || effective != KEEP && effective != old_real {
            self.0[2] = self.0[1];
        }
        Ok(())
    }
}

type Which = fn(&mut Credentials) -> &mut Ids;

fn users(credentials: &mut Credentials) -> &mut Ids {
    &mut credentials.users
}

fn groups(credentials: &mut Credentials) -> &mut Ids {
    &mut credentials.groups
}

fn change(
    which: Which,
    change: impl FnOnce(&mut Ids, bool) -> Result<(), Errno>,
) -> Result<u64, Errno> {
    let mut credentials = CREDENTIALS.lock();
    let privileged = credentials.users.0[1] == 0;
    change(which(&mut credentials), privileged)?;
    Ok(0)
}

fn get(which: Which, index: usize) -> Result<u64, Errno> {
    Ok(which(&mut CREDENTIALS.lock()).0[index].into())
}

pub(crate) fn getuid(_: &mut Sys<'_>) -> Result<u64, Errno> {
    get(users, 0)
}

pub(crate) fn geteuid(_: &mut Sys<'_>) -> Result<u64, Errno> {
    get(users, 1)
}

pub(crate) fn getgid(_: &mut Sys<'_>) -> Result<u64, Errno> {
    get(groups, 0)
}

pub(crate) fn getegid(_: &mut Sys<'_>) -> Result<u64, Errno> {
    get(groups, 1)
}

pub(crate) fn setuid(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    change(users, |ids, privileged| ids.set_one(low(sys.args[0]), privileged))
}

pub(crate) fn setgid(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    change(groups, |ids, privileged| ids.set_one(low(sys.args[0]), privileged))
}

pub(crate) fn setreuid(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [real, effective, ..] = sys.args.map(low);
    change(users, |ids, privileged| ids.set_pair(real, effective, privileged))
}

pub(crate) fn setregid(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [real, effective, ..] = sys.args.map(low);
    change(groups, |ids, privileged| ids.set_pair(real, effective, privileged))
}

pub(crate) fn setresuid(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [real, effective, saved, ..] = sys.args.map(low);
    change(users, |ids, privileged| ids.set([real, effective, saved], privileged))
}

pub(crate) fn setresgid(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [real, effective, saved, ..] = sys.args.map(low);
    change(groups, |ids, privileged| ids.set([real, effective, saved], privileged))
}

fn get_all(which: Which, args: [u64; 6]) -> Result<u64, Errno> {
    let ids = which(&mut CREDENTIALS.lock()).0;
    for (id, pointer) in ids.iter().zip(args) {
        AppPtr::<u32>::new(pointer).write(id)?;
    }
    Ok(0)
}

pub(crate) fn getresuid(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    get_all(users, sys.args)
}

pub(crate) fn getresgid(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    get_all(groups, sys.args)
}

/// setfsuid: it always follows the effective id; the old one is returned, whatever is asked.
pub(crate) fn setfsuid(_: &mut Sys<'_>) -> Result<u64, Errno> {
    get(users, 1)
}

pub(crate) fn setfsgid(_: &mut Sys<'_>) -> Result<u64, Errno> {
    get(groups, 1)
}

const GROUPS_MAX: u64 = 65536;

fn host_groups() -> Result<Vec<u32>, Errno> {
    const GETGROUPS: u64 = 115;
    let count = Call::new(GETGROUPS, 0)?.count(Wait::No, GROUPS_MAX)?;
    let mut call = Call::new(GETGROUPS, count * 4)?;
    let room = call.room(count * 4);
    let found = call.args([count, room.address()]).count(Wait::No, count)?;
    let mut bytes = alloc::vec![0; enclave_core::to_usize(found * 4)];
    room.part(0, found * 4).read_bytes(&mut bytes);
    Ok(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

pub(crate) fn getgroups(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [size, list, ..] = sys.args;
    let set = CREDENTIALS.lock().supplementary.clone();
    let groups = match set {
        Some(groups) => groups,
        None => host_groups()?,
    };
    let count = groups.len() as u64;
    let size = u64::from(low(size));
    if size == 0 {
        return Ok(count);
    }
    if size < count || size > i32::MAX.unsigned_abs().into() {
        return Err(Errno::EINVAL);
    }
    let bytes: Vec<u8> = groups.iter().flat_map(|group| group.to_le_bytes()).collect();
    AppSlice::new(list, bytes.len() as u64)?.write_bytes(&bytes)?;
    Ok(count)
}

pub(crate) fn setgroups(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [size, list, ..] = sys.args;
    let size = u64::from(low(size));
    if !is_privileged() {
        return Err(Errno::EPERM);
    }
    if size > GROUPS_MAX {
        return Err(Errno::EINVAL);
    }
    let bytes = AppSlice::new(list, size * 4)?.to_vec()?;
    let mut groups: Vec<_> =
        bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    groups.sort_unstable();
    CREDENTIALS.lock().supplementary = Some(groups);
    Ok(0)
}

fn forward<const N: usize>(number: u64, args: [u64; N], limit: u64) -> Result<u64, Errno> {
    Call::new(number, 0)?.args(args).count(Wait::No, limit)
}

/// Largest process id.
const LARGEST: u64 = PID_MAX as u64;

/// The process by its id, where it is meant itself or by one of its threads: host threads are others than ours.
pub(crate) fn process_id(arg: u64) -> u64 {
    if low(arg) == 0 { process().pid.into() } else { known_to_host(low(arg)).into() }
}

/// The id by which the host knows who is meant: the process's for one of its threads.
pub(crate) fn known_to_host(id: u32) -> u32 {
    if signal::find_thread(id).is_some() { process().pid } else { id }
}

/// Whether it is the id of a thread that is not the first.
pub(crate) fn is_later_thread(id: u32) -> bool {
    id != process().pid && signal::find_thread(id).is_some()
}

pub(crate) fn getpgid(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    forward(121, [process_id(sys.args[0])], LARGEST)
}

pub(crate) fn getpgrp(_: &mut Sys<'_>) -> Result<u64, Errno> {
    forward(121, [process().pid.into()], LARGEST)
}

pub(crate) fn setpgid(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    if is_later_thread(low(sys.args[0])) {
        return Err(Errno::EINVAL);
    }
    let pid = if low(sys.args[0]) == 0 { process().pid.into() } else { sys.args[0] };
    forward(109, [pid, sys.args[1]], 0)
}

pub(crate) fn getsid(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    forward(124, [process_id(sys.args[0])], LARGEST)
}

pub(crate) fn setsid(_: &mut Sys<'_>) -> Result<u64, Errno> {
    forward(112, [], LARGEST)
}

/// Header of capget(2): version and process.
type CapHeader = [u32; 2];
const CAP_VERSION_1: u32 = 0x1998_0330;
const CAP_VERSION_2: u32 = 0x2007_1026;
const CAP_VERSION_3: u32 = 0x2008_0522;

/// Bytes of the data that a version has; tells the version to use if it is unknown.
fn cap_size(header: AppPtr<CapHeader>) -> Result<(CapHeader, u64), Errno> {
    let [version, pid] = header.read()?;
    match version {
        CAP_VERSION_1 => Ok(([version, pid], 12)),
        CAP_VERSION_2 | CAP_VERSION_3 => Ok(([version, pid], 24)),
        _ => {
            header.write(&[CAP_VERSION_3, pid])?;
            Err(Errno::EINVAL)
        }
    }
}

pub(crate) fn capget(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const CAPGET: u64 = 125;
    let [header, data, ..] = sys.args;
    let header = AppPtr::<CapHeader>::new(header);
    let ([version, pid], size) = match cap_size(header) {
        Err(Errno::EINVAL) if data == 0 => return Ok(0),
        other => other?,
    };
    let pid = low(process_id(pid.into()));
    let mut call = Call::new(CAPGET, 8 + size)?;
    let staged = call.bytes(zerocopy::IntoBytes::as_bytes(&[version, pid]));
    let room = call.room(size);
    call.args([staged, room.address()]).zero(Wait::No)?;
    if data != 0 {
        room.read_app(AppSlice::new(data, size)?)?;
    }
    Ok(0)
}

pub(crate) fn capset(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [header, data, ..] = sys.args;
    let ([_, pid], size) = cap_size(AppPtr::new(header))?;
    if pid != 0 && pid != current().tid() {
        return Err(Errno::EPERM);
    }
    AppSlice::new(data, size)?.to_vec()?;
    if is_privileged() { Ok(0) } else { Err(Errno::EPERM) }
}
