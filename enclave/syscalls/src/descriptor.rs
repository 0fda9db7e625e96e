//! Descriptors: duplicating them, and fcntl(2).

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use enclave_core::{AppPtr, AppSlice};
use enclave_files::{HostFd, OpenFile, flag, host_status, table};
use enclave_hostcalls::{Call, Errno, Wait, misbehaved};
use zerocopy::IntoBytes;

use crate::{
    Sys,
    args::{
        self,
        Arg::{In, Int, Out},
        forward, int, uint, zero,
    },
    ephemeral::{self, MemoryFile, RecordCommand},
    ids, nr,
};

pub(crate) fn dup(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    table().insert(args::file(sys.args[0])?, false)
}

pub(crate) fn dup2(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [old, new, ..] = sys.args;
    let file = args::file(old)?;
    if uint(old) != uint(new) {
        released(table().replace(new, file, false)?);
    }
    Ok(uint(new))
}

pub(crate) fn dup3(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [old, new, flags, ..] = sys.args;
    let flags = uint(flags);
    if flags & !flag::CLOEXEC != 0 || uint(old) == uint(new) {
        return Err(Errno::EINVAL);
    }
    released(table().replace(new, args::file(old)?, flags & flag::CLOEXEC != 0)?);
    Ok(uint(new))
}

/// Whether the program ever took a record lock.
static LOCKS: AtomicBool = AtomicBool::new(false);

/// Lets go of files whose descriptors were closed. Closing any descriptor of a file ends the
/// process's record locks on it (fcntl(2)), also if others remain that share the open file.
pub(crate) fn released(files: impl IntoIterator<Item = Arc<OpenFile>>) {
    for file in files {
        if let Some(held) = ephemeral::of(&file) {
            ephemeral::closed(held);
        }
        if LOCKS.load(Ordering::Relaxed)
            && let Some(host) = file.host()
        {
            // There may be no lock, or no locks at all on such a file: nothing to be told.
            let _ = unlock(host);
        }
    }
}

fn unlock(host: &HostFd) -> Result<(), Errno> {
    record_lock(host, command::SETLK, Wait::No, [F_UNLCK.into(), 0, 0, 0])?;
    Ok(())
}

/// `struct flock` as words: type and whence, start, length, owner.
type Lock = [u64; 4];

/// Hands a lock to the host; returns what it makes of it.
fn record_lock(host: &HostFd, number: u64, wait: Wait, lock: Lock) -> Result<Lock, Errno> {
    let mut call = Call::new(nr::FCNTL, FLOCK)?;
    let staged = call.room(FLOCK);
    for (index, word) in (0..).zip(lock) {
        staged.word(index).write(word);
    }
    call.args([host.number(), number, staged.address()]).zero(wait)?;
    Ok([0, 1, 2, 3].map(|index| staged.word(index).read()))
}

/// A command about record locks on a file of the host. What the program need not have set of its
/// `struct flock` does not go there.
fn program_lock(host: &HostFd, number: u64, wait: Wait, arg: u64) -> Result<u64, Errno> {
    let [kind, start, len, owner] = AppPtr::<Lock>::new(arg).read()?;
    // Only that of an open file's lock matters: it must be zero.
    let owner = u64::from(number >= command::OFD_GETLK && uint(owner) != 0);
    let there = record_lock(host, number, wait, [uint(kind), start, len, owner])?;
    if let command::GETLK | command::OFD_GETLK = number {
        // F_RDLCK, F_WRLCK or F_UNLCK; where another one's lock begins is told from the start of the file.
        let [kind, origin] = [there[0] & 0xffff, there[0] >> 16 & 0xffff];
        if kind > F_UNLCK.into() || kind != u64::from(F_UNLCK) && origin != 0 {
            misbehaved("the host misbehaved: a lock that cannot be");
        }
        let [kind, start, len, owner] = there.map(u64::to_le_bytes);
        if kind[..2] == F_UNLCK.to_le_bytes() {
            AppSlice::new(arg, 2)?.write_bytes(&kind[..2])?;
        } else {
            let lock = AppSlice::new(arg, FLOCK)?;
            lock.first(4).write_bytes(&kind[..4])?;
            lock.part(8, 8).write_bytes(&start)?;
            lock.part(16, 8).write_bytes(&len)?;
            lock.part(24, 4).write_bytes(&owner[..4])?;
        }
    }
    Ok(0)
}

