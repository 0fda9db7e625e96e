//! epoll_create(2) and epoll_ctl(2).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use enclave_core::AppPtr;
use enclave_files::{HostFd, OpenFile, Watcher, flag, table};
use enclave_hostcalls::{Call, Errno, Wait};

use super::{
    event,
    inside::Inside,
    registry::{Entry, Found, Token, of_generation},
    set::{Change, Set},
};
use crate::{
    Sys,
    args::{self, int, uint},
};

mod nr {
    pub(super) const FCNTL: u64 = 72;
    pub(super) const EPOLL_CREATE1: u64 = 291;
}

pub(crate) fn epoll_create(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    if int(sys.args[0]) <= 0 {
        return Err(Errno::EINVAL);
    }
    create(0)
}

pub(crate) fn epoll_create1(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let flags = uint(sys.args[0]);
    if flags & !flag::CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    create(flags)
}

fn create(flags: u64) -> Result<u64, Errno> {
    let mut call = Call::new(nr::EPOLL_CREATE1, 0)?;
    let fd = call.args([flag::CLOEXEC]).descriptor(Wait::No)?;
    let set = Set::new(HostFd::adopt(fd));
    table().insert(OpenFile::new(set, flag::RDWR), flags & flag::CLOEXEC != 0)
}

/// What the program asks for.
struct Request {
    fd: u64,
    file: Arc<OpenFile>,
    events: u32,
    data: u64,
}

pub(crate) fn epoll_ctl(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    const ADD: i32 = 1;
    const DELETE: i32 = 2;
    const MODIFY: i32 = 3;
    let [epoll, operation, fd, event, ..] = sys.args;
    let operation = int(operation);
    let [events, low, high] =
        if operation == DELETE { [0; 3] } else { AppPtr::<[u32; 3]>::new(event).read()? };
    let data = u64::from(low) | u64::from(high) << 32;
    let (epoll, file) = (args::file(epoll)?, args::file(fd)?);
    let set = super::set(&epoll)?;
    if Arc::ptr_eq(&epoll, &file) {
        return Err(Errno::EINVAL);
    }
    let request = Request { fd, file, events, data };
    let changes = set.changes.lock();
    let swept = set.registry.lock().sweep();
    swept.into_iter().for_each(|entry| forget(set, entry));
    match operation {
        ADD => add(&epoll, set, &request)?,
        DELETE => delete(set, &request)?,
        MODIFY => modify(set, &request)?,
        _ => return Err(Errno::EINVAL),
    }
    drop(changes);
    if operation == ADD {
        // A thread that waits inside only may now have to ask the host.
        set.wake_inside();
    }
    Ok(0)
}

fn add(epoll: &Arc<OpenFile>, set: &Set, request: &Request) -> Result<(), Errno> {
    let Request { fd, file, events, data } = request;
    let (host, queue) = (file.host(), file.queue());
    if host.is_none() && queue.is_none() {
        return Err(Errno::EPERM);
    }
    if set.registry.lock().token(*fd, file).is_some() {
        return Err(Errno::EEXIST);
    }
    // Registered here first: the host may report at once.
    let token = set.registry.lock().insert(*fd, file, *events, *data);
    set.hosts.fetch_add(host.is_some().into(), Ordering::Relaxed);
    let mut result = host.map_or(Ok(()), |host| add_on_host(set, file, host, *events, token));
    if let (Ok(()), Some(queue)) = (result, queue) {
        result = set.hang_bell();
        if result.is_ok() {
            let inside = Arc::new(Inside::new(epoll, token, file, *events));
            if let Found::Entry(entry) = set.registry.lock().find(token) {
                entry.inside = Some(Arc::clone(&inside));
            }
            set.insides.fetch_add(1, Ordering::Relaxed);
            queue.add(inside.clone());
            look(&inside);
        }
    }
    if result.is_err() {
        remove(set, token);
    }
    result
}

