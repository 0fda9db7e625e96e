//! Limits of resources. Those that concern memory, stacks, descriptors and queues of signals are kept
//! inside; the rest is the host's to keep, as it holds what they limit. Of processor time it is asked for
//! more by what was used before the program began.

use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{AppPtr, Mutex, to_usize};
use enclave_files::{limit_file_size, table};
use enclave_hostcalls::{Call, Errno, Wait};
use enclave_mm::Limits;

use crate::{
    Sys,
    args::{
        Arg::{Int, MaybeOut},
        forward_zero, int, optional, uint,
    },
    ids,
    process::process,
    signal,
    time::{self, SECOND},
};

const PRLIMIT64: u64 = 302;
const INFINITY: u64 = u64::MAX;

const CPU: usize = 0;
const FSIZE: usize = 1;
const DATA: usize = 2;
const STACK: usize = 3;
const NOFILE: usize = 7;
const AS: usize = 9;
const SIGPENDING: usize = 11;
const COUNT: usize = 16;
/// DATA, STACK, RSS, NOFILE, MEMLOCK, AS, SIGPENDING.
const INSIDE: [usize; 7] = [DATA, STACK, 5, NOFILE, 8, AS, SIGPENDING];

/// `struct rlimit`: soft and hard limit.
type Limit = [u64; 2];

/// Limits that are kept inside and were set there.
static SET: Mutex<[Option<Limit>; COUNT]> = Mutex::new([None; COUNT]);

/// How large files may become. The host keeps it for its own files.
static FILE_SIZE: AtomicU64 = AtomicU64::new(INFINITY);

/// Seconds of processor time that the host's process had used, rounded up, when the program began.
static BEFORE: AtomicU64 = AtomicU64::new(0);

/// Limit of processor time that the program set, and what the host was told in its place.
static CPU_SET: Mutex<Option<[Limit; 2]>> = Mutex::new(None);

/// The program is about to begin. Returns how large its first stack may become.
pub(crate) fn init() -> Result<u64, Errno> {
    let used = time::host_clock(time::id::PROCESS_CPU)?;
    BEFORE.store(used.div_ceil(SECOND), Ordering::Relaxed);
    note_file_size(of_host(FSIZE, None)?[0]);
    let [stack, _] = of_host(STACK, None)?;
    let mut space = process().space();
    let limits = Limits { stack, ..space.limits() };
    space.set_limits(limits);
    Ok(stack)
}

/// How many bytes a file in memory may become.
pub(crate) fn file_size() -> u64 {
    FILE_SIZE.load(Ordering::Relaxed)
}

fn note_file_size(limit: u64) {
    FILE_SIZE.store(limit, Ordering::Relaxed);
    limit_file_size(limit != INFINITY);
}

fn resource(arg: u64) -> Result<usize, Errno> {
    usize::try_from(int(arg)).ok().filter(|&resource| resource < COUNT).ok_or(Errno::EINVAL)
}

/// Asks the host, and sets the limit there if there is a new one.
fn of_host(resource: usize, new: Option<Limit>) -> Result<Limit, Errno> {
    let mut call = Call::new(PRLIMIT64, 32)?;
    let (set, old) = (call.room(16), call.room(16));
    let pointer = match new {
        Some([soft, hard]) => {
            set.word(0).write(soft);
            set.word(1).write(hard);
            set.address()
        }
        None => 0,
    };
    call.args([0, resource as u64, pointer, old.address()]).zero(Wait::No)?;
    Ok([old.word(0).read(), old.word(1).read()])
}

fn get(resource: usize) -> Result<Limit, Errno> {
    let set = SET.lock()[resource];
    match set {
        Some(limit) => Ok(limit),
        None if resource == CPU => processor_time(),
        // What limits the host's process is not what limits the program's memory.
        None if resource == AS || resource == DATA => Ok([INFINITY; 2]),
        None => of_host(resource, None),
    }
}