/// Commands of fcntl(2).
mod command {
    pub(super) const DUPFD: u64 = 0;
    pub(super) const GETFD: u64 = 1;
    pub(super) const SETFD: u64 = 2;
    pub(super) const GETFL: u64 = 3;
    pub(super) const SETFL: u64 = 4;
    pub(super) const GETLK: u64 = 5;
    pub(super) const SETLK: u64 = 6;
    pub(super) const SETLKW: u64 = 7;
    pub(super) const SETOWN: u64 = 8;
    pub(super) const GETOWN: u64 = 9;
    pub(super) const GETSIG: u64 = 11;
    pub(super) const SETOWN_EX: u64 = 15;
    pub(super) const GETOWN_EX: u64 = 16;
    pub(super) const OFD_GETLK: u64 = 36;
    pub(super) const OFD_SETLK: u64 = 37;
    pub(super) const OFD_SETLKW: u64 = 38;
    pub(super) const SETLEASE: u64 = 1024;
    pub(super) const NOTIFY: u64 = 1026;
    pub(super) const DUPFD_CLOEXEC: u64 = 1030;
    pub(super) const SETPIPE_SZ: u64 = 1031;
    pub(super) const GET_SEALS: u64 = 1034;
    pub(super) const GET_RW_HINT: u64 = 1035;
    pub(super) const SET_RW_HINT: u64 = 1036;
    pub(super) const GET_FILE_RW_HINT: u64 = 1037;
    pub(super) const SET_FILE_RW_HINT: u64 = 1038;
}

/// `struct flock` in bytes.
const FLOCK: u64 = 32;
/// No lock.
const F_UNLCK: u16 = 2;
/// `struct f_owner_ex` in bytes.
const OWNER: u64 = 8;
/// Flags that `F_SETFL` changes.
const CHANGEABLE: u64 = flag::APPEND | flag::NONBLOCK | ASYNC | flag::DIRECT | 0o1_000_000;
/// `O_ASYNC`: a signal tells when there is something to read.
const ASYNC: u64 = 0o20_000;

pub(crate) fn fcntl(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [fd, command, arg, ..] = sys.args;
    let file = args::file(fd)?;
    match uint(command) {
        command::DUPFD => table().insert_from(uint(arg), file, false),
        command::DUPFD_CLOEXEC => table().insert_from(uint(arg), file, true),
        command::GETFD => Ok(table().close_on_exec(fd)?.into()),
        command::SETFD => {
            table().set_close_on_exec(fd, arg & 1 != 0)?;
            Ok(0)
        }
        command::GETFL => status(&file),
        command::SETFL => set_status(&file, arg),
        command => on_host(&file, command, arg),
    }
}

fn status(file: &OpenFile) -> Result<u64, Errno> {
    let Some(host) = file.host() else { return Ok(file.status()) };
    let flags = host_status(host.number())?;
    // Some files are opened so that it never waits.
    const OURS: u64 = flag::DIRECT | flag::NONBLOCK;
    Ok(flags & !OURS | file.status() & OURS)
}

fn set_status(file: &OpenFile, flags: u64) -> Result<u64, Errno> {
    if let Some(host) = file.host() {
        // Direct transfers need an alignment that staging memory does not have.
        let args = [Int(host.number()), Int(command::SETFL), Int(flags & !flag::DIRECT)];
        zero(forward(nr::FCNTL, Wait::No, args)?)?;
    }
    if flags & ASYNC != 0 {
        file.stream().iter().for_each(|stream| stream.look_no_more());
    }
    file.set_status(CHANGEABLE, flags)?;
    Ok(0)
}

