//! Scheduling: threads run under the enclave's own scheduler, all alike; what processors there are
//! is the host's claim.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use enclave_core::{AppPtr, AppSlice, Mutex, to_usize};
use enclave_hostcalls::{Call, Errno, Wait};
use enclave_threads::current;

use crate::{
    Sys,
    args::{
        Arg::{Int, Out},
        at_most, forward, forward_zero, int, uint,
    },
    ids,
    process::process,
    signal,
};

mod nr {
    pub(super) const GETPRIORITY: u64 = 140;
    pub(super) const SETPRIORITY: u64 = 141;
    pub(super) const SCHED_GETAFFINITY: u64 = 204;
}

const OTHER: i32 = 0;
const FIFO: i32 = 1;
const ROUND_ROBIN: i32 = 2;
const BATCH: i32 = 3;
const IDLE: i32 = 5;
const DEADLINE: i32 = 6;
/// The policy with the largest number, and the flag that may come with it.
const LAST_POLICY: u64 = 7 | 0x4000_0000;
const RESET_ON_FORK: i32 = 0x4000_0000;

/// Most bytes of a processor set.
const SET_MAX: u64 = 1024;

/// The thread with this id; `None` if it is a process of the host.
fn own_thread(id: u64) -> Result<Option<u32>, Errno> {
    let id = u32::try_from(int(id)).map_err(|_| Errno::EINVAL)?;
    if id == 0 {
        return Ok(Some(current().tid()));
    }
    Ok(signal::is_own(id).then_some(id))
}

/// The processors that the host lets this process use: its first thread, for those of rings keep off
/// some.
fn own_processors(len: u64) -> Result<Vec<u8>, Errno> {
    processors(process().pid.into(), len)
}

/// The processors that the host lets a process use.
fn processors(id: u64, len: u64) -> Result<Vec<u8>, Errno> {
    let mut call = Call::new(nr::SCHED_GETAFFINITY, len)?;
    let buffer = call.room(len);
    let count = call.args([id, len, buffer.address()]).count(Wait::No, len)?;
    let mut set = vec![0; to_usize(count)];
    buffer.read_bytes(&mut set);
    Ok(set)
}

/// Sets that threads asked for. They are remembered, and have no other effect: threads of the
/// program move between threads of the host.
static WANTED: Mutex<BTreeMap<u32, Vec<u8>>> = Mutex::new(BTreeMap::new());

/// Policies that threads asked for, remembered only as well.
static POLICIES: Mutex<BTreeMap<u32, i32>> = Mutex::new(BTreeMap::new());

/// How nice threads are (from -20 to 19) that were told, or whose makers were. All others are as nice as the
/// first thread, of which the host keeps it.
static NICE: Mutex<BTreeMap<u32, i32>> = Mutex::new(BTreeMap::new());

/// A thread is as nice as who makes it.
pub(crate) fn thread_started(parent: u32, thread: u32) {
    let mut all = NICE.lock();
    if let Some(&nice) = all.get(&parent) {
        all.insert(thread, nice);
    }
}

/// Forgets what a thread that has ended asked for.
pub(crate) fn thread_ended(thread: u32) {
    NICE.lock().remove(&thread);
    WANTED.lock().remove(&thread);
    POLICIES.lock().remove(&thread);
}

fn policy_of(thread: u32) -> i32 {
    POLICIES.lock().get(&thread).copied().unwrap_or(OTHER)
}

/// Sets the policy of a thread, if it may have it.
fn set_policy(thread: u32, policy: i32, priority: i32) -> Result<u64, Errno> {
    check(policy, priority)?;
    POLICIES.lock().insert(thread, policy);
    Ok(0)
}

fn intersection(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(left, right)| left & right).collect()
}

pub(crate) fn getaffinity(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [id, len, out, ..] = sys.args;
    let len = uint(len);
    if !len.is_multiple_of(8) {
        return Err(Errno::EINVAL);
    }
    let id = u64::from(u32::try_from(int(id)).map_err(|_| Errno::ESRCH)?);
    let Some(thread) = own_thread(id)? else {
        return give(&processors(id, len.min(SET_MAX))?, out);
    };
    let set = own_processors(len.min(SET_MAX))?;
    let wanted = WANTED.lock().get(&thread).cloned();
    give(&wanted.map_or_else(|| set.clone(), |wanted| intersection(&set, &wanted)), out)
}

fn give(set: &[u8], out: u64) -> Result<u64, Errno> {
    AppSlice::new(out, set.len() as u64)?.write_bytes(set)?;
    Ok(set.len() as u64)
}

pub(crate) fn setaffinity(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [id, len, set, ..] = sys.args;
    let id = u64::from(u32::try_from(int(id)).map_err(|_| Errno::ESRCH)?);
    let mut wanted = AppSlice::new(set, uint(len).min(SET_MAX))?.to_vec()?;
    let thread = own_thread(id)?.ok_or(Errno::EPERM)?;
    let present = own_processors(SET_MAX)?;
    wanted.resize(present.len(), 0);
    if intersection(&wanted, &present).iter().all(|&byte| byte == 0) {
        return Err(Errno::EINVAL);
    }
    WANTED.lock().insert(thread, wanted);
    Ok(0)
}

