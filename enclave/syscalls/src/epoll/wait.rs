//! epoll_wait(2) and its variants.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::Ordering;

use enclave_core::{AppSlice, HostSlice, to_usize};
use enclave_files::{Along, Moment, OpenFile, give_up_guesses};
use enclave_hostcalls::{Call, Errno, Wait, are_posted, misbehaved};
use hostcall_abi::looks::Event;

use super::{
    EVENT, event,
    registry::Found,
    set::{BELL, Set},
};
use crate::{
    Sys,
    args::{self, int},
    socket,
    wait::{Deadline, Watch, attend, interrupted, with_mask},
};

mod nr {
    pub(super) const EPOLL_WAIT: u64 = 232;
    pub(super) const EPOLL_PWAIT2: u64 = 441;
}

/// Events that the host is asked for at most by one call.
const MOST: u64 = 1024;
/// Events that are translated without memory from the heap.
const FEW: u64 = 32;

pub(crate) fn epoll_wait(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [epoll, events, max, timeout, ..] = sys.args;
    let deadline = Deadline::after_milliseconds(int(timeout));
    wait(epoll, events, max, deadline, Precision::Milliseconds)
}

pub(crate) fn epoll_pwait(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [epoll, events, max, timeout, mask, size] = sys.args;
    let deadline = Deadline::after_milliseconds(int(timeout));
    with_mask(mask, size, || wait(epoll, events, max, deadline, Precision::Milliseconds))
}

pub(crate) fn epoll_pwait2(sys: &mut Sys<'_>) -> Result<u64, Errno> {
    let [epoll, events, max, timeout, mask, size] = sys.args;
    let deadline = Deadline::after_timespec(timeout)?;
    with_mask(mask, size, || wait(epoll, events, max, deadline, Precision::Nanoseconds))
}

/// How exactly the host is told to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Precision {
    Milliseconds,
    Nanoseconds,
}

fn wait(
    epoll: u64,
    events: u64,
    max: u64,
    deadline: Deadline,
    precision: Precision,
) -> Result<u64, Errno> {
    const LIMIT: u64 = i32::MAX.unsigned_abs() as u64 / EVENT;
    let file = args::file(epoll)?;
    let set = super::set(&file)?;
    let max = u64::try_from(int(max)).ok().filter(|max| (1..=LIMIT).contains(max));
    let target = AppSlice::new(events, max.ok_or(Errno::EINVAL)? * EVENT)?;
    loop {
        let signal = interrupted();
        let inside = set.insides.load(Ordering::Relaxed) > 0;
        let found = if inside { report_inside(set, target)? } else { 0 };
        let wait = found == 0 && !signal;
        let found = if inside && set.hosts.load(Ordering::Relaxed) == 0 {
            if wait {
                park(&file, set, deadline)?;
            }
            found
        } else {
            let rest = target.part(found * EVENT, target.len() - found * EVENT);
            let timeout = if wait { deadline.remaining() } else { Some(0) };
            match ask_host(set, rest, timeout, precision) {
                Ok(more) => found + more,
                Err(_) if found > 0 => found,
                Err(errno) => return Err(errno),
            }
        };
        if found > 0 || deadline.passed() {
            return Ok(found);
        }
        if signal {
            return Err(deadline.interrupted());
        }
    }
}

/// Reports inside objects that are ready; returns how many.
fn report_inside(set: &Set, target: AppSlice) -> Result<u64, Errno> {
    let mut at = 0;
    set.take_ready(target.len() / EVENT, |events, data| {
        target.part(at, EVENT).write_bytes(&packed(events, data))?;
        at += EVENT;
        Ok(())
    })
}

/// Waits for inside objects only, or until one of the host is registered.
fn park(file: &Arc<OpenFile>, set: &Set, deadline: Deadline) -> Result<(), Errno> {
    let watch = Watch::new(alloc::vec![Arc::clone(file)], false)?;
    if !set.has_listed() && set.hosts.load(Ordering::Relaxed) == 0 {
        deadline.park();
    }
    drop(watch);
    Ok(())
}

