//! Semaphores: semget(2), semop(2), semctl(2).

use alloc::{vec, vec::Vec};

use enclave_core::{AppPtr, AppSlice, Mutex, to_usize};
use enclave_hostcalls::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{
    NO_WAIT, command, now,
    registry::{Entry, Permissions, Registry, read_permissions},
    wait,
};
use crate::{
    Sys,
    args::{int, uint},
    process::process,
    wait::Deadline,
};

/// Most sets (`SEMMNI`), semaphores of a set (`SEMMSL`), operations of a call (`SEMOPM`), and the largest
/// value.
const MOST_SETS: u32 = 32000;
const MOST: u64 = 32000;
const MOST_OPERATIONS: u64 = 500;
const LARGEST: i32 = 32767;

#[derive(Clone, Copy, Debug, Default)]
struct Semaphore {
    value: u16,
    /// Process of the last operation.
    pid: u32,
    /// Threads that wait for it to grow, and for it to be zero.
    waiting: [u32; 2],
}

#[derive(Debug)]
struct Values {
    all: Vec<Semaphore>,
    operated: u64,
    changed: u64,
}

type Set = Mutex<Values>;

static SETS: Registry<Set> = Registry::new(MOST_SETS);

/// `struct sembuf`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Operation {
    number: u16,
    change: i16,
    flags: u16,
}

/// `struct semid64_ds`.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Status {
    permissions: Permissions,
    operated: u64,
    unused: u64,
    changed: u64,
    unused2: u64,
    count: u64,
    unused3: [u64; 2],
}

pub(crate) fn semget(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [key, count, flags, ..] = sys.args;
    let count = u64::try_from(int(count)).map_err(|_| Errno::EINVAL)?;
    if count > MOST {
        return Err(Errno::EINVAL);
    }
    let fits = |set: &Set| {
        if count > set.lock().all.len() as u64 { Err(Errno::EINVAL) } else { Ok(()) }
    };
    SETS.open(key, uint(flags), fits, || match count {
        0 => Err(Errno::EINVAL),
        _ => Ok(Mutex::new(Values {
            all: vec![Semaphore::default(); to_usize(count)],
            operated: 0,
            changed: now(),
        })),
    })
}

pub(crate) fn semop(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [id, operations, count, ..] = sys.args;
    operate(id, operations, uint(count), 0)
}

pub(crate) fn semtimedop(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [id, operations, count, timeout, ..] = sys.args;
    operate(id, operations, uint(count), timeout)
}

fn operate(id: u64, address: u64, count: u64, timeout: u64) -> Result<u64, Errno> {
    if count > MOST_OPERATIONS {
        return Err(Errno::E2BIG);
    }
    if count == 0 || int(id) < 0 {
        return Err(Errno::EINVAL);
    }
    let mut operations = vec![Operation { number: 0, change: 0, flags: 0 }; to_usize(count)];
    let slice = AppSlice::new(address, count * size_of::<Operation>() as u64)?;
    slice.read_bytes(operations.as_mut_bytes())?;
    let deadline = Deadline::after_timespec(timeout)?;
    let set = SETS.get(id)?;
    let mut blocked = None;
    let result = wait(&set.queue, deadline, Errno::EAGAIN, || {
        set.check()?;
        attempt(&mut set.body.lock(), &operations, &mut blocked)
    });
    if let Some(place) = blocked {
        note(&mut set.body.lock(), place, false);
    }
    if result? {
        set.queue.wake(u32::MAX);
    }
    Ok(0)
}

/// The semaphore that an operation waits for, and whether it is to become zero.
type Place = (usize, bool);

/// Counts a waiting thread, or no longer.
fn note(values: &mut Values, (at, zero): Place, waits: bool) {
    if let Some(semaphore) = values.all.get_mut(at) {
        let count = &mut semaphore.waiting[usize::from(zero)];
        *count = if waits { *count + 1 } else { count.saturating_sub(1) };
    }
}

/// Makes all operations or none; whether any value was changed. `None`: one of them has to wait.
fn attempt(
    values: &mut Values,
    operations: &[Operation],
    blocked: &mut Option<Place>,
) -> Result<Option<bool>, Errno> {
    let mut new: Vec<u16> = values.all.iter().map(|semaphore| semaphore.value).collect();
    for operation in operations {
        let at = usize::from(operation.number);
        let value = new.get_mut(at).ok_or(Errno::EFBIG)?;
        let after = i32::from(*value) + i32::from(operation.change);
        if after > LARGEST {
            return Err(Errno::ERANGE);
        }
        let zero = operation.change == 0;
        match u16::try_from(after) {
            Ok(after) if !zero || after == 0 => *value = after,
            _ if u64::from(operation.flags) & NO_WAIT != 0 => return Err(Errno::EAGAIN),
            _ => {
                if let Some(former) = blocked.replace((at, zero)) {
                    note(values, former, false);
                }
                note(values, (at, zero), true);
                return Ok(None);
            }
        }
    }
    for operation in operations {
        values.all[usize::from(operation.number)].pid = process().pid;
    }
    let changed = operations.iter().any(|operation| operation.change != 0);
    for (semaphore, value) in values.all.iter_mut().zip(new) {
        semaphore.value = value;
    }
    values.operated = now();
    Ok(Some(changed))
}

