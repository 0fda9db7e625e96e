//! POSIX message queues: mq_open(2) and its family.

use alloc::{
    collections::{BTreeMap, VecDeque},
    format,
    sync::Arc,
    vec::Vec,
};

use enclave_core::{AppPtr, AppSlice, Mutex, to_usize};
use enclave_files::{Io, Object, OpenFile, Stat, WaitQueue, flag, kind, ready, table};
use enclave_hostcalls::Errno;
use enclave_signals::{SigInfo, Target};
use enclave_threads::clock;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::wait;
use crate::{
    Sys, args,
    args::uint,
    ids,
    process::process,
    sigevent::{SigEvent, notify},
    signal,
    time::{after, read_timespec},
    wait::Deadline,
};

/// What a queue has if nothing else is asked for, and at most.
const DEFAULT: [i64; 2] = [10, 8192];
const MOST_MESSAGES: i64 = 65536;
const LONGEST: i64 = 1 << 24;
/// Bytes of all messages of a queue at most: `RLIMIT_MSGQUEUE` is 800 KiB on Linux.
const MOST_BYTES: i64 = 1 << 24;
/// Priorities are below this (`MQ_PRIO_MAX`).
const PRIORITIES: u64 = 32768;
/// Longest name.
const NAME_MAX: usize = 255;

/// `struct mq_attr`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Attributes {
    flags: i64,
    most: i64,
    longest: i64,
    count: i64,
    reserved: [i64; 4],
}

struct Message {
    priority: u64,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct State {
    /// By falling priority, then in the order in which they were sent.
    messages: VecDeque<Message>,
    bytes: usize,
    /// Who wants a signal when a message arrives at the empty queue, `None` inside for nobody but
    /// the right to be told.
    notice: Option<Option<SigInfo>>,
    /// Threads that wait for a message.
    receivers: u32,
}

struct Queue {
    most: u64,
    longest: u64,
    mode: u32,
    state: Mutex<State>,
    changes: WaitQueue,
}

/// Queues that have a name.
static QUEUES: Mutex<BTreeMap<Vec<u8>, Arc<Queue>>> = Mutex::new(BTreeMap::new());

/// What an open descriptor refers to.
struct Descriptor {
    queue: Arc<Queue>,
    name: Vec<u8>,
}

impl Object for Descriptor {
    /// A line about the queue, as Linux has it.
    fn read(&self, _: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        let state = self.queue.state.lock();
        let [notify, signal, pid] = match &state.notice {
            Some(Some(info)) => [0, info.signo.unsigned_abs(), process().pid],
            Some(None) => [1, 0, process().pid],
            None => [0; 3],
        };
        let line = format!(
            "QSIZE:{:<10} NOTIFY:{notify:<5} SIGNO:{signal:<5} NOTIFY_PID:{pid:<6}\n",
            state.bytes
        );
        drop(state);
        let start = to_usize(io.at.unwrap_or(0)).min(line.len());
        io.fill(&line.as_bytes()[start..])
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(Stat::inside(kind::REGULAR | self.queue.mode, 80))
    }

    fn ready(&self) -> u32 {
        let count = self.queue.state.lock().messages.len() as u64;
        let readable = if count > 0 { ready::IN } else { 0 };
        readable | if count < self.queue.most { ready::OUT } else { 0 }
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue.changes)
    }

    fn name(&self) -> Vec<u8> {
        self.name.clone()
    }
}

/// A name without its first slash, as libc passes it.
fn name(address: u64) -> Result<Vec<u8>, Errno> {
    let name = args::path(address)?;
    match name.as_slice() {
        [] => Err(Errno::ENOENT),
        name if name.len() > NAME_MAX => Err(Errno::ENAMETOOLONG),
        name if name.contains(&b'/') => Err(Errno::EACCES),
        _ => Ok(name),
    }
}

pub(crate) fn mq_open(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [address, flags, mode, attributes, ..] = sys.args;
    let (name, flags) = (name(address)?, uint(flags));
    let wanted = match attributes {
        0 => None,
        _ if flags & flag::CREAT == 0 => None,
        _ => Some(AppPtr::<Attributes>::new(attributes).read()?),
    };
    let mut queues = QUEUES.lock();
    let queue = match queues.get(&name) {
        Some(_) if flags & flag::CREAT != 0 && flags & flag::EXCL != 0 => {
            return Err(Errno::EEXIST);
        }
        Some(queue) => Arc::clone(queue),
        None if flags & flag::CREAT == 0 => return Err(Errno::ENOENT),
        None => {
            let queue = Arc::new(make(wanted, mode)?);
            queues.insert(name.clone(), Arc::clone(&queue));
            queue
        }
    };
    drop(queues);
    let path = [b"/dev/mqueue/", name.as_slice()].concat();
    let status = flags & (flag::ACCMODE | flag::NONBLOCK);
    let file = OpenFile::new(Descriptor { queue, name: path }, status);
    table().insert(file, flags & flag::CLOEXEC != 0)
}

fn make(wanted: Option<Attributes>, mode: u64) -> Result<Queue, Errno> {
    let [most, longest] = wanted.map_or(DEFAULT, |wanted| [wanted.most, wanted.longest]);
    let limits = if ids::is_privileged() { [MOST_MESSAGES, LONGEST] } else { DEFAULT };
    let possible = (1..=limits[0]).contains(&most) && (1..=limits[1]).contains(&longest);
    if !possible {
        return Err(Errno::EINVAL);
    }
    if most.saturating_mul(longest) > MOST_BYTES {
        return Err(Errno::EMFILE);
    }
    Ok(Queue {
        most: most.unsigned_abs(),
        longest: longest.unsigned_abs(),
        mode: u32::try_from(mode & 0o777).unwrap_or(0),
        state: Mutex::default(),
        changes: WaitQueue::new(),
    })
}