/// Asks the host, which waits at most `timeout` nanoseconds (`None` for ever), and reports what it
/// says; returns how many events there were for the program.
fn ask_host(
    set: &Set,
    target: AppSlice,
    timeout: Option<u64>,
    precision: Precision,
) -> Result<u64, Errno> {
    let max = (target.len() / EVENT).min(MOST);
    if max == 0 {
        return Ok(0);
    }
    let (mut call, buffer) = stage(set, max, timeout, precision)?;
    let looks = set.looks().filter(|_| are_posted());
    let look = looks.and_then(|looks| looks.begin(&mut call));
    let look = look.map(|look| (look, Along::looking(&call)));
    if !are_posted() {
        give_up_guesses();
    }
    let ask = || call.count(if timeout == Some(0) { Wait::No } else { Wait::Maybe }, max);
    let result = set.outside(|| if timeout != Some(0) && set.has_listed() { Ok(0) } else { ask() });
    let end = Moment::now();
    match attend(result)? {
        Some(count) => {
            if let Some((look, guesses)) = look {
                guesses.collect(Some(look.collect(&set.registry, end)));
            }
            report(set, buffer, count, target)
        }
        None => Ok(0),
    }
}

fn stage(
    set: &Set,
    max: u64,
    timeout: Option<u64>,
    precision: Precision,
) -> Result<(Call, HostSlice), Errno> {
    let precise = precision == Precision::Nanoseconds && timeout.is_some();
    let number = if precise { nr::EPOLL_PWAIT2 } else { nr::EPOLL_WAIT };
    let bytes = (max * EVENT).next_multiple_of(8);
    let mut call = Call::new(number, bytes + 16)?;
    let buffer = call.room(bytes);
    let timeout = match timeout {
        None => u64::MAX,
        Some(time) if precise => {
            let spec = call.room(16);
            spec.word(0).write(time / 1_000_000_000);
            spec.word(1).write(time % 1_000_000_000);
            spec.address()
        }
        // Rounded up: never too early.
        Some(time) => time.div_ceil(1_000_000).min(i32::MAX.unsigned_abs().into()),
    };
    call.args([set.number(), buffer.address(), max, timeout]);
    Ok((call, buffer))
}

/// Translates `count` events of the host; returns how many went to the program.
fn report(set: &Set, buffer: HostSlice, count: u64, target: AppSlice) -> Result<u64, Errno> {
    let event = |index| Event::of(index, |word| buffer.word(word).read());
    let mut few = [0; to_usize(FEW * EVENT)];
    let mut many = Vec::new();
    let bytes = if count <= FEW {
        &mut few[..]
    } else {
        many.resize(to_usize(count * EVENT), 0);
        &mut many
    };
    let kept = translate(set, (0..count).map(event), bytes);
    target.first(kept * EVENT).write_bytes(&bytes[..to_usize(kept * EVENT)])?;
    Ok(kept)
}

/// Puts the program's data into the place of our tokens, for all events of one call of the host; returns the
/// number of events that are left in `bytes` when those that are not for the program are taken out.
fn translate(set: &Set, events: impl Iterator<Item = Event>, bytes: &mut [u8]) -> u64 {
    let mut places = bytes.as_chunks_mut::<{ to_usize(EVENT) }>().0.iter_mut();
    let mut kept = 0;
    let mut bell = false;
    let mut registry = set.registry.lock();
    let call = registry.next_call();
    for reported @ Event { events, token } in events {
        if token == BELL {
            bell = true;
            continue;
        }
        let (events, data) = match registry.find(token) {
            Found::Entry(entry) => {
                entry.note_report(call);
                if events & event::ALWAYS != 0 {
                    entry.file.upgrade().iter().for_each(|file| socket::has_failed(file));
                }
                if let Some(told) = entry.told.as_ref().filter(|_| reported.is_in()) {
                    told.readable(!reported.can_be_read());
                }
                // A file that the program has closed may not be closed on the host yet.
                let is_open = entry.file.strong_count() > 0;
                (if is_open { entry.take(token, events) } else { 0 }, entry.data)
            }
            Found::Gone => (0, 0),
            Found::Never => misbehaved("the host misbehaved: an event that nobody waits for"),
        };
        if events != 0
            && let Some(place) = places.next()
        {
            *place = packed(events, data);
            kept += 1;
        }
    }
    drop(registry);
    if bell {
        set.silence();
    }
    kept
}

/// A `struct epoll_event`.
fn packed(events: u32, data: u64) -> [u8; to_usize(EVENT)] {
    let mut bytes = [0; to_usize(EVENT)];
    bytes[..4].copy_from_slice(&events.to_le_bytes());
    bytes[4..].copy_from_slice(&data.to_le_bytes());
    bytes
}