fn set(resource: usize, new: Limit) -> Result<(), Errno> {
    let [soft, hard] = new;
    if soft > hard {
        return Err(Errno::EINVAL);
    }
    if resource != CPU && !INSIDE.contains(&resource) {
        of_host(resource, Some(new))?;
        if resource == FSIZE {
            note_file_size(soft);
        }
        return Ok(());
    }
    let [_, old_hard] = get(resource)?;
    if hard > old_hard && !ids::is_privileged() {
        return Err(Errno::EPERM);
    }
    match resource {
        CPU => return set_processor_time(new),
        NOFILE => set_descriptors(soft)?,
        SIGPENDING => signal::limit_queues(to_usize(soft)),
        _ => {}
    }
    SET.lock()[resource] = Some(new);
    apply_memory();
    Ok(())
}

/// The host needs some descriptors for itself: its limit is only ever raised.
fn set_descriptors(soft: u64) -> Result<(), Errno> {
    let [host_soft, host_hard] = of_host(NOFILE, None)?;
    if soft > host_soft {
        of_host(NOFILE, Some([soft.min(host_hard.max(soft)), host_hard.max(soft)]))?;
    }
    table().set_limit(soft);
    Ok(())
}

/// What the program set, and how far the host has moved it on: at each second beyond the soft limit,
/// SIGXCPU is sent and the limit is one more.
fn processor_time() -> Result<Limit, Errno> {
    let set = *CPU_SET.lock();
    let there = of_host(CPU, None)?;
    let Some([[soft, hard], [told, _]]) = set else { return Ok(there) };
    let moved = if soft == INFINITY { 0 } else { there[0].saturating_sub(told) };
    Ok([soft.saturating_add(moved), hard])
}

fn set_processor_time(new: Limit) -> Result<(), Errno> {
    let before = BEFORE.load(Ordering::Relaxed);
    let [_, most] = of_host(CPU, None)?;
    let told = new.map(|seconds| seconds.saturating_add(before));
    let within = told.map(|seconds| seconds.min(most));
    // The host need not allow more than it did.
    let told = match of_host(CPU, Some(told)) {
        Ok(_) => told,
        Err(_) => of_host(CPU, Some(within)).map(|_| within)?,
    };
    *CPU_SET.lock() = Some([new, told]);
    Ok(())
}

fn apply_memory() {
    let set = *SET.lock();
    let soft = |resource: usize, unset: u64| set[resource].map_or(unset, |[soft, _]| soft);
    let mut space = process().space();
    let limits = Limits {
        address_space: soft(AS, INFINITY),
        data: soft(DATA, INFINITY),
        stack: soft(STACK, space.limits().stack),
        ..space.limits()
    };
    space.set_limits(limits);
}

pub(crate) fn getrlimit(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let limit = get(resource(sys.args[0])?)?;
    AppPtr::new(sys.args[1]).write(&limit)?;
    Ok(0)
}

pub(crate) fn setrlimit(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let new = AppPtr::new(sys.args[1]).read()?;
    set(resource(sys.args[0])?, new)?;
    Ok(0)
}

/// The limits of another process are the host's; they can be asked for, not set.
fn of_other(sys: &Sys<'_>) -> Result<u64, Errno> {
    let [pid, number, new, old, ..] = sys.args;
    let old = MaybeOut(optional(old, 16)?);
    forward_zero(PRLIMIT64, [Int(uint(pid)), Int(uint(number)), Int(0), old])?;
    if new == 0 { Ok(0) } else { Err(Errno::EPERM) }
}

pub(crate) fn prlimit64(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [pid, number, new, old, ..] = sys.args;
    let resource = resource(number)?;
    if ids::process_id(pid) != process().pid.into() {
        return of_other(sys);
    }
    let (new, old) = (AppPtr::<Limit>::new(new), AppPtr::<Limit>::new(old));
    let wanted = if new.is_null() { None } else { Some(new.read()?) };
    let before = get(resource)?;
    if let Some(wanted) = wanted {
        set(resource, wanted)?;
    }
    if !old.is_null() {
        old.write(&before)?;
    }
    Ok(0)
}
