//! File systems in the enclave's memory (`scone run --ephemeral`): where they are, and who asks.

mod attributes;
mod file;
mod locks;
mod names;
mod open;
mod place;
mod records;

pub(crate) use attributes::{
    access, change_mode, change_owner, change_times, extended, fallocate, give_statfs, truncate,
};
pub(crate) use file::MemoryFile;
pub(crate) use locks::flock;
pub(crate) use names::{link, make_directory, make_node, remove, rename, symlink};
pub(crate) use open::{open, reopen, umask};
pub(crate) use place::{
    Entered, Spot, change_directory, current_directory, enter, from_directory, of_cwd, opened,
    resolve, spot_of,
};
pub(crate) use records::{Command as RecordCommand, closed, fcntl as record_locks};

use alloc::{sync::Arc, vec::Vec};
use core::convert::Infallible;

use enclave_core::{Mutex, Once};
use enclave_descriptors::path::normal;
use enclave_ephemeral::{BLOCK, Error, FileSystem, Ino, Who};
use enclave_files::{OpenFile, Stat};
use enclave_hostcalls::Errno;
use enclave_threads::clock;

use crate::{ids, pipe::End};

/// A file system in memory, and the path of its root.
pub(crate) struct Mount {
    pub(crate) path: Vec<u8>,
    /// Device number, of a file system without a disk.
    pub(crate) device: u64,
    pub(crate) fs: Mutex<FileSystem>,
}

static MOUNTS: Once<Vec<Mount>> = Once::new();

/// Size of one whose size is not given, in bytes.
const SIZE: u64 = 1 << 30;
/// Device numbers (0:4096 and on) that Linux does not get to.
const DEVICES: u64 = 0x10_0000;

/// Makes the file systems that were asked for: each is `SIZE:PATH`, with 0 for the usual size.
pub(crate) fn init(wanted: &[Vec<u8>]) {
    let who = who();
    let mounts = (DEVICES..).zip(wanted).map(|(device, word)| {
        let colon = word.iter().position(|&byte| byte == b':').unwrap_or(0);
        let size = core::str::from_utf8(&word[..colon]).ok().and_then(|size| size.parse().ok());
        let size = size.filter(|&size| size > 0).unwrap_or(SIZE);
        let path = normal(word.get(colon + 1..).unwrap_or_default());
        let blocks = size / BLOCK as u64;
        Mount { path, device, fs: Mutex::new(FileSystem::new(blocks, 0o1777, &who)) }
    });
    MOUNTS.set(mounts.collect());
    if !wanted.is_empty() {
        open::init_umask();
    }
}

fn mounts() -> &'static [Mount] {
    MOUNTS.get().map_or(&[], Vec::as_slice)
}

/// Whether there are any.
pub(crate) fn any() -> bool {
    !mounts().is_empty()
}

/// Who asks: the process, now.
pub(crate) fn who() -> Who {
    let [user, group] = ids::of_files();
    Who { user, group, privileged: user == 0, now: now() }
}

/// The time, as file systems keep it.
pub(crate) fn now() -> [u64; 2] {
    let now = clock::realtime();
    [now / 1_000_000_000, now % 1_000_000_000]
}

/// An error as a system call's.
pub(crate) fn errno(error: Error) -> Errno {
    match error {
        Error::NotFound => Errno::ENOENT,
        Error::Exists => Errno::EEXIST,
        Error::NotDirectory => Errno::ENOTDIR,
        Error::IsDirectory => Errno::EISDIR,
        Error::NotEmpty => Errno::ENOTEMPTY,
        Error::NoSpace => Errno::ENOSPC,
        Error::NameTooLong => Errno::ENAMETOOLONG,
        Error::Loop => Errno::ELOOP,
        Error::Escapes => Errno::EXDEV,
        Error::Denied => Errno::EACCES,
        Error::NotPermitted => Errno::EPERM,
        Error::Invalid => Errno::EINVAL,
        Error::TooBig => Errno::EFBIG,
        Error::NoData => Errno::ENXIO,
        Error::NoAttribute => Errno::ENODATA,
    }
}

/// A node that is in use: it lives as long as this does.
pub(crate) struct Held {
    pub(crate) mount: &'static Mount,
    pub(crate) ino: Ino,
}

impl Held {
    pub(crate) fn new(mount: &'static Mount, ino: Ino) -> Self {
        mount.fs.lock().hold(ino);
        Self { mount, ino }
    }
}

/// What mappings do with their file.
impl Held {
    /// Reads until `bytes` is full or the file ends; returns the bytes read.
    pub(crate) fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        let fs = self.mount.fs.lock();
        let Ok(count) =
            fs.contents(self.ino).map_err(errno)?.read(offset, bytes.len(), |at, part| {
                bytes[at..at + part.len()].copy_from_slice(part);
                Ok::<_, Infallible>(())
            });
        Ok(count)
    }

    /// Writes, and returns the bytes written.
    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<u64, Errno> {
        let mut fs = self.mount.fs.lock();
        let written = fs.write(self.ino, offset, bytes.len(), now(), |at, part| {
            part.copy_from_slice(&bytes[at..at + part.len()]);
            Ok::<_, Infallible>(())
        });
        let Ok(count) = written.map_err(errno)?;
        Ok(count as u64)
    }

    /// Whether it has contents that can be mapped.
    pub(crate) fn contents(&self) -> Result<(), Errno> {
        self.mount.fs.lock().contents(self.ino).map(|_| ()).map_err(|_| Errno::ENODEV)
    }

    /// What stat(2) says.
    pub(crate) fn stat(&self) -> Result<Stat, Errno> {
        let node = self.mount.fs.lock().attributes(self.ino).map_err(errno)?;
        Ok(file::stat(self.mount.device, &node))
    }

    /// Length in bytes.
    pub(crate) fn size(&self) -> Result<u64, Errno> {
        Ok(self.mount.fs.lock().attributes(self.ino).map_err(errno)?.size)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.mount.fs.lock().release(self.ino);
    }
}

impl core::fmt::Debug for Held {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Held").field("ino", &self.ino).finish_non_exhaustive()
    }
}

/// The node behind a file, if it is in memory.
pub(crate) fn of(file: &OpenFile) -> Option<&Arc<Held>> {
    let object = file.object();
    let pipe = || object.downcast_ref::<End>()?.node();
    object.downcast_ref::<MemoryFile>().map(MemoryFile::node).or_else(pipe)
}