/// Commands of semctl(2) beyond the common ones.
mod special {
    pub(super) const GET_PID: u64 = 11;
    pub(super) const GET_VALUE: u64 = 12;
    pub(super) const GET_ALL: u64 = 13;
    pub(super) const GET_GROW_COUNT: u64 = 14;
    pub(super) const GET_ZERO_COUNT: u64 = 15;
    pub(super) const SET_VALUE: u64 = 16;
    pub(super) const SET_ALL: u64 = 17;
    /// `SEM_STAT`, `SEM_STAT_ANY`: of the set in a place, and its id.
    pub(super) const STAT_AT: u64 = 18;
    pub(super) const STAT_AT_ANY: u64 = 20;
    /// `SEM_INFO`: what there is.
    pub(super) const INFO: u64 = 19;
}

pub(crate) fn semctl(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [id, number, which, argument, ..] = sys.args;
    match uint(which) {
        which @ (command::INFO | special::INFO) if int(id) >= 0 => {
            return info(argument, which == special::INFO);
        }
        special::STAT_AT | special::STAT_AT_ANY => {
            let set = SETS.at(id)?;
            AppPtr::new(argument).write(&status(&set))?;
            return Ok(set.id);
        }
        _ => {}
    }
    let set = SETS.get(id)?;
    match uint(which) {
        command::REMOVE => SETS.remove(&set)?,
        command::SET => {
            set.set_permissions(&read_permissions(argument)?)?;
            set.body.lock().changed = now();
        }
        command::STAT => AppPtr::new(argument).write(&status(&set))?,
        special::GET_ALL => {
            let values: Vec<u16> = set.body.lock().all.iter().map(|one| one.value).collect();
            let bytes = values.as_bytes();
            AppSlice::new(argument, bytes.len() as u64)?.write_bytes(bytes)?;
        }
        special::SET_ALL => {
            let mut values = vec![0_u16; set.body.lock().all.len()];
            let slice = AppSlice::new(argument, 2 * values.len() as u64)?;
            slice.read_bytes(values.as_mut_bytes())?;
            set_values(&set, 0, &values)?;
        }
        special::SET_VALUE => {
            let value = u16::try_from(int(argument)).map_err(|_| Errno::ERANGE)?;
            set_values(&set, index(&set, number)?, &[value])?;
        }
        which => return get(&set, index(&set, number)?, which),
    }
    Ok(0)
}

/// Writes `struct seminfo`: the limits, and what there is in place of two of them. Returns the highest
/// place of a set.
fn info(address: u64, used: bool) -> Result<u64, Errno> {
    let low = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let (sets, last) = SETS.all();
    let semaphores: u64 = sets.iter().map(|set| set.body.lock().all.len() as u64).sum();
    let all = MOST_SETS * low(MOST);
    let largest = LARGEST.unsigned_abs();
    let [undo_size, undo_value] =
        if used { [low(sets.len() as u64), low(semaphores)] } else { [20, largest] };
    let [most, operations] = [low(MOST), low(MOST_OPERATIONS)];
    let words =
        [all, MOST_SETS, all, all, most, operations, operations, undo_size, largest, undo_value];
    AppPtr::new(address).write(&words)?;
    Ok(last)
}

fn index(set: &Entry<Set>, number: u64) -> Result<usize, Errno> {
    let number = usize::try_from(int(number)).map_err(|_| Errno::EINVAL)?;
    if number < set.body.lock().all.len() { Ok(number) } else { Err(Errno::EINVAL) }
}

fn get(set: &Entry<Set>, at: usize, which: u64) -> Result<u64, Errno> {
    let semaphore = set.body.lock().all[at];
    Ok(match which {
        special::GET_PID => semaphore.pid.into(),
        special::GET_VALUE => semaphore.value.into(),
        special::GET_GROW_COUNT => semaphore.waiting[0].into(),
        special::GET_ZERO_COUNT => semaphore.waiting[1].into(),
        _ => return Err(Errno::EINVAL),
    })
}

fn set_values(set: &Entry<Set>, at: usize, new: &[u16]) -> Result<(), Errno> {
    if new.iter().any(|&value| i32::from(value) > LARGEST) {
        return Err(Errno::ERANGE);
    }
    let mut values = set.body.lock();
    for (semaphore, value) in values.all.iter_mut().skip(at).zip(new) {
        (semaphore.value, semaphore.pid) = (*value, process().pid);
    }
    values.changed = now();
    drop(values);
    set.queue.wake(u32::MAX);
    Ok(())
}

fn status(set: &Entry<Set>) -> Status {
    let permissions = set.permissions();
    let values = set.body.lock();
    Status {
        permissions,
        operated: values.operated,
        unused: 0,
        changed: values.changed,
        unused2: 0,
        count: values.all.len() as u64,
        unused3: [0; 2],
    }
}
