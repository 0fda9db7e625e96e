//! Shared memory: shmget(2), shmat(2), shmdt(2), shmctl(2).
//!
//! A page of an enclave has one address. So a segment that is attached more than once is at the
//! same address each time: what is written is seen, as it must be.

use enclave_core::{AppPtr, Mutex};
use enclave_hostcalls::Errno;
use enclave_mm::MapRequest;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{
    command, now,
    registry::{Entry, Permissions, Registry, read_permissions},
};
use crate::{
    Sys,
    args::{int, uint},
    memory::errno,
    process::process,
};

/// Flags of shmat(2).
const READ_ONLY: u64 = 0o10000;
const ROUND: u64 = 0o20000;
const EXECUTABLE: u64 = 0o100_000;
/// `SHM_DEST`: it goes once nobody is attached.
const GOES: u32 = 0o1000;

const PAGE: u64 = 4096;
const PROT_NONE: u64 = 0;
const PROT_READ: u64 = 1;
const PROT_WRITE: u64 = 2;
const PROT_EXEC: u64 = 4;
/// `MAP_SHARED | MAP_ANONYMOUS`, and `MAP_FIXED_NOREPLACE`.
const SHARED: u64 = 0x21;
const AT_ADDRESS: u64 = 0x10_0000;

struct State {
    /// Where it is, once it was attached; without access while nobody is.
    address: Option<u64>,
    attached: u64,
    /// It goes once nobody is attached.
    goes: bool,
    times: [u64; 3],
    last: u32,
}

struct Segment {
    size: u64,
    creator: u32,
    state: Mutex<State>,
}

/// Most segments (`SHMMNI`), and the most bytes and pages (`SHMMAX`, `SHMALL`).
const MOST_SEGMENTS: u32 = 4096;
const MOST: u64 = u64::MAX - (1 << 24);

static SEGMENTS: Registry<Segment> = Registry::new(MOST_SEGMENTS);

/// `struct shmid64_ds`.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Status {
    permissions: Permissions,
    size: u64,
    /// Of the last attachment, detachment, and change.
    times: [u64; 3],
    creator: u32,
    last: u32,
    attached: u64,
    unused: [u64; 2],
}

pub(crate) fn shmget(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [key, size, flags, ..] = sys.args;
    let fits = |segment: &Segment| {
        if size > segment.size { Err(Errno::EINVAL) } else { Ok(()) }
    };
    SEGMENTS.open(key, uint(flags), fits, || {
        if size == 0 || i64::try_from(size).is_err() {
            return Err(Errno::EINVAL);
        }
        let times = [0, 0, now()];
        let state = State { address: None, attached: 0, goes: false, times, last: 0 };
        Ok(Segment { size, creator: process().pid, state: Mutex::new(state) })
    })
}

pub(crate) fn shmat(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [id, hint, flags, ..] = sys.args;
    let entry = SEGMENTS.get(id)?;
    let hint = match hint % PAGE {
        0 => hint,
        rest if flags & ROUND != 0 => hint - rest,
        _ => return Err(Errno::EINVAL),
    };
    let mut prot = PROT_READ;
    prot |= if flags & READ_ONLY == 0 { PROT_WRITE } else { 0 };
    prot |= if flags & EXECUTABLE != 0 { PROT_EXEC } else { 0 };
    let segment = &entry.body;
    let mut state = segment.state.lock();
    let address = match state.address {
        None => {
            let place = if hint == 0 { 0 } else { AT_ADDRESS };
            let request = MapRequest {
                hint,
                len: segment.size,
                prot,
                flags: SHARED | place,
                offset: 0,
                file: None,
            };
            process().space().mmap(request).map_err(errno)?
        }
        Some(address) if hint != 0 && hint != address => return Err(Errno::EINVAL),
        Some(address) => {
            // Those who are attached already keep the right to write.
            let prot = if state.attached > 0 { prot | PROT_READ | PROT_WRITE } else { prot };
            process().space().mprotect(address, segment.size, prot).map_err(errno)?;
            address
        }
    };
    state.address = Some(address);
    state.attached += 1;
    (state.times[0], state.last) = (now(), process().pid);
    Ok(address)
}

pub(crate) fn shmdt(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let address = sys.args[0];
    let is_there = |segment: &Segment| {
        let state = segment.state.lock();
        state.attached > 0 && state.address == Some(address)
    };
    let entry = SEGMENTS.find(is_there).ok_or(Errno::EINVAL)?;
    let mut state = entry.body.state.lock();
    state.attached = state.attached.saturating_sub(1);
    (state.times[1], state.last) = (now(), process().pid);
    let (unused, goes) = (state.attached == 0, state.goes);
    if unused && !goes {
        process().space().mprotect(address, entry.body.size, PROT_NONE).map_err(errno)?;
    }
    drop(state);
    if unused && goes { remove(&entry) } else { Ok(0) }
}

/// Removes a segment to which nobody is attached.
fn remove(entry: &Entry<Segment>) -> Result<u64, Errno> {
    SEGMENTS.remove(entry)?;
    if let Some(address) = entry.body.state.lock().address.take() {
        process().space().munmap(address, entry.body.size).map_err(errno)?;
    }
    Ok(0)
}

pub(crate) fn shmctl(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const LOCK: u64 = 11;
    const UNLOCK: u64 = 12;
    /// `SHM_STAT`, `SHM_INFO` and `SHM_STAT_ANY`.
    const STAT_AT: u64 = 13;
    const INFO: u64 = 14;
    const STAT_AT_ANY: u64 = 15;
    let [id, which, address, ..] = sys.args;
    match uint(which) {
        command::INFO if int(id) >= 0 => {
            let most = u64::from(MOST_SEGMENTS);
            AppPtr::new(address).write(&[MOST, 1, most, most, MOST, 0, 0, 0, 0])?;
            return Ok(SEGMENTS.all().1);
        }
        INFO if int(id) >= 0 => return info(address),
        STAT_AT | STAT_AT_ANY => {
            let segment = SEGMENTS.at(id)?;
            AppPtr::new(address).write(&status(&segment))?;
            return Ok(segment.id);
        }
        _ => {}
    }
    let entry = SEGMENTS.get(id)?;
    match uint(which) {
        command::REMOVE => {
            let mut state = entry.body.state.lock();
            state.goes = true;
            let unused = state.attached == 0;
            drop(state);
            return if unused { remove(&entry) } else { Ok(0) };
        }
        command::SET => {
            entry.set_permissions(&read_permissions(address)?)?;
            entry.body.state.lock().times[2] = now();
        }
        command::STAT => AppPtr::new(address).write(&status(&entry))?,
        // Pages of an enclave are not swapped by the program's will either way.
        LOCK | UNLOCK => {}
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// Writes `struct shm_info`: what there is. Returns the highest place of a segment.
fn info(address: u64) -> Result<u64, Errno> {
    let (segments, last) = SEGMENTS.all();
    let pages: u64 = segments.iter().map(|segment| segment.body.size.div_ceil(PAGE)).sum();
    AppPtr::new(address).write(&[segments.len() as u64, pages, pages, 0, 0, 0])?;
    Ok(last)
}

fn status(entry: &Entry<Segment>) -> Status {
    let state = entry.body.state.lock();
    let goes = if state.goes { GOES } else { 0 };
    Status {
        permissions: entry.permissions().with_mode_bits(goes),
        size: entry.body.size,
        times: state.times,
        creator: entry.body.creator,
        last: state.last,
        attached: state.attached,
        unused: [0; 2],
    }
}