fn on_host(file: &OpenFile, number: u64, arg: u64) -> Result<u64, Errno> {
    if let Some(result) = file.fcntl(number, arg) {
        return result;
    }
    let Some(host) = file.host() else { return inside(file, number, arg) };
    let call = |wait, arg| forward(nr::FCNTL, wait, [Int(host.number()), Int(number), arg]);
    let memory = |len| AppSlice::new(arg, len);
    if let command::OFD_SETLK | command::OFD_SETLKW | command::SETLEASE = number {
        host.close_at_once();
    }
    match number {
        command::GETLK | command::OFD_GETLK | command::OFD_SETLK => {
            program_lock(host, number, Wait::No, arg)
        }
        command::SETLK | command::SETLKW => {
            LOCKS.store(true, Ordering::Relaxed);
            let wait = if number == command::SETLK { Wait::No } else { Wait::Maybe };
            program_lock(host, number, wait, arg)
        }
        command::OFD_SETLKW => program_lock(host, number, Wait::Maybe, arg),
        command::SETOWN => {
            let owner = ids::known_to_host(int(arg).cast_unsigned());
            narrow(call(Wait::No, Int(owner.into()))?)
        }
        command::SETOWN_EX => set_owner(host, arg),
        command::GETOWN_EX => zero(call(Wait::No, Out(memory(OWNER)?))?),
        command::GET_RW_HINT | command::GET_FILE_RW_HINT => zero(call(Wait::No, Out(memory(8)?))?),
        command::SET_RW_HINT | command::SET_FILE_RW_HINT => zero(call(Wait::No, In(memory(8)?))?),
        command::GETOWN..=command::GETSIG
        | command::SETLEASE..=command::NOTIFY
        | command::SETPIPE_SZ..=command::GET_SEALS => narrow(call(Wait::No, Int(arg))?),
        _ => Err(Errno::EINVAL),
    }
}

/// `F_SETOWN_EX`: the signals of one thread are the process's.
fn set_owner(host: &HostFd, arg: u64) -> Result<u64, Errno> {
    const GROUP: u32 = 2;
    let [kind, id] = AppPtr::<[u32; 2]>::new(arg).read()?;
    let id = if kind == GROUP { id } else { ids::known_to_host(id) };
    let mut call = Call::new(nr::FCNTL, OWNER)?;
    let staged = call.bytes([kind, id].as_bytes());
    call.args([host.number(), command::SETOWN_EX, staged]).zero(Wait::No)?;
    Ok(0)
}

/// Record locks on what exists inside: outside of file systems in memory, nobody else could hold one.
fn inside(file: &OpenFile, number: u64, arg: u64) -> Result<u64, Errno> {
    let wanted = match number {
        command::GETLK | command::OFD_GETLK => Some(RecordCommand::Look),
        command::SETLK | command::OFD_SETLK => Some(RecordCommand::Try),
        command::SETLKW | command::OFD_SETLKW => Some(RecordCommand::Wait),
        _ => None,
    };
    if let Some(wanted) = wanted
        && file.object().downcast_ref::<MemoryFile>().is_some()
    {
        let of_open_file = number >= command::OFD_GETLK;
        return ephemeral::record_locks(file, wanted, of_open_file, arg);
    }
    match number {
        command::GETLK | command::OFD_GETLK => {
            AppPtr::new(arg).write(&F_UNLCK)?;
            Ok(0)
        }
        command::SETLK..=command::SETLKW | command::OFD_SETLK..=command::OFD_SETLKW => {
            AppSlice::new(arg, FLOCK)?.to_vec()?;
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// A result that is an `int`; `F_GETOWN` returns a process group as a negative one.
fn narrow(result: u64) -> Result<u64, Errno> {
    if i64::from(int(result)).cast_unsigned() == result || result <= 0xffff_ffff {
        Ok(result)
    } else {
        args::at_most(result, 0xffff_ffff)
    }
}
