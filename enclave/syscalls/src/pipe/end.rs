//! The end of a pipe.

use alloc::{format, sync::Arc, vec::Vec};

use enclave_core::{AppPtr, Missing, to_usize, with_pages_for};
use enclave_descriptors::PIPE_BUF;
use enclave_files::{Io, Object, OpenFile, Stat, WaitQueue, flag, kind, ready};
use enclave_hostcalls::Errno;

use super::state::{Ends, Pipe};
use crate::{
    ephemeral::{self, Held},
    ids,
    signal::interrupted,
};

/// What `F_SETPIPE_SZ` admits at most.
const MAX_CAPACITY: u64 = 1 << 20;
/// Most bytes that are copied while the pipe is locked.
const PIECE: usize = 64 << 10;

/// An end of a pipe, as it was opened.
pub(crate) struct End {
    pipe: Arc<Pipe>,
    /// Access mode of open(2).
    mode: u64,
    name: Option<Name>,
    /// The other side as it was when this end was opened.
    others: Ends,
}

/// What an end was opened by.
pub(super) struct Name {
    pub(super) node: Arc<Held>,
    pub(super) path: Vec<u8>,
}

/// How a copy under the pipe's lock ended.
type Copied = Result<Result<usize, Errno>, Missing>;

impl End {
    /// Both ends of a new pipe: to read from and to write to.
    pub(crate) fn pair(flags: u64) -> [Arc<OpenFile>; 2] {
        let pipe = Pipe::new();
        [0, flag::WRONLY].map(|mode| OpenFile::new(Self::open(&pipe, mode, None), flags | mode))
    }

    /// One more end of a pipe.
    pub(super) fn open(pipe: &Arc<Pipe>, mode: u64, name: Option<Name>) -> Self {
        let mut state = pipe.state.lock();
        let others = if mode == flag::WRONLY { state.readers } else { state.writers };
        let end = Self { pipe: Arc::clone(pipe), mode, name, others };
        if end.reads() {
            state.readers.add();
        }
        if end.writes() {
            state.writers.add();
        }
        drop(state);
        pipe.queue.wake(ready::IN | ready::OUT);
        end
    }

    /// Waits until the other side of a pipe with a name is opened, if nobody has it open.
    ///
    /// # Errors
    ///
    /// `EINTR`.
    pub(super) fn meet(&self) -> Result<(), Errno> {
        let met = || {
            let state = self.pipe.state.lock();
            let now = if self.reads() { state.writers } else { state.readers };
            // One that has gone since has been met, too.
            self.others.open > 0 || now.open > 0 || now.ever != self.others.ever
        };
        while !met() {
            if interrupted() {
                return Err(Errno::EINTR);
            }
            self.pipe.queue.wait(met);
        }
        Ok(())
    }

    /// The node in a file system in memory, if it was opened by a name.
    pub(crate) fn node(&self) -> Option<&Arc<Held>> {
        self.name.as_ref().map(|name| &name.node)
    }

    fn reads(&self) -> bool {
        self.mode != flag::WRONLY
    }

    fn writes(&self) -> bool {
        self.mode != 0
    }

