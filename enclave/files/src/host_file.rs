//! A file of the host: regular, directory, pipe, terminal, ...

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use enclave_core::{AppSlice, HostSlice, to_usize};
use enclave_hostcalls::{Call, Direction, Errno, Wait, are_posted};

use crate::{
    Data, HostFd, Io, Object, OpenFile, Stat, Stream, Transport,
    ahead::{self, Ahead, again},
    flag, kind,
    transfer::{bulk, fetch_host, read_host, store_host, write_host},
    writes::Written,
};

mod nr {
    pub(super) const LSEEK: u64 = 8;
}

/// From so many bytes on, data may be moved in chunks.
const BULK: u64 = 64 << 10;

/// Which file a descriptor is open on: what stays as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Type of the file, see [`kind`].
    pub kind: u32,
    /// Device.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
}

impl From<&Stat> for Identity {
    fn from(stat: &Stat) -> Self {
        Self { kind: stat.kind(), device: stat.dev, inode: stat.ino }
    }
}

/// As what the program has made a socket: the arguments of socket(2), without flags.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Address family.
    pub domain: u64,
    /// Type.
    pub kind: u64,
    /// Protocol; 0 if it is the usual one.
    pub protocol: u64,
}

/// The [`Identity`] of a file, from when it is known on.
#[derive(Debug, Default)]
struct Known {
    /// 0 until somebody needs to know.
    kind: AtomicU32,
    device: AtomicU64,
    inode: AtomicU64,
    all: AtomicBool,
    /// It is regular and was not empty.
    has_contents: AtomicBool,
}

impl Known {
    fn note(&self, stat: &Stat) {
        let Identity { kind, device, inode } = stat.into();
        self.kind.store(kind, Ordering::Relaxed);
        self.device.store(device, Ordering::Relaxed);
        self.inode.store(inode, Ordering::Relaxed);
        self.has_contents.store(kind == kind::REGULAR && stat.size > 0, Ordering::Relaxed);
        self.all.store(true, Ordering::Release);
    }

    fn get(&self) -> Option<Identity> {
        self.all.load(Ordering::Acquire).then(|| Identity {
            kind: self.kind.load(Ordering::Relaxed),
            device: self.device.load(Ordering::Relaxed),
            inode: self.inode.load(Ordering::Relaxed),
        })
    }
}

/// A file of the host.
#[derive(Debug)]
pub struct HostFile {
    fd: Arc<HostFd>,
    known: Known,
    /// Path as it was opened, where that matters (`/proc`).
    path: Vec<u8>,
    /// There if it is a socket that the program has made, or has accepted from one.
    made: Option<Made>,
    /// There if it is a socket that is known to be a stream.
    stream: Option<Arc<Stream>>,
    /// There if it was opened for reading while calls were posted.
    opened: Option<ahead::Path>,
    /// What is known of it since it was opened.
    ahead: Option<Ahead>,
    /// What was written, if it is regular.
    written: Written,
}

impl HostFile {
    /// The file behind a descriptor of the host, which was opened by `path` (may be empty).
    #[must_use]
    pub fn new(fd: HostFd, path: &[u8]) -> Self {
        Self { path: path.to_vec(), ..Self::of_kind(fd, 0) }
    }

    /// The same for a file whose type is known.
    #[must_use]
    pub fn of_kind(fd: HostFd, kind: u32) -> Self {
        Self {
            fd: Arc::new(fd),
            known: Known { kind: AtomicU32::new(kind), ..Known::default() },
            path: Vec::new(),
            made: None,
            stream: None,
            opened: None,
            ahead: None,
            written: Written::default(),
        }
    }

    /// Opens a path of the host, relative to a directory given by its number on the host, and reads it if
    /// that was of use before; `None` if it is to be opened by itself.
    ///
    /// # Errors
    ///
    /// As openat(2).
    #[must_use]
    pub fn open_and_read(directory: u64, path: &[u8], flags: u64) -> Option<Result<Self, Errno>> {
        let opened = ahead::open(directory, path, flags)?;
        Some(opened.map(|(fd, ahead)| {
            let file = Self::of_kind(fd, kind::REGULAR);
            file.note(ahead.stat_then());
            Self { ahead: Some(ahead), ..file }
        }))
    }

    /// Notes how the file was opened: if it is short and read from its start, it will be opened by
    /// [`Self::open_and_read`].
    #[must_use]
    pub fn opened_at(self, directory: u64, path: &[u8], flags: u64) -> Self {
        Self { opened: ahead::known(directory, path, flags), ..self }
    }