fn add_on_host(
    set: &Set,
    file: &OpenFile,
    host: &HostFd,
    events: u32,
    token: Token,
) -> Result<(), Errno> {
    set.look_at(file, events, host.number(), token);
    let events = event::of_host(file, events);
    match set.change(Change::Add, host.number(), events, token) {
        // The file is registered by another number of the program. The host knows it by one number
        // only: give it a second one.
        Err(Errno::EEXIST) => {
            const F_DUPFD_CLOEXEC: u64 = 1030;
            let mut call = Call::new(nr::FCNTL, 0)?;
            let twin = call.args([host.number(), F_DUPFD_CLOEXEC, 0]).descriptor(Wait::No)?;
            let twin = HostFd::adopt(twin);
            let number = twin.number();
            file.add_twin(twin);
            set.registry.lock().set_twin(token, number);
            set.change(Change::Add, number, events, token)
        }
        result => result,
    }
}

/// Lists a registration if its object is ready.
fn look(inside: &Inside) {
    if inside.ready() != 0 {
        inside.enqueue();
    }
}

/// The token of what is registered, and its number on the host.
fn registered(set: &Set, request: &Request) -> Result<(Token, Option<u64>), Errno> {
    let mut registry = set.registry.lock();
    let token = registry.token(request.fd, &request.file).ok_or(Errno::ENOENT)?;
    let Found::Entry(entry) = registry.find(token) else { return Err(Errno::ENOENT) };
    Ok((token, entry.twin.or_else(|| request.file.host().map(|host| host.number()))))
}

fn modify(set: &Set, request: &Request) -> Result<(), Errno> {
    let (token, host) = registered(set, request)?;
    // Here first: an event for the new mask must not be dropped.
    let armed = set.registry.lock().next_generation(token).ok_or(Errno::ENOENT)?;
    let (old, inside) = update(set, token, (request.events, request.data, Some(armed)))?;
    if let Some(host) = host {
        let events = event::of_host(&request.file, request.events);
        let changed = set.change(Change::Modify, host, events, of_generation(token, armed));
        if changed.is_err() {
            update(set, token, old)?;
        }
        changed?;
    }
    if let Some(inside) = inside {
        inside.set_events(request.events);
        look(&inside);
    }
    Ok(())
}

/// Events and data of a registration, and its generation that is armed.
type Wish = (u32, u64, Option<u32>);

/// Sets what is wished of a registration; returns what was.
fn update(set: &Set, token: Token, new: Wish) -> Result<(Wish, Option<Arc<Inside>>), Errno> {
    let mut registry = set.registry.lock();
    let Found::Entry(entry) = registry.find(token) else { return Err(Errno::ENOENT) };
    let old = (entry.events, entry.data, entry.armed);
    (entry.events, entry.data, entry.armed) = new;
    Ok((old, entry.inside.clone()))
}

fn delete(set: &Set, request: &Request) -> Result<(), Errno> {
    let (token, host) = registered(set, request)?;
    if let Some(host) = host {
        set.change(Change::Delete, host, 0, 0)?;
    }
    remove(set, token);
    Ok(())
}

fn remove(set: &Set, token: Token) {
    let entry = set.registry.lock().remove(token);
    if let Some(entry) = entry {
        set.looks().iter().for_each(|looks| looks.set(token, None));
        forget(set, entry);
    }
}

/// Undoes what a registration that was removed has left.
fn forget(set: &Set, entry: Entry) {
    if entry.on_host {
        set.hosts.fetch_sub(1, Ordering::Relaxed);
    }
    let file = entry.file.upgrade();
    if let (Some(file), Some(twin)) = (&file, entry.twin) {
        file.remove_twin(twin);
    }
    let Some(inside) = entry.inside else { return };
    set.insides.fetch_sub(1, Ordering::Relaxed);
    if let Some(queue) = file.as_ref().and_then(|file| file.queue()) {
        let watcher: Arc<dyn Watcher> = inside;
        queue.remove(&watcher);
    }
}