    /// Whether both are ends of one pipe.
    pub(crate) fn is_same_pipe(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pipe, &other.pipe)
    }

    /// Takes at most `len` bytes, which `drain` copies.
    fn take(&self, len: usize, drain: impl FnMut(usize, &[u8]) -> Result<(), Missing>) -> Copied {
        let mut state = self.pipe.state.lock();
        if state.buffer.is_empty() {
            return Ok(if state.writers.open == 0 { Ok(0) } else { Err(Errno::EAGAIN) });
        }
        let taken = state.buffer.take(len.min(PIECE), drain)?;
        drop(state);
        self.pipe.queue.wake(ready::OUT);
        Ok(Ok(taken))
    }

    /// Adds at most `len` bytes, which `fill` copies.
    fn add(
        &self,
        len: usize,
        packet: bool,
        fill: impl FnMut(usize, &mut [u8]) -> Result<(), Missing>,
    ) -> Copied {
        let mut state = self.pipe.state.lock();
        if state.readers.open == 0 {
            return Ok(Err(Errno::EPIPE));
        }
        let len = match state.buffer.admits(len, packet) {
            0 => return Ok(Err(Errno::EAGAIN)),
            admitted => admitted.min(PIECE),
        };
        state.buffer.append(len, packet, fill)?;
        drop(state);
        self.pipe.queue.wake(ready::IN);
        Ok(Ok(len))
    }

    /// Waits until there is something to read, or the last writer is gone.
    fn wait_to_read(&self) {
        self.pipe.queue.wait(|| {
            let state = self.pipe.state.lock();
            !state.buffer.is_empty() || state.writers.open == 0
        });
    }

    /// Waits until some of `len` bytes can be added, or the last reader is gone.
    fn wait_to_write(&self, len: usize, packet: bool) {
        self.pipe.queue.wait(|| {
            let state = self.pipe.state.lock();
            state.readers.open == 0 || state.buffer.admits(len, packet) > 0
        });
    }

    /// Reads as soon as there is something.
    fn read_with(
        &self,
        wait: bool,
        len: usize,
        mut drain: impl FnMut(usize, &[u8]) -> Result<(), Missing>,
    ) -> Result<usize, Errno> {
        match with_pages_for(len, |len| self.take(len, &mut drain))? {
            Err(Errno::EAGAIN) if wait => {
                self.wait_to_read();
                Err(Errno::EINTR)
            }
            result => result,
        }
    }

    /// Reads into the runtime's own memory.
    ///
    /// # Errors
    ///
    /// Without anything to read `EAGAIN`, or `EINTR` after a wait.
    pub(crate) fn fetch_or_wait(&self, wait: bool, bytes: &mut [u8]) -> Result<usize, Errno> {
        self.read_with(wait, bytes.len(), |at, part| {
            bytes[at..at + part.len()].copy_from_slice(part);
            Ok(())
        })
    }

    /// Writes all, unless a signal or an error comes after some of it.
    fn write_with(
        &self,
        file: &OpenFile,
        len: usize,
        mut fill: impl FnMut(usize, &mut [u8]) -> Result<(), Missing>,
    ) -> Result<usize, Errno> {
        let packet = file.status() & flag::DIRECT != 0;
        let mut done = 0;
        while done < len {
            let rest = len - done;
            let mut part = |at: usize, part: &mut [u8]| fill(done + at, part);
            let piece = with_pages_for(rest, |rest| self.add(rest, packet, &mut part))?;
            match piece {
                Ok(count) => done += count,
                Err(Errno::EAGAIN) if !file.nonblocking() => {
                    if done > 0 && interrupted() {
                        break;
                    }
                    self.wait_to_write(rest, packet);
                    if done == 0 {
                        return Err(Errno::EINTR);
                    }
                }
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Bytes that can be added without waiting: none of the pipe is too much for them.
    ///
    /// # Errors
    ///
    /// `EPIPE` if nobody will read them; without room `EAGAIN`, or `EINTR` after a wait.
    pub(crate) fn wait_for_room(&self, wait: bool) -> Result<usize, Errno> {
        let state = self.pipe.state.lock();
        let (readers, room) = (state.readers.open, state.buffer.admits(usize::MAX, false));
        drop(state);
        match room {
            _ if readers == 0 => Err(Errno::EPIPE),
            0 if wait => {
                self.wait_to_write(usize::MAX, false);
                Err(Errno::EINTR)
            }
            0 => Err(Errno::EAGAIN),
            room => Ok(room),
        }
    }

    /// Puts bytes back that were taken and found no other place.
    pub(crate) fn put_back(&self, bytes: &[u8]) {
        self.pipe.state.lock().buffer.put_back(bytes);
        self.pipe.queue.wake(ready::IN);
    }

    /// Copies what the next read of `len` bytes will give, waiting for it if that is wanted.
    pub(crate) fn peek(&self, wait: bool, len: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = Vec::new();
        let state = self.pipe.state.lock();
        let Ok(_) = state.buffer.peek(len, |_, part| {
            bytes.extend_from_slice(part);
            Ok::<_, core::convert::Infallible>(())
        });
        let over = state.writers.open == 0;
        drop(state);
        match bytes.is_empty() && !over {
            false => Ok(bytes),
            true if !wait => Err(Errno::EAGAIN),
            true => {
                self.wait_to_read();
                Err(Errno::EINTR)
            }
        }
    }

    /// `F_SETPIPE_SZ`: rounded up to a power of two of pages.
    fn resize(&self, size: u64) -> Result<u64, Errno> {
        let size = u64::from(u32::try_from(size).map_err(|_| Errno::EINVAL)?);
        let size = size.max(PIPE_BUF as u64).next_power_of_two();
        if size > 1 << 31 {
            return Err(Errno::EINVAL);
        }
        if size > MAX_CAPACITY {
            return Err(Errno::EPERM);
        }
        if !self.pipe.state.lock().buffer.set_capacity(to_usize(size)) {
            return Err(Errno::EBUSY);
        }
        self.pipe.queue.wake(ready::OUT);
        Ok(size)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut state = self.pipe.state.lock();
        state.readers.open -= u32::from(self.reads());
        state.writers.open -= u32::from(self.writes());
        drop(state);
        self.pipe.queue.wake(ready::IN | ready::OUT | ready::ERROR | ready::HANG_UP);
    }
}

impl Object for End {
    fn read(&self, file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        if io.at.is_some() {
            return Err(Errno::ESPIPE);
        }
        if io.is_empty() {
            return Ok(0);
        }
        let len = to_usize(io.len());
        let count = self.read_with(!file.nonblocking(), len, |at, part| io.scatter(at, part))?;
        Ok(count as u64)
    }

    fn write(&self, file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        if io.at.is_some() {
            return Err(Errno::ESPIPE);
        }
        let count = self.write_with(file, to_usize(io.len()), |at, part| io.gather(at, part))?;
        Ok(count as u64)
    }

    fn fetch(&self, file: &OpenFile, bytes: &mut [u8], _: Option<u64>) -> Result<usize, Errno> {
        self.fetch_or_wait(!file.nonblocking(), bytes)
    }

    fn store(&self, file: &OpenFile, bytes: &[u8], _: Option<u64>) -> Result<usize, Errno> {
        self.write_with(file, bytes.len(), |at, part| {
            part.copy_from_slice(&bytes[at..at + part.len()]);
            Ok(())
        })
    }

    fn stat(&self) -> Result<Stat, Errno> {
        if let Some(node) = self.node() {
            return node.stat();
        }
        let stat = Stat::inside(kind::PIPE | 0o600, self.pipe.inode);
        let [uid, gid] = ids::of_files();
        Ok(Stat { uid, gid, ..stat })
    }

    fn ready(&self) -> u32 {
        let state = self.pipe.state.lock();
        let mut events = 0;
        if self.reads() {
            events |= if state.buffer.is_empty() { 0 } else { ready::IN };
            // That nobody has come yet is not told.
            let gone = self.others.open > 0 || state.writers.ever != self.others.ever;
            events |= if gone && state.writers.open == 0 { ready::HANG_UP } else { 0 };
        }
        if self.writes() {
            events |= if state.buffer.is_writable() { ready::OUT } else { 0 };
            events |= if state.readers.open == 0 { ready::ERROR } else { 0 };
        }
        events
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.pipe.queue)
    }

    fn ioctl(&self, _: &OpenFile, request: u64, arg: u64) -> Option<Result<u64, Errno>> {
        const FIONREAD: u64 = 0x541b;
        if request != FIONREAD {
            return None;
        }
        let len = self.pipe.state.lock().buffer.len();
        let written = AppPtr::new(arg).write(&u32::try_from(len).unwrap_or(u32::MAX));
        Some(written.map(|()| 0).map_err(Errno::from))
    }

    fn fcntl(&self, command: u64, arg: u64) -> Option<Result<u64, Errno>> {
        const SETPIPE_SZ: u64 = 1031;
        const GETPIPE_SZ: u64 = 1032;
        match command {
            SETPIPE_SZ => Some(self.resize(arg & 0xffff_ffff)),
            GETPIPE_SZ => Some(Ok(self.pipe.state.lock().buffer.capacity() as u64)),
            _ => None,
        }
    }

    fn reopen(&self, flags: u64) -> Result<Arc<OpenFile>, Errno> {
        match self.node() {
            Some(node) => ephemeral::reopen(node, flags),
            None => Ok(OpenFile::new(Self::open(&self.pipe, flags & flag::ACCMODE, None), flags)),
        }
    }

    fn name(&self) -> Vec<u8> {
        match &self.name {
            Some(name) => name.path.clone(),
            None => format!("pipe:[{}]", self.pipe.inode).into_bytes(),
        }
    }
}