pub(crate) fn mq_unlink(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let name = name(sys.args[0])?;
    let removed = QUEUES.lock().remove(&name);
    removed.map(|_| 0).ok_or(Errno::ENOENT)
}

/// The queue behind a descriptor that is open for reading or for writing, and its file.
fn open(fd: u64, refused: u64) -> Result<(Arc<OpenFile>, Arc<Queue>), Errno> {
    let file = args::file(fd)?;
    let descriptor = file.object().downcast_ref::<Descriptor>().ok_or(Errno::EBADF)?;
    let queue = Arc::clone(&descriptor.queue);
    if file.status() & flag::ACCMODE == refused { Err(Errno::EBADF) } else { Ok((file, queue)) }
}

/// When a call has to be done, given a time of CLOCK_REALTIME that may be null.
fn deadline(file: &OpenFile, address: u64) -> Result<(Deadline, Errno), Errno> {
    let time = if address == 0 { None } else { Some(read_timespec(address)?.duration()?) };
    Ok(match time {
        _ if file.nonblocking() => (Deadline::Now, Errno::EAGAIN),
        None => (Deadline::Never, Errno::EAGAIN),
        Some(time) => {
            let rest = time.saturating_sub(clock::realtime());
            (Deadline::At(after(rest)), Errno::ETIMEDOUT)
        }
    })
}

pub(crate) fn mq_timedsend(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, message, len, priority, timeout, _] = sys.args;
    let priority = uint(priority);
    if priority >= PRIORITIES {
        return Err(Errno::EINVAL);
    }
    let (file, queue) = open(fd, 0)?;
    let (deadline, late) = deadline(&file, timeout)?;
    if len > queue.longest {
        return Err(Errno::EMSGSIZE);
    }
    let mut bytes = Some(AppSlice::new(message, len)?.to_vec()?);
    let notice = wait(&queue.changes, deadline, late, || {
        let mut state = queue.state.lock();
        if state.messages.len() as u64 >= queue.most {
            return Ok(None);
        }
        let was_empty = state.messages.is_empty();
        let at = state.messages.partition_point(|other| other.priority >= priority);
        let bytes = bytes.take().unwrap_or_default();
        state.bytes += bytes.len();
        state.messages.insert(at, Message { priority, bytes });
        let told = was_empty && state.receivers == 0;
        Ok(Some(if told { state.notice.take().flatten() } else { None }))
    })?;
    queue.changes.wake(ready::IN);
    if let Some(info) = notice {
        signal::send(Target::Process, info);
    }
    Ok(0)
}

pub(crate) fn mq_timedreceive(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, target, len, priority, timeout, _] = sys.args;
    let (file, queue) = open(fd, flag::WRONLY)?;
    let (deadline, late) = deadline(&file, timeout)?;
    if len < queue.longest {
        return Err(Errno::EMSGSIZE);
    }
    queue.state.lock().receivers += 1;
    let received = wait(&queue.changes, deadline, late, || {
        let mut state = queue.state.lock();
        let message = state.messages.pop_front();
        state.bytes -= message.as_ref().map_or(0, |message| message.bytes.len());
        Ok(message)
    });
    queue.state.lock().receivers -= 1;
    let message = received?;
    queue.changes.wake(ready::OUT);
    let len = message.bytes.len() as u64;
    AppSlice::new(target, len)?.write_bytes(&message.bytes)?;
    if priority != 0 {
        let low = u32::try_from(message.priority).unwrap_or(0);
        AppPtr::<u32>::new(priority).write(&low)?;
    }
    Ok(len)
}

pub(crate) fn mq_notify(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    /// `SI_MESGQ`
    const MESSAGE: i32 = -3;
    let [fd, event, ..] = sys.args;
    let notice = match SigEvent::read(event)? {
        None => None,
        Some(SigEvent { notify: notify::NONE, .. }) => Some(None),
        Some(event @ SigEvent { notify: notify::SIGNAL, .. }) => {
            let (pid, user) = (process().pid, ids::real_user());
            Some(Some(SigInfo::queued(event.signal()?, MESSAGE, pid, user, event.value)))
        }
        // A thread is libc's affair, which it learns of through a netlink socket of the kernel.
        Some(_) => return Err(Errno::EINVAL),
    };
    let (_, queue) = open(fd, u64::MAX)?;
    let mut state = queue.state.lock();
    if notice.is_some() && state.notice.is_some() {
        return Err(Errno::EBUSY);
    }
    state.notice = notice;
    Ok(0)
}

pub(crate) fn mq_getsetattr(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, new, old, ..] = sys.args;
    let (file, queue) = open(fd, u64::MAX)?;
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let attributes = Attributes {
        flags: signed(file.status() & flag::NONBLOCK),
        most: signed(queue.most),
        longest: signed(queue.longest),
        count: signed(queue.state.lock().messages.len() as u64),
        reserved: [0; 4],
    };
    if new != 0 {
        let flags = AppPtr::<Attributes>::new(new).read()?.flags.cast_unsigned();
        if flags & !flag::NONBLOCK != 0 {
            return Err(Errno::EINVAL);
        }
        file.set_status(flag::NONBLOCK, flags)?;
    }
    if old != 0 {
        AppPtr::new(old).write(&attributes)?;
    }
    Ok(0)
}
