//! Native asynchronous I/O: io_setup(2) and its family, which libaio calls.
//!
//! As on Linux for files that are not opened with `O_DIRECT`, a request is over when it has been
//! submitted; how it ended is kept until it is collected. No lock is held while it is executed.
//!
//! A context is known by the address of a page, in which Linux shows what has ended. Ours stays zero, so
//! that libraries that look there find no ring, and make the system call. Nothing is read from it.

mod context;
mod request;

use alloc::{collections::BTreeMap, sync::Arc};

use enclave_core::{AppPtr, Mutex};
use enclave_hostcalls::Errno;

use self::context::{Context, Event};
use crate::{
    Sys,
    args::uint,
    memory,
    time::{Timespec, read_timespec},
    wait::{Deadline, with_mask},
};

/// Most events that all contexts together are made for (`/proc/sys/fs/aio-max-nr`).
const MOST_EVENTS: u64 = 65536;
/// Twice as many events as are asked for must not be more than this, on Linux for fear of overflows.
const MOST_ROOM: u64 = 1 << 23;
/// The page whose address is the id of a context.
const PAGE: u64 = 4096;

/// All contexts, by id.
static CONTEXTS: Mutex<BTreeMap<u64, Arc<Context>>> = Mutex::new(BTreeMap::new());

fn find(id: u64) -> Result<Arc<Context>, Errno> {
    CONTEXTS.lock().get(&id).cloned().ok_or(Errno::EINVAL)
}

pub(crate) fn io_setup(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [events, pointer, ..] = sys.args;
    let (events, pointer) = (uint(events), AppPtr::<u64>::new(pointer));
    if pointer.read()? != 0 || events == 0 || uint(events * 2) > MOST_ROOM {
        return Err(Errno::EINVAL);
    }
    if events > MOST_EVENTS {
        return Err(Errno::EAGAIN);
    }
    let id = memory::map_private(PAGE)?;
    let made = add(id, events).and_then(|()| Ok(pointer.write(&id)?));
    if made.is_err() {
        remove(id);
        unmap(id);
    }
    made.map(|()| 0)
}

/// Makes a context for so many events.
fn add(id: u64, events: u64) -> Result<(), Errno> {
    // The program may have unmapped the page of another one.
    remove(id);
    let mut contexts = CONTEXTS.lock();
    let others: u64 = contexts.values().map(|context| context.asked).sum();
    if others + events > MOST_EVENTS {
        return Err(Errno::EAGAIN);
    }
    contexts.insert(id, Arc::new(Context::new(events)));
    Ok(())
}

fn unmap(id: u64) {
    // The program may have unmapped the page itself.
    let _ = memory::unmap(id, PAGE);
}

/// Forgets a context, if there is one; whoever waits for its events is told.
fn remove(id: u64) -> Option<Arc<Context>> {
    let context = CONTEXTS.lock().remove(&id)?;
    context.destroy();
    Some(context)
}

pub(crate) fn io_destroy(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let id = sys.args[0];
    let context = remove(id).ok_or(Errno::EINVAL)?;
    unmap(id);
    context.settle();
    Ok(0)
}

pub(crate) fn io_submit(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [id, count, list, ..] = sys.args;
    let count = u64::try_from(count.cast_signed()).map_err(|_| Errno::EINVAL)?;
    let (context, list) = (find(id)?, AppPtr::<u64>::new(list));
    for index in 0..count {
        let address = list.at(index).read().map_err(Errno::from);
        if let Err(errno) = address.and_then(|address| request::submit(&context, address)) {
            return if index > 0 { Ok(index) } else { Err(errno) };
        }
    }
    Ok(count)
}

/// Nothing that was submitted can be cancelled: it is over.
pub(crate) fn io_cancel(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    request::key(sys.args[1]).read()?;
    Err(Errno::EINVAL)
}

pub(crate) fn io_getevents(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let deadline = deadline(sys.args[4])?;
    collect(sys, deadline)
}

pub(crate) fn io_pgetevents(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [.., timeout, mask] = sys.args;
    let deadline = deadline(timeout)?;
    let [mask, size] = if mask == 0 { [0; 2] } else { AppPtr::<[u64; 2]>::new(mask).read()? };
    with_mask(mask, size, || collect(sys, deadline))
}

/// When a wait has to end. Linux takes any numbers for a time; what is less than nothing is for ever.
fn deadline(timeout: u64) -> Result<Deadline, Errno> {
    if timeout == 0 {
        return Ok(Deadline::Never);
    }
    let Timespec { seconds, nanoseconds } = read_timespec(timeout)?;
    let time = seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds);
    Ok(Deadline::after(u64::try_from(time).ok()))
}

fn collect(sys: &Sys<'_>, deadline: Deadline) -> Result<u64, Errno> {
    let [id, least, most, events, ..] = sys.args;
    let context = find(id)?;
    let [least, most] = [least, most].map(u64::cast_signed);
    if least < 0 || least > most {
        return Err(Errno::EINVAL);
    }
    let [least, most] = [least, most].map(i64::unsigned_abs);
    context.collect(AppPtr::<Event>::new(events), [least, most], deadline)
}