/// Accepts ordinary policies; real-time ones need rights that the program does not have.
fn check(policy: i32, priority: i32) -> Result<u64, Errno> {
    match policy & !RESET_ON_FORK {
        OTHER | BATCH | IDLE if priority == 0 => Ok(0),
        FIFO | ROUND_ROBIN if (1..=99).contains(&priority) => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

fn read_priority(address: u64) -> Result<i32, Errno> {
    if address == 0 { Err(Errno::EINVAL) } else { Ok(AppPtr::<i32>::new(address).read()?) }
}

pub(crate) fn setscheduler(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [id, policy, parameters, ..] = sys.args;
    let priority = read_priority(parameters)?;
    let thread = own_thread(id)?.ok_or(Errno::EPERM)?;
    set_policy(thread, int(policy), priority)
}

pub(crate) fn setparam(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let priority = read_priority(sys.args[1])?;
    let thread = own_thread(sys.args[0])?.ok_or(Errno::EPERM)?;
    check(policy_of(thread), priority)
}

pub(crate) fn getscheduler(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    match own_thread(sys.args[0])? {
        Some(thread) => Ok(policy_of(thread).cast_unsigned().into()),
        None => at_most(forward(sys.regs.orig_rax, Wait::No, [Int(sys.args[0])])?, LAST_POLICY),
    }
}

pub(crate) fn getparam(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    if sys.args[1] == 0 {
        return Err(Errno::EINVAL);
    }
    if own_thread(sys.args[0])?.is_none() {
        let out = Out(AppSlice::new(sys.args[1], 4)?);
        return forward_zero(sys.regs.orig_rax, [Int(sys.args[0]), out]);
    }
    AppPtr::new(sys.args[1]).write(&0_i32)?;
    Ok(0)
}

fn priority(policy: u64, of_real_time: u64) -> Result<u64, Errno> {
    match int(policy) {
        FIFO | ROUND_ROBIN => Ok(of_real_time),
        OTHER | BATCH | IDLE | DEADLINE => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

pub(crate) fn get_priority_max(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    priority(sys.args[0], 99)
}

pub(crate) fn get_priority_min(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    priority(sys.args[0], 1)
}

/// Length of a turn: seconds and nanoseconds.
const TURN: [u64; 2] = [0, 4_000_000];

pub(crate) fn rr_get_interval(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    own_thread(sys.args[0])?.ok_or(Errno::ESRCH)?;
    AppPtr::new(sys.args[1]).write(&TURN)?;
    Ok(0)
}

/// `struct sched_attr`, first version.
const ATTR_SIZE: u64 = 48;

pub(crate) fn getattr(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [id, out, size, flags, ..] = sys.args;
    if out == 0 || uint(size) < ATTR_SIZE || uint(size) > 4096 || flags != 0 {
        return Err(Errno::EINVAL);
    }
    let thread = own_thread(id)?.ok_or(Errno::ESRCH)?;
    let policy = policy_of(thread);
    let mut words = [0_u64; 6];
    words[0] = ATTR_SIZE | u64::from((policy & !RESET_ON_FORK).cast_unsigned()) << 32;
    // SCHED_FLAG_RESET_ON_FORK
    words[1] = u64::from(policy & RESET_ON_FORK != 0);
    AppPtr::new(out).write(&words)?;
    Ok(0)
}

pub(crate) fn setattr(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [id, attributes, flags, ..] = sys.args;
    if attributes == 0 || flags != 0 {
        return Err(Errno::EINVAL);
    }
    let [size, policy] = AppPtr::<[u32; 2]>::new(attributes).read()?;
    if u64::from(size) < ATTR_SIZE && size != 0 {
        return Err(Errno::E2BIG);
    }
    let thread = own_thread(id)?.ok_or(Errno::EPERM)?;
    let priority = AppPtr::<i32>::new(attributes.wrapping_add(20)).read()?;
    match policy.cast_signed() {
        DEADLINE => Err(Errno::EPERM),
        policy => set_policy(thread, policy, priority),
    }
}

/// What getpriority(2) returns for the nicest is 1, and for the least nice this.
const LEAST_NICE: u64 = 40;

fn host_priority(which: u64, who: u64) -> Result<u64, Errno> {
    at_most(forward(nr::GETPRIORITY, Wait::No, [Int(which), Int(who)])?, LEAST_NICE)
}

/// Who is meant by the arguments of getpriority(2): a thread of the program's own, or whomever the host knows.
fn priority_of(which: u64, who: u64) -> Option<u32> {
    const PROCESS: u64 = 0;
    if uint(which) == PROCESS { own_thread(who).ok().flatten() } else { None }
}

fn nice_of(thread: u32) -> Result<i32, Errno> {
    let known = NICE.lock().get(&thread).copied();
    let host = || Ok(20 - int(host_priority(0, process().pid.into())?));
    known.map_or_else(host, Ok)
}

pub(crate) fn getpriority(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [which, who, ..] = sys.args;
    match priority_of(which, who) {
        Some(thread) => Ok((20 - nice_of(thread)?).unsigned_abs().into()),
        None => host_priority(which, who),
    }
}

pub(crate) fn setpriority(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [which, who, nice, ..] = sys.args;
    let who = match priority_of(which, who) {
        Some(thread) if ids::is_later_thread(thread) => {
            let nice = int(nice).clamp(-20, 19);
            if nice < nice_of(thread)? && !ids::is_privileged() {
                return Err(Errno::EACCES);
            }
            NICE.lock().insert(thread, nice);
            return Ok(0);
        }
        Some(_) => process().pid.into(),
        None => who,
    };
    forward_zero(nr::SETPRIORITY, [Int(which), Int(who), Int(nice)])
}

/// Sets of memory nodes: an enclave has one kind of memory.
pub(crate) fn accept(_: &mut Sys<'_>) -> Result<u64, Errno> {
    Ok(0)
}

pub(crate) fn get_mempolicy(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [policy, nodes, max, ..] = sys.args;
    if policy != 0 {
        AppPtr::new(policy).write(&0_u32)?;
    }
    if nodes != 0 {
        AppSlice::new(nodes, (max / 8).min(SET_MAX).next_multiple_of(8))?.zero()?;
    }
    Ok(0)
}
