//! Little that is written to a regular file of the host: it leaves with the next call ([`Call::post_for`]).
//!
//! A program that writes piece after piece to a file leaves the enclave for each, and learns no more by it than
//! that the kernel had room. So the later ones of a run wait, and what continues or overwrites the piece
//! before becomes a part of it. No call of any thread overtakes them: whoever could learn from this process
//! that something is written finds it there.
//!
//! An error is told late, as by a file system of the network: by the next call that writes, by fsync(2) or by
//! close(2). So a write waits only where hardly anything can go wrong ([`Room`]).

mod room;

use alloc::{sync::Arc, vec};
use core::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use enclave_core::{HostSlice, Mutex, Once, to_usize};
use enclave_hostcalls::{
    Call, Errno, Kind, Queue, Sender, calls_made, can_hold, can_post, change_last, changed, flush,
    misbehaved,
};
use hostcall_abi::request;

use self::room::Room;
use crate::{Data, HostFd};

mod nr {
    pub(super) const WRITE: u64 = 1;
    pub(super) const PWRITE64: u64 = 18;
}

/// Most bytes of a write that waits.
const LONGEST: u64 = 4 << 10;
/// Room of a piece that may grow, and of the others: with a request, that is 16 and 1 KiB of staging memory.
const ROOM: u64 = (16 << 10) - request::BYTES - 64;
const LITTLE: u64 = (1 << 10) - request::BYTES - 64;
/// Most bytes that are joined to a piece without an allocation.
const SHORT: usize = 256;
/// Most pieces of a file that wait.
const MOST: usize = 64;
/// So many writes in a row are a run: with no other call between them, unless calls are posted in any case.
const RUN: u32 = 4;
/// After so many pieces in a row to which nothing was joined, waiting is of no use for so long a run, unless calls
/// are posted in any case.
const ALONE: u32 = 16;
const LONG_RUN: u32 = 1000;
/// Files may be so long on all file systems.
const END: u64 = 1 << 31;

/// Whether files must not become longer than some limit: then each write is to tell.
static LIMITED: AtomicBool = AtomicBool::new(false);

/// To be called when there is a limit on the size of files from now on, or none any more (`RLIMIT_FSIZE`).
pub fn limit_file_size(limited: bool) {
    LIMITED.store(limited, Ordering::SeqCst);
}

/// What is written to a file, if it is a regular one and was written to.
#[derive(Debug, Default)]
pub(crate) struct Written(Once<Arc<Writes>>);

impl Written {
    /// What is written through a descriptor of the host, which must always be the same.
    pub(crate) fn through(&self, fd: &Arc<HostFd>) -> &Arc<Writes> {
        self.0.get_or_set(|| Writes::new(Arc::clone(fd)))
    }

    /// Has the host have all of it.
    ///
    /// # Errors
    ///
    /// What an earlier write has met, once.
    pub(crate) fn settle(&self) -> Result<(), Errno> {
        self.0.get().map_or(Ok(()), |writes| writes.settle())
    }
}

impl Drop for Written {
    /// What waits keeps the host's descriptor open, and others see when that is closed.
    fn drop(&mut self) {
        self.0.get().into_iter().for_each(|writes| writes.flush());
    }
}

/// What is written to a regular file of the host through one open file.
pub(crate) struct Writes {
    fd: Arc<HostFd>,
    state: Mutex<State>,
    /// [`calls_made`] when the last write was done.
    then: AtomicU64,
    queue: Queue,
}

#[derive(Default)]
struct State {
    room: Room,
    /// Writes in a row.
    run: u32,
    /// Pieces in a row to which nothing was joined.
    alone: u32,
    /// Pieces that were posted and have not come back.
    under_way: usize,
    /// The last of them, unless all have come back, and whether something was joined to it.
    last: Option<Piece>,
    grown: bool,
    /// What a piece has met.
    error: Option<Errno>,
    /// There was an error: nothing waits any more.
    never: bool,
}

impl State {
    /// Whether the write that begins is one of a run. It `goes_on` if no other call came back since the last.
    fn is_in_run(&mut self, goes_on: bool) -> bool {
        let in_any_case = can_post();
        self.run = if goes_on || in_any_case { self.run.saturating_add(1) } else { 0 };
        if self.alone >= ALONE && !in_any_case {
            if self.run < LONG_RUN {
                return false;
            }
            self.alone = 0;
        }
        self.run >= RUN && !self.never
    }
}

/// A piece that waits.
struct Piece {
    /// Where it begins in the file; `None` for the current position.
    at: Option<u64>,
    /// Where it is, and what may become of it.
    memory: HostSlice,
    len: u64,
}

impl Piece {
    /// Where in it `len` bytes for `at` go, if they can be joined to it.
    fn place(&self, at: Option<u64>, len: u64) -> Option<u64> {
        let offset = match (self.at, at) {
            (None, None) => self.len,
            (Some(start), Some(at)) => {
                at.checked_sub(start).filter(|&offset| offset <= self.len)?
            }
            _ => return None,
        };
        (len <= self.memory.len() - offset).then_some(offset)
    }
}

impl Writes {
    fn new(fd: Arc<HostFd>) -> Arc<Self> {
        Arc::new(Self {
            fd,
            state: Mutex::default(),
            then: AtomicU64::new(0),
            queue: Queue::default(),
        })
    }