    fn note(&self, stat: &Stat) {
        self.known.note(stat);
        if stat.kind() == kind::REGULAR {
            self.fd.close_later();
        }
    }

    /// A socket; as what it was made, and what it is if it is known to be a stream.
    #[must_use]
    pub fn socket(fd: HostFd, made: Option<Made>, stream: Option<Transport>) -> Self {
        let socket = Self::of_kind(fd, kind::SOCKET);
        let stream = stream.map(|transport| Stream::new(Arc::clone(&socket.fd), transport));
        Self { made, stream, ..socket }
    }

    /// As what it was made, if that is known.
    #[must_use]
    pub const fn made(&self) -> Option<Made> {
        self.made
    }

    /// The stream, if it is known to be one.
    #[must_use]
    pub fn stream(&self) -> Option<&Arc<Stream>> {
        self.stream.as_ref()
    }

    /// Sends by `send`, if the data is not sent with the next call that leaves.
    fn send(
        &self,
        file: &OpenFile,
        data: Data<'_>,
        send: impl FnOnce() -> Result<u64, Errno>,
    ) -> Result<u64, Errno> {
        match &self.stream {
            Some(stream) => stream.send_by(data, 0, !file.nonblocking(), send),
            None => send(),
        }
    }

    /// Receives by `receive`, if nothing was seen that goes to `plain` buffers.
    fn receive(
        &self,
        plain: Option<&[AppSlice]>,
        wait: Wait,
        receive: impl FnOnce() -> Result<u64, Errno>,
    ) -> Result<u64, Errno> {
        match &self.stream {
            Some(stream) => stream.receive_by(plain, wait == Wait::Maybe, receive),
            None => receive(),
        }
    }

    /// The descriptor of the host.
    #[must_use]
    pub fn fd(&self) -> &Arc<HostFd> {
        &self.fd
    }

    /// Path as it was opened, if it is remembered.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The type of the file, see [`kind`].
    ///
    /// # Errors
    ///
    /// As fstat(2).
    pub fn kind(&self) -> Result<u32, Errno> {
        match self.known.kind.load(Ordering::Relaxed) {
            0 => Ok(self.stat()?.kind()),
            kind => Ok(kind),
        }
    }

    /// Which file it is.
    ///
    /// # Errors
    ///
    /// As fstat(2).
    pub fn identity(&self) -> Result<Identity, Errno> {
        self.known.get().map_or_else(|| Ok((&self.stat()?).into()), Ok)
    }

    /// Whether calls may wait for longer than a disk takes.
    fn wait(&self, file: &OpenFile) -> Result<Wait, Errno> {
        let at_once = matches!(self.kind()?, kind::REGULAR | kind::DIRECTORY | kind::BLOCK);
        Ok(if at_once || file.nonblocking() { Wait::No } else { Wait::Maybe })
    }
}

impl HostFile {
    /// The first `len` bytes, if they have been read already.
    fn start(&self, len: u64) -> Option<HostSlice> {
        self.ahead.as_ref()?.start(len)
    }

    /// Whether reading so much of it again, with nothing in between, gives the same. (Not a file of `/proc` that gives
    /// each line once: that says that it is empty.)
    fn stays(&self, file: &OpenFile, len: u64) -> bool {
        let contents = self.known.has_contents.load(Ordering::Relaxed);
        are_posted() && len <= ahead::ROOM && contents && file.status() & flag::DIRECT == 0
    }

    /// Notes that `count` bytes were read.
    fn was_read(&self, at: Option<u64>, count: u64) {
        if let (Some(path), Some(0)) = (self.opened, at) {
            path.was_read(count);
        }
    }

    /// The buffer and the offset, if this is much data that may be moved in chunks: not where the
    /// end of the file or the descriptor's position say where it goes, for others may move them
    /// between two chunks, and not where each call waits for a disk.
    fn bulk(&self, file: &OpenFile, io: &Io<'_>) -> Result<Option<(AppSlice, u64)>, Errno> {
        const WHOLE: u64 = flag::APPEND | flag::DIRECT | flag::DSYNC;
        let &[bytes] = io.buffers else { return Ok(None) };
        let Some(at) = io.at.filter(|_| io.flags == 0 && bytes.len() >= BULK) else {
            return Ok(None);
        };
        let chunks = self.kind()? == kind::REGULAR && file.status() & WHOLE == 0;
        Ok(chunks.then_some((bytes, at)))
    }

