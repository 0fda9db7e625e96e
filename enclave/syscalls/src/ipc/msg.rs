//! Message queues: msgget(2), msgsnd(2), msgrcv(2), msgctl(2).

use alloc::{collections::VecDeque, vec::Vec};

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

/// Longest message (`MSGMAX`), and bytes of a queue (`MSGMNB`).
const LONGEST: u64 = 8192;
const QUEUE_BYTES: u64 = 16384;
/// `MSG_NOERROR`: what is too long is cut.
const CUT: u64 = 0o10000;
/// `MSG_EXCEPT`: any type but this.
const EXCEPT: u64 = 0o20000;
/// `MSG_COPY`: for checkpoints only.
const COPY: u64 = 0o40000;

struct Message {
    kind: i64,
    bytes: Vec<u8>,
}

struct State {
    messages: VecDeque<Message>,
    /// Bytes in all messages, and how many there may be.
    bytes: u64,
    limit: u64,
    sent: u64,
    received: u64,
    changed: u64,
    sender: u32,
    receiver: u32,
}

type Queue = Mutex<State>;

/// Most queues (`MSGMNI`).
const MOST_QUEUES: u32 = 32000;

static QUEUES: Registry<Queue> = Registry::new(MOST_QUEUES);

/// `struct msqid64_ds`.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Status {
    permissions: Permissions,
    sent: u64,
    received: u64,
    changed: u64,
    bytes: u64,
    count: u64,
    limit: u64,
    sender: u32,
    receiver: u32,
    unused: [u64; 2],
}

pub(crate) fn msgget(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let make = || {
        Ok(Mutex::new(State {
            messages: VecDeque::new(),
            bytes: 0,
            limit: QUEUE_BYTES,
            sent: 0,
            received: 0,
            changed: now(),
            sender: 0,
            receiver: 0,
        }))
    };
    QUEUES.open(sys.args[0], uint(sys.args[1]), |_| Ok(()), make)
}

fn deadline(flags: u64) -> Deadline {
    if flags & NO_WAIT != 0 { Deadline::Now } else { Deadline::Never }
}

pub(crate) fn msgsnd(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [id, message, size, flags, ..] = sys.args;
    if size > LONGEST {
        return Err(Errno::EINVAL);
    }
    let kind = AppPtr::<i64>::new(message).read()?;
    if kind < 1 {
        return Err(Errno::EINVAL);
    }
    let mut bytes = Some(AppSlice::new(message.wrapping_add(8), size)?.to_vec()?);
    let queue = QUEUES.get(id)?;
    wait(&queue.queue, deadline(uint(flags)), Errno::EAGAIN, || {
        queue.check()?;
        let mut state = queue.body.lock();
        if state.bytes + size > state.limit || state.messages.len() as u64 >= state.limit {
            return Ok(None);
        }
        if let Some(bytes) = bytes.take() {
            state.messages.push_back(Message { kind, bytes });
        }
        state.bytes += size;
        (state.sent, state.sender) = (now(), process().pid);
        Ok(Some(()))
    })?;
    queue.queue.wake(u32::MAX);
    Ok(0)
}

/// Where the message stands that a receiver wants.
fn find(messages: &VecDeque<Message>, kind: i64, except: bool) -> Option<usize> {
    let mut kinds = messages.iter().map(|message| message.kind);
    match kind {
        0 if messages.is_empty() => None,
        0 => Some(0),
        1.. if except => kinds.position(|other| other != kind),
        1.. => kinds.position(|other| other == kind),
        _ => {
            // The lowest type up to the absolute value; the first of that type.
            let limit = kind.unsigned_abs();
            let lowest = kinds.filter(|other| other.unsigned_abs() <= limit).min()?;
            messages.iter().position(|message| message.kind == lowest)
        }
    }
}

pub(crate) fn msgrcv(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [id, target, size, kind, flags, _] = sys.args;
    let (kind, flags) = (kind.cast_signed(), uint(flags));
    if i64::try_from(size).is_err() {
        return Err(Errno::EINVAL);
    }
    if flags & COPY != 0 {
        return Err(Errno::ENOSYS);
    }
    let queue = QUEUES.get(id)?;
    let message = wait(&queue.queue, deadline(flags), Errno::ENOMSG, || {
        queue.check()?;
        let mut state = queue.body.lock();
        let Some(at) = find(&state.messages, kind, flags & EXCEPT != 0) else { return Ok(None) };
        if flags & CUT == 0 && state.messages[at].bytes.len() as u64 > size {
            return Err(Errno::E2BIG);
        }
        let message = state.messages.remove(at);
        let len = message.as_ref().map_or(0, |message| message.bytes.len() as u64);
        state.bytes -= len;
        (state.received, state.receiver) = (now(), process().pid);
        Ok(message)
    })?;
    queue.queue.wake(u32::MAX);
    let len = (message.bytes.len() as u64).min(size);
    AppPtr::new(target).write(&message.kind)?;
    AppSlice::new(target.wrapping_add(8), len)?.write_bytes(&message.bytes[..to_usize(len)])?;
    Ok(len)
}

pub(crate) fn msgctl(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    /// `MSG_STAT`, `MSG_INFO` and `MSG_STAT_ANY`.
    const STAT_AT: u64 = 11;
    const INFO: u64 = 12;
    const STAT_AT_ANY: u64 = 13;
    let [id, which, address, ..] = sys.args;
    match uint(which) {
        which @ (command::INFO | INFO) if int(id) >= 0 => return info(address, which == INFO),
        STAT_AT | STAT_AT_ANY => {
            let queue = QUEUES.at(id)?;
            AppPtr::new(address).write(&status(&queue))?;
            return Ok(queue.id);
        }
        _ => {}
    }
    let queue = QUEUES.get(id)?;
    match uint(which) {
        command::REMOVE => QUEUES.remove(&queue)?,
        command::SET => {
            let new = AppPtr::<Status>::new(address).read()?;
            queue.set_permissions(&read_permissions(address)?)?;
            let mut state = queue.body.lock();
            // Only the superuser of the host may have more, so nobody inside has.
            state.limit = new.limit.min(QUEUE_BYTES);
            state.changed = now();
            drop(state);
            queue.queue.wake(u32::MAX);
        }
        command::STAT => AppPtr::new(address).write(&status(&queue))?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// Writes `struct msginfo`: the limits, and what there is in place of some of them. Returns the highest
/// place of a queue.
fn info(address: u64, used: bool) -> Result<u64, Errno> {
    let low = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let (queues, last) = QUEUES.all();
    let [mut count, mut bytes] = [0, 0];
    for queue in &queues {
        let state = queue.body.lock();
        count += state.messages.len() as u64;
        bytes += state.bytes;
    }
    let most = low(QUEUE_BYTES);
    let [pool, map, headers] = if used {
        [low(queues.len() as u64), low(count), low(bytes)]
    } else {
        [MOST_QUEUES / 1024 * most, most, most]
    };
    let words = [pool, map, low(LONGEST), most, MOST_QUEUES, 16, headers, 0xffff];
    AppPtr::new(address).write(&words)?;
    Ok(last)
}

fn status(queue: &Entry<Queue>) -> Status {
    let permissions = queue.permissions();
    let state = queue.body.lock();
    Status {
        permissions,
        sent: state.sent,
        received: state.received,
        changed: state.changed,
        bytes: state.bytes,
        count: state.messages.len() as u64,
        limit: state.limit,
        sender: state.sender,
        receiver: state.receiver,
        unused: [0; 2],
    }
}