    /// Writes data at an offset, or at the current position: with the next call that leaves, if it is little and
    /// one of a run, else by `write`.
    ///
    /// # Errors
    ///
    /// As [`Self::settle`] and `write`, and `EFAULT` if the program cannot read a buffer.
    pub(crate) fn write_by(
        self: &Arc<Self>,
        data: Data<'_>,
        at: Option<u64>,
        write: impl FnOnce() -> Result<u64, Errno>,
    ) -> Result<u64, Errno> {
        let len = data.len();
        let may_wait = can_hold() && is_sure(at, len);
        let mut state = self.state.lock();
        let waits = state.is_in_run(self.then.load(Ordering::Relaxed) == calls_made()) && may_wait;
        let settled = state.under_way == 0 && state.error.is_none();
        drop(state);
        let waits = waits && self.wait(data, at)?;
        let count = if waits {
            changed();
            len
        } else {
            if !settled {
                self.settle()?;
            }
            write().inspect_err(|_| self.state.lock().run = 0)?
        };
        self.then.store(calls_made(), Ordering::Relaxed);
        Ok(count)
    }

    /// Has data wait, if that can be: as a part of the piece before, if it continues or overwrites that, else as
    /// the next one.
    fn wait(self: &Arc<Self>, data: Data<'_>, at: Option<u64>) -> Result<bool, Errno> {
        let len = data.len();
        let fits = |last: &Piece| last.place(at, len).is_some();
        if !self.state.lock().last.as_ref().is_some_and(fits) {
            return self.post(data, at);
        }
        let len = to_usize(len);
        if len <= SHORT {
            let mut bytes = [0; SHORT];
            self.join(data, at, &mut bytes[..len])
        } else {
            self.join(data, at, &mut vec![0; len])
        }
    }

    /// The same by way of `bytes`: the program's memory must not be touched with locks held.
    fn join(
        self: &Arc<Self>,
        data: Data<'_>,
        at: Option<u64>,
        bytes: &mut [u8],
    ) -> Result<bool, Errno> {
        data.read(bytes)?;
        let joined = change_last(&**self, |call, len| {
            let mut state = self.state.lock();
            let Some(last) = &mut state.last else { return false };
            if last.memory.address() != call.first_room() {
                return false;
            }
            let Some(offset) = last.place(at, bytes.len() as u64) else { return false };
            last.memory.write_bytes_at(offset, bytes);
            last.len = last.len.max(offset + bytes.len() as u64);
            *len = last.len;
            call.arg(2, *len);
            (state.grown, state.alone) = (true, 0);
            true
        });
        // The program's memory is read once.
        Ok(joined || self.post(Data::Own(bytes), at)?)
    }

    /// Has data wait as a piece, if that can be.
    fn post(self: &Arc<Self>, data: Data<'_>, at: Option<u64>) -> Result<bool, Errno> {
        if self.state.lock().under_way >= MOST {
            self.settle()?;
        }
        if !self.has_room() {
            return Ok(false);
        }
        let len = data.len();
        let room = if self.begin_piece() || len > LITTLE { ROOM } else { LITTLE };
        let number = if at.is_some() { nr::PWRITE64 } else { nr::WRITE };
        let Ok(mut call) = Call::new(number, room) else { return Ok(false) };
        let address = data.stage(&mut call)?;
        let Ok(memory) = HostSlice::new(address, room) else { return Ok(false) };
        call.args([self.fd.number(), address, len, at.unwrap_or(0)]);
        let mut state = self.state.lock();
        state.under_way += 1;
        state.last = Some(Piece { at, memory, len });
        drop(state);
        call.post_for(self.clone(), Kind::Write(len));
        Ok(true)
    }

    /// Says that another piece begins. Returns whether something was joined to the one before.
    fn begin_piece(&self) -> bool {
        let mut state = self.state.lock();
        state.alone = state.alone.saturating_add(1);
        if state.alone == ALONE {
            state.run = 0;
        }
        core::mem::take(&mut state.grown)
    }

    /// Takes room for one piece more, if there is enough. Asks the host, if nothing is known.
    fn has_room(&self) -> bool {
        let taken = self.state.lock().room.take(ROOM);
        taken.unwrap_or_else(|| {
            let mut room = Room::ask(&self.fd);
            let taken = room.take(ROOM) == Some(true);
            self.state.lock().room = room;
            taken
        })
    }

    /// Has the host have what was written.
    fn flush(&self) {
        if self.state.lock().under_way > 0 {
            flush();
        }
    }

    /// The same.
    ///
    /// # Errors
    ///
    /// What an earlier write has met, once.
    pub(crate) fn settle(&self) -> Result<(), Errno> {
        self.flush();
        self.state.lock().error.take().map_or(Ok(()), Err)
    }
}

impl Sender for Writes {
    fn queue(&self) -> &Queue {
        &self.queue
    }

    fn holds(&self) -> bool {
        self.state.lock().never
    }

    fn made(self: Arc<Self>, _: Call, kind: Kind, result: Option<Result<u64, Errno>>) -> bool {
        let Kind::Write(len) = kind else { return false };
        let mut state = self.state.lock();
        state.under_way -= 1;
        if state.under_way == 0 {
            state.last = None;
        }
        let met = match result {
            Some(Ok(count)) if count > len => {
                misbehaved("the host misbehaved: it wrote more than was asked for")
            }
            Some(Ok(count)) if count == len => return false,
            Some(Err(errno)) => errno,
            // A disk that takes a part is full; what comes after that is called off.
            Some(Ok(_)) => Errno::ENOSPC,
            None => Errno::EIO,
        };
        if !state.never {
            (state.error, state.never) = (Some(met), true);
        }
        true
    }
}

impl fmt::Debug for Writes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writes").field("fd", &self.fd).finish_non_exhaustive()
    }
}

/// Whether nothing about such a write can go wrong but what a disk may meet.
fn is_sure(at: Option<u64>, len: u64) -> bool {
    let ends = at.is_none_or(|at| at <= END - LONGEST);
    (1..=LONGEST).contains(&len) && ends && !LIMITED.load(Ordering::SeqCst)
}
