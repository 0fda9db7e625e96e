//! Where a path leads: to the host, or to something that exists inside.

use alloc::{sync::Arc, vec::Vec};

use enclave_descriptors::path::{join, normal};
use enclave_files::{Directory, HostFile, OpenFile};
use enclave_hostcalls::Errno;

use crate::{
    args::{self, int},
    dir,
    procfs::{self, Found, Node},
};

/// The directory descriptor that stands for the current directory.
pub(crate) const AT_FDCWD: u64 = (-100_i64).cast_unsigned();
/// Do not follow a symbolic link at the end.
pub(crate) const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
/// Follow a symbolic link at the end.
pub(crate) const AT_SYMLINK_FOLLOW: u64 = 0x400;
/// An empty path means the directory descriptor itself.
pub(crate) const AT_EMPTY_PATH: u64 = 0x1000;

/// A path of the host.
pub(crate) struct At {
    /// The host's descriptor of the directory, or [`AT_FDCWD`].
    pub(crate) directory: u64,
    /// The path relative to it.
    pub(crate) path: Vec<u8>,
    /// Keeps the directory open.
    _keep: Option<Arc<OpenFile>>,
}

/// Where a path leads.
pub(crate) enum Place {
    /// To the host.
    Host(At),
    /// To something that exists inside.
    Inside(Node),
}

impl Place {
    fn host(directory: u64, path: Vec<u8>) -> Self {
        Self::Host(At { directory, path, _keep: None })
    }
}

/// Finds out where a path of the program leads. With `follow`, a link at its end is followed.
///
/// # Errors
///
/// `EFAULT`, `ENAMETOOLONG`, `ENOENT`, `EBADF`, `ENOTDIR`.
pub(crate) fn place(directory: u64, address: u64, follow: bool) -> Result<Place, Errno> {
    place_of(directory, args::path(address)?, follow)
}

/// [`place`] of a path that was read.
pub(crate) fn place_of(directory: u64, path: Vec<u8>, follow: bool) -> Result<Place, Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    if path.starts_with(b"/") {
        return absolute(path, follow);
    }
    if int(directory) == int(AT_FDCWD) {
        return match procfs::current_directory() {
            None => match leaves(&path, dir::current) {
                None => Ok(Place::host(AT_FDCWD, path)),
                Some(whole) => absolute(whole, follow),
            },
            Some(base) => absolute(join(&base, &path), follow),
        };
    }
    let file = args::file(directory)?;
    if let Some(base) = special_directory(&file) {
        return absolute(join(base, &path), follow);
    }
    let host = file.host().ok_or(Errno::ENOTDIR)?;
    if let Some(whole) = leaves(&path, || host.path()) {
        return absolute(whole, follow);
    }
    let directory = host.number();
    Ok(Place::Host(At { directory, path, _keep: Some(file) }))
}

/// The absolute form of a relative path that leads from an ordinary directory to a place where
/// names may mean something else than on the host.
fn leaves(path: &[u8], base: impl FnOnce() -> Result<Vec<u8>, Errno>) -> Option<Vec<u8>> {
    if !has_parent(path) && !procfs::may_be_special(&join(b"", path)) {
        return None;
    }
    let whole = join(&base().ok()?, path);
    procfs::may_be_special(&normal(&whole)).then_some(whole)
}

/// Whether a path has a component `..`, or one that only begins like that.
fn has_parent(path: &[u8]) -> bool {
    path.starts_with(b"..") || path.windows(3).any(|part| part == b"/..")
}

/// The path of an open directory in which names may mean something else than on the host.
pub(crate) fn special_directory(file: &OpenFile) -> Option<&[u8]> {
    if let Some(directory) = file.object().downcast_ref::<Directory>() {
        return Some(directory.path());
    }
    let path = file.object().downcast_ref::<HostFile>()?.path();
    procfs::may_be_special(path).then_some(path)
}

fn absolute(path: Vec<u8>, follow: bool) -> Result<Place, Errno> {
    if !procfs::may_be_special(&path) && !has_parent(&path) {
        return Ok(Place::host(AT_FDCWD, path));
    }
    let plain = normal(&path);
    if !procfs::may_be_special(&plain) {
        return Ok(Place::host(AT_FDCWD, path));
    }
    match procfs::find(&plain, follow)? {
        Found::Host(other) => Ok(Place::host(AT_FDCWD, other)),
        Found::Inside(node) => Ok(Place::Inside(node)),
        Found::Same => Ok(Place::host(AT_FDCWD, path)),
    }
}

/// A path for calls that change something: it must lead to the host.
///
/// # Errors
///
/// As [`place`]; `EPERM` for what exists inside.
pub(crate) fn at(directory: u64, address: u64, follow: bool) -> Result<At, Errno> {
    match place(directory, address, follow)? {
        Place::Host(at) => Ok(at),
        Place::Inside(_) => Err(Errno::EPERM),
    }
}

/// As [`at`], where an empty or no path means the directory descriptor itself if the flags have
/// [`AT_EMPTY_PATH`].
pub(crate) fn at_or_file(directory: u64, address: u64, flags: u64) -> Result<At, Errno> {
    let path = if address == 0 { Vec::new() } else { args::path(address)? };
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        return itself(directory);
    }
    match place_of(directory, path, flags & AT_SYMLINK_NOFOLLOW == 0)? {
        Place::Host(at) => Ok(at),
        Place::Inside(_) => Err(Errno::EPERM),
    }
}

/// The directory descriptor itself, as an empty path.
fn itself(directory: u64) -> Result<At, Errno> {
    if int(directory) == int(AT_FDCWD) {
        return Ok(At { directory: AT_FDCWD, path: Vec::new(), _keep: None });
    }
    let file = args::file(directory)?;
    let directory = file.host().ok_or(Errno::EPERM)?.number();
    Ok(At { directory, path: Vec::new(), _keep: Some(file) })
}
