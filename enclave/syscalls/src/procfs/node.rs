//! Something that exists inside and has a path.

use alloc::{format, sync::Arc, vec::Vec};

use enclave_files::{Device, DirEntry, Directory, Object, OpenFile, Stat, Text, flag, kind};
use enclave_hostcalls::Errno;

/// Makes the contents of a file, for the thread with this id.
pub(super) type Make = fn(u32) -> Vec<u8>;
/// Takes what was written to a file, for the thread with this id.
pub(super) type Take = fn(u32, &[u8]) -> Result<(), Errno>;

/// Something that exists inside and has a path.
pub(crate) enum Node {
    /// A device.
    Device(Device),
    /// A file whose contents are made when it is opened.
    Text { path: Vec<u8>, contents: Vec<u8>, take: Option<(Take, u32)> },
    /// A directory.
    Directory { path: Vec<u8>, list: fn() -> Vec<DirEntry> },
    /// A symbolic link.
    Link { path: Vec<u8>, target: Vec<u8> },
    /// A descriptor of the program that has none on the host.
    Descriptor(Arc<OpenFile>),
}

impl Node {
    pub(super) fn text(path: &[u8], thread: u32, make: Make) -> Self {
        Self::Text { path: path.to_vec(), contents: make(thread), take: None }
    }

    pub(super) fn writable(path: &[u8], thread: u32, make: Make, take: Take) -> Self {
        Self::Text { path: path.to_vec(), contents: make(thread), take: Some((take, thread)) }
    }

    pub(super) fn directory(path: &[u8], list: fn() -> Vec<DirEntry>) -> Self {
        Self::Directory { path: path.to_vec(), list }
    }

    pub(super) fn link(path: &[u8], target: Vec<u8>) -> Self {
        Self::Link { path: path.to_vec(), target }
    }

    /// What `/proc/self/fdinfo` says about an object without a descriptor of the host.
    pub(super) fn info(path: &[u8], file: &OpenFile) -> Self {
        let position = file.seek(0, 1).unwrap_or(0);
        let text = format!("pos:\t{position}\nflags:\t0{:o}\nmnt_id:\t1\n", file.status());
        Self::Text { path: path.to_vec(), contents: text.into_bytes(), take: None }
    }

    /// What stat(2) says; of a link, lstat(2).
    pub(crate) fn stat(&self) -> Result<Stat, Errno> {
        let inode = |path: &[u8]| {
            path.iter().fold(7, |hash: u64, &byte| (hash * 31 + u64::from(byte)) % (1 << 40))
        };
        match self {
            Self::Device(device) => device.stat(),
            Self::Text { path, take, .. } => {
                let mode = if take.is_some() { 0o644 } else { 0o444 };
                Ok(Stat::inside(kind::REGULAR | mode, inode(path)))
            }
            Self::Directory { path, .. } => {
                let stat = Stat::inside(kind::DIRECTORY | 0o555, inode(path));
                Ok(Stat { nlink: 2, ..stat })
            }
            Self::Link { path, .. } => Ok(Stat::inside(kind::LINK | 0o777, inode(path))),
            Self::Descriptor(file) => file.stat(),
        }
    }

    /// Where it leads, if it is a link.
    pub(crate) fn target(&self) -> Option<Vec<u8>> {
        match self {
            Self::Link { target, .. } => Some(target.clone()),
            Self::Descriptor(file) => Some(file.name()),
            _ => None,
        }
    }

    /// A path of the host in a file system of the same kind.
    pub(crate) fn file_system(&self) -> &'static [u8] {
        if matches!(self, Self::Device(_)) { b"/dev" } else { b"/proc" }
    }

    /// Opens it.
    ///
    /// # Errors
    ///
    /// As open(2).
    pub(crate) fn open(self, flags: u64) -> Result<Arc<OpenFile>, Errno> {
        if flags & (flag::CREAT | flag::EXCL) == flag::CREAT | flag::EXCL {
            return Err(Errno::EEXIST);
        }
        let is_directory = matches!(self, Self::Directory { .. });
        if flags & flag::DIRECTORY != 0 && !is_directory {
            return Err(Errno::ENOTDIR);
        }
        let writes = flags & flag::ACCMODE != 0;
        match self {
            Self::Device(device) => Ok(OpenFile::new(device, flags)),
            Self::Text { take: None, .. } if writes => Err(Errno::EACCES),
            Self::Text { path, contents, take: None } => {
                Ok(OpenFile::new(Text::new(&path, contents), flags))
            }
            Self::Text { path, contents, take: Some((take, thread)) } => {
                let take = move |bytes: &[u8]| take(thread, bytes);
                Ok(OpenFile::new(Text::writable(&path, contents, take), flags))
            }
            Self::Directory { .. } if writes => Err(Errno::EISDIR),
            Self::Directory { path, list } => Ok(OpenFile::new(Directory::new(&path, list), flags)),
            Self::Link { .. } => Err(Errno::ELOOP),
            Self::Descriptor(file) => file.reopen(flags),
        }
    }
}