    /// Writes to a regular file.
    fn write_regular(&self, file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        const AT_ONCE: u64 = flag::DIRECT | flag::DSYNC;
        let writes = self.written.through(&self.fd);
        let write = || match self.bulk(file, io)? {
            Some((bytes, at)) => bulk(Direction::Out, &self.fd, bytes, at),
            None => write_host(&self.fd, io, Wait::No, None),
        };
        // An offset means nothing to a file that is written at its end.
        let appends = file.status() & flag::APPEND != 0;
        if io.flags == 0 && file.status() & AT_ONCE == 0 && !(appends && io.at.is_some()) {
            return writes.write_by(Data::App(io.buffers), io.at, write);
        }
        writes.settle()?;
        write()
    }
}

impl Object for HostFile {
    fn host(&self) -> Option<&Arc<HostFd>> {
        Some(&self.fd)
    }

    fn read(&self, file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        if let (&[buffer], Some(0), 0) = (io.buffers, io.at, io.flags)
            && let Some(bytes) = self.start(buffer.len())
        {
            bytes.read_app(buffer.first(bytes.len()))?;
            return Ok(bytes.len());
        }
        let wait = self.wait(file)?;
        if let Some((bytes, at)) = self.bulk(file, io)? {
            return bulk(Direction::In, &self.fd, bytes, at);
        }
        let whole = matches!(self.kind()?, kind::REGULAR | kind::BLOCK);
        let plain = (io.at.is_none() && io.flags == 0).then_some(io.buffers);
        let count = match (io.buffers, io.at, io.flags) {
            (&[buffer], Some(at), 0) if self.stays(file, buffer.len()) => {
                again::read(&self.fd, at, buffer.len(), |bytes| {
                    Ok(bytes.read_app(buffer.first(bytes.len()))?)
                })?
            }
            _ => self.receive(plain, wait, || read_host(&self.fd, io, wait, whole))?,
        };
        self.was_read(io.at, count);
        Ok(count)
    }

    fn write(&self, file: &OpenFile, io: &Io<'_>) -> Result<u64, Errno> {
        if self.kind()? == kind::REGULAR {
            return self.write_regular(file, io);
        }
        let wait = self.wait(file)?;
        if io.at.is_some() || io.flags != 0 {
            return write_host(&self.fd, io, wait, None);
        }
        let write = || write_host(&self.fd, io, wait, self.stream.as_deref());
        self.send(file, Data::App(io.buffers), write)
    }

    fn fetch(&self, file: &OpenFile, bytes: &mut [u8], at: Option<u64>) -> Result<usize, Errno> {
        if at == Some(0)
            && let Some(start) = self.start(bytes.len() as u64)
        {
            let count = to_usize(start.len());
            start.read_bytes(&mut bytes[..count]);
            return Ok(count);
        }
        let wait = self.wait(file)?;
        let len = bytes.len() as u64;
        let count = match at {
            Some(at) if self.stays(file, len) => again::read(&self.fd, at, len, |read| {
                read.read_bytes(&mut bytes[..to_usize(read.len())]);
                Ok(())
            })?,
            _ => self.receive(None, wait, || Ok(fetch_host(&self.fd, bytes, at, wait)? as u64))?,
        };
        self.was_read(at, count);
        Ok(to_usize(count))
    }

    fn store(&self, file: &OpenFile, bytes: &[u8], at: Option<u64>) -> Result<usize, Errno> {
        self.settle()?;
        let wait = self.wait(file)?;
        let store = || Ok(store_host(&self.fd, bytes, at, wait)? as u64);
        Ok(to_usize(self.send(file, Data::Own(bytes), store)?))
    }

    fn settle(&self) -> Result<(), Errno> {
        self.written.settle()
    }

    fn seek(&self, offset: u64, whence: u64) -> Result<u64, Errno> {
        let mut call = Call::new(nr::LSEEK, 0)?;
        call.args([self.fd.number(), offset, whence]).count(Wait::No, i64::MAX.unsigned_abs())
    }

    fn stat(&self) -> Result<Stat, Errno> {
        if let Some(stat) = self.ahead.as_ref().and_then(Ahead::stat) {
            return Ok(stat);
        }
        let stat = self.fd.stat()?;
        self.note(&stat);
        Ok(stat)
    }

    fn name(&self) -> Vec<u8> {
        self.fd.path().unwrap_or_else(|_| self.path.clone())
    }
}
