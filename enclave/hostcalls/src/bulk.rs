//! Much data at an offset of a file: in chunks, so that copying goes on while the host works.
//!
//! What is written is copied out chunk by chunk, each handed over as soon as it is complete; what is
//! read is copied in as soon as a chunk is there. Each byte is copied once. The host ends the transfer
//! behind a chunk that was short ([`chunks`]), so the program sees what one call would have done.

use enclave_core::{AppSlice, HostSlice, want_reschedule};
use enclave_threads::{Answered, Lane, Submitted, timers_are_due};
use enclave_ways::Way;
use hostcall_abi::{
    chunks::{self, Cut, Tally},
    request::{self, flag},
};

use crate::{
    Call, Errno, misbehaved,
    posted::{Carried, take_along},
    way::{Choice, Went, came_back},
};

/// Which way the data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the host to the program.
    In,
    /// From the program to the host.
    Out,
}

impl Direction {
    /// `pread64` and `pwrite64`.
    const fn number(self) -> u64 {
        match self {
            Self::In => 17,
            Self::Out => 18,
        }
    }
}

/// What a transfer has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Bytes that were moved.
    pub count: u64,
    /// Whether there is no more to be moved: the file has ended, or there was an error.
    pub ended: bool,
}

/// Makes pread64(2) or pwrite64(2) of the host's descriptor `fd` at `at`, for a call that need not
/// wait and much data. Where neither is shorter than a chunk, [`Call`] is the way.
///
/// # Errors
///
/// As those calls, if nothing was moved.
pub fn transfer_at(
    direction: Direction,
    fd: u64,
    bytes: AppSlice,
    at: u64,
) -> Result<Moved, Errno> {
    let cut = Cut::new(bytes.len()).filter(|_| at.checked_add(bytes.len()).is_some_and(is_offset));
    let headers = cut.map_or(1, Cut::count) * request::BYTES;
    let mut call = Call::new(direction.number(), headers - request::BYTES + bytes.len())?;
    let choice = call.choice();
    let data = call.memory().part(headers, bytes.len());
    if choice.way == Way::Ring
        && let Some(cut) = cut
        && let Some(lane) = Lane::here()
    {
        let mut chunks =
            Chunks { call: &call, fd, at, bytes, data, cut, lane, count: 0, posted: None };
        if let Some(moved) = chunks.transfer(direction, choice)? {
            return Ok(moved);
        }
    }
    if direction == Direction::Out {
        data.write_app(bytes)?;
    }
    call.args([fd, data.address(), bytes.len(), at]);
    let count = call.count_by(choice, bytes.len())?;
    if direction == Direction::In {
        data.part(0, count).read_app(bytes.first(count))?;
    }
    Ok(Moved { count, ended: count < bytes.len() })
}

const fn is_offset(at: u64) -> bool {
    at <= i64::MAX.unsigned_abs()
}

/// A transfer in chunks. Each has a request at the start of the staging memory.
struct Chunks<'a> {
    call: &'a Call,
    fd: u64,
    at: u64,
    bytes: AppSlice,
    data: HostSlice,
    cut: Cut,
    /// Where all chunks go, wherever this thread may be running by then.
    lane: Lane,
    /// Chunks that were handed over.
    count: u64,
    /// What the first of them takes along.
    posted: Option<Carried>,
}

type All = [Option<Submitted>; chunks::MOST];

impl Chunks<'_> {
    /// `None` if no chunk could be handed over.
    fn transfer(&mut self, direction: Direction, choice: Choice) -> Result<Option<Moved>, Errno> {
        for index in 0..self.cut.count() {
            for word in [request::POSTED, request::THEN, request::EXPECTED] {
                self.header(index).word(word).write(0);
            }
        }
        let mut all: All = [const { None }; chunks::MOST];
        let handed = self.hand_over(direction, &mut all);
        if self.count == 0 {
            return handed.map(|()| None);
        }
        let mut answered = Answered::default();
        let mut tally = Tally::default();
        let mut fault = None;
        // The last chunk is done last: who waits for it waits once.
        let written = direction == Direction::Out;
        if written {
            all.iter_mut().rev().for_each(|chunk| wait(chunk, &mut answered));
        }
        for (index, chunk) in (0..self.count).zip(&mut all) {
            wait(chunk, &mut answered);
            let (start, len) = self.cut.chunk(index);
            let result = self.header(index).word(request::RESULT).read();
            let Ok(moved) = tally.count(len, result) else {
                misbehaved("the host misbehaved: chunks that cannot have been moved so");
            };
            // What is behind a page that the program cannot write is read in vain.
            if !written && fault.is_none() {
                let target = self.bytes.part(start, moved);
                fault = self.data.part(start, moved).read_app(target).err().map(|_| start);
            }
        }
        choice.took(Went::ByRing(answered));
        came_back();
        // The next request at such a place may be no chunk, and leave without a ring.
        (0..self.count).for_each(|index| self.header(index).word(request::FLAGS).write(0));
        if timers_are_due() {
            want_reschedule();
        }
        self.moved(&tally, fault).map(Some)
    }

    /// Hands chunks over as long as there is room and the program's memory can be read.
    fn hand_over(&mut self, direction: Direction, all: &mut All) -> Result<(), Errno> {
        for (index, place) in (0..self.cut.count()).zip(all) {
            let (start, len) = self.cut.chunk(index);
            let staged = self.data.part(start, len);
            if direction == Direction::Out {
                staged.write_app(self.bytes.part(start, len))?;
            }
            let header = self.header(index);
            let args = [self.fd, staged.address(), len, self.at + start, 0, 0];
            header.word(request::NUMBER).write(direction.number());
            for (word, arg) in (request::ARGS..).zip(args) {
                header.word(word).write(arg);
            }
            let before = index.checked_sub(1).map_or(0, |before| self.header(before).address());
            header.word(request::AFTER).write(before);
            if index == 0 {
                // Not before the first copy: a fault there may have to wait for what is taken along.
                self.posted = take_along(header);
            }
            *place = self.lane.submit(header, flag::CHUNK);
            if place.is_none() {
                break;
            }
            self.count += 1;
        }
        Ok(())
    }

    fn header(&self, index: u64) -> HostSlice {
        self.call.memory().part(index * request::BYTES, request::BYTES)
    }

    /// What the replies come to. `fault` is where a chunk began that the program could not take.
    fn moved(&self, tally: &Tally, fault: Option<u64>) -> Result<Moved, Errno> {
        let error = tally.error().map(|error| match Errno::from_result(error) {
            Some(errno) if errno.is_host_error() => errno,
            _ => misbehaved("the host misbehaved: an error number that does not exist"),
        });
        match (fault, error) {
            (Some(0), _) => Err(Errno::EFAULT),
            (Some(count), _) => Ok(Moved { count, ended: true }),
            // A host thread was wanted: the rest is to be asked for again.
            (None, Some(Errno::EINTR)) => Ok(Moved { count: tally.done(), ended: false }),
            (None, Some(errno)) if tally.done() == 0 => Err(errno),
            _ => Ok(Moved { count: tally.done(), ended: tally.ended() }),
        }
    }
}

/// Waits for a chunk, unless it was waited for.
fn wait(chunk: &mut Option<Submitted>, all: &mut Answered) {
    let Some(submitted) = chunk.take() else { return };
    let answered = submitted.wait();
    all.left_to_others = all.left_to_others.or(answered.left_to_others);
}
