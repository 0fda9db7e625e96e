//! Where a path leads: to the host, or to something that exists inside.

use alloc::{sync::Arc, vec::Vec};

use enclave_descriptors::path::{join, normal};
use enclave_files::{Directory, HostFile, OpenFile};
use enclave_hostcalls::Errno;

use crate::{
    args::{self, int},
    dir,
    ephemeral::{self, Entered, Held, Spot},
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
    /// Into a file system in memory.
    Memory(Spot),
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
    if ephemeral::any()
        && let Some(place) = beside_memory(directory, &path, follow)?
    {
        return Ok(place);
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

/// [`place`] as openat2(2) is told to by its `RESOLVE_` flags, which the host sees to for what is
/// the host's.
///
/// # Errors
///
/// As [`place`]; `EXDEV` if the flags do not let the path leave where it begins.
pub(crate) fn resolved(
    directory: u64,
    address: u64,
    follow: bool,
    resolve: u64,
) -> Result<Place, Errno> {
    /// `RESOLVE_IN_ROOT`: the directory is the root.
    const IN_ROOT: u64 = 0x10;
    let mut path = args::path(address)?;
    if resolve & IN_ROOT != 0 && path.starts_with(b"/") {
        path = [b".".as_slice(), &path].concat();
    }
    if resolve != 0
        && !path.is_empty()
        && let Some(held) = directory_in_memory(directory)?
    {
        return entered(ephemeral::resolve(&held, &path, follow, resolve)?, follow);
    }
    match place_of(directory, path, follow)? {
        Place::Inside(_) | Place::Memory(_) if resolve != 0 => Err(Errno::EXDEV),
        place => Ok(place),
    }
}

/// The directory that a descriptor stands for, if it is in memory.
fn directory_in_memory(directory: u64) -> Result<Option<Arc<Held>>, Errno> {
    if !ephemeral::any() {
        return Ok(None);
    }
    if int(directory) == int(AT_FDCWD) {
        return Ok(ephemeral::of_cwd());
    }
    Ok(ephemeral::of(&*args::file(directory)?).cloned())
}

/// Where a relative path leads if there are file systems in memory, unless it stays on the host.
fn beside_memory(directory: u64, path: &[u8], follow: bool) -> Result<Option<Place>, Errno> {
    if let Some(held) = directory_in_memory(directory)? {
        return entered(ephemeral::from_directory(&held, path, follow)?, follow).map(Some);
    }
    let base = if int(directory) == int(AT_FDCWD) {
        dir::current()?
    } else {
        match args::file(directory)?.host() {
            Some(host) => host.path()?,
            None => return Ok(None),
        }
    };
    match ephemeral::enter(&join(&base, path), follow)? {
        Some(entered_there) => entered(entered_there, follow).map(Some),
        None => Ok(None),
    }
}

/// What a path turned out to be that was followed through memory.
fn entered(entered: Entered, follow: bool) -> Result<Place, Errno> {
    match entered {
        Entered::Spot(spot) => Ok(Place::Memory(spot)),
        Entered::Outside(path) => elsewhere(path, follow),
    }
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
    match if ephemeral::any() { ephemeral::enter(&path, follow)? } else { None } {
        Some(there) => entered(there, follow),
        None => elsewhere(path, follow),
    }
}

/// Where an absolute path leads that does not begin in memory.
fn elsewhere(path: Vec<u8>, follow: bool) -> Result<Place, Errno> {
    if !procfs::may_be_special(&path) && !has_parent(&path) {
        return Ok(Place::host(AT_FDCWD, path));
    }
    let plain = normal(&path);
    if !procfs::may_be_special(&plain) {
        return Ok(Place::host(AT_FDCWD, path));
    }
    match procfs::find(&plain, follow)? {
        Found::Host(other) => match ephemeral::enter(&other, follow)? {
            Some(Entered::Spot(spot)) => Ok(Place::Memory(spot)),
            _ => Ok(Place::host(AT_FDCWD, other)),
        },
        Found::Inside(Node::Descriptor(file)) if follow => Ok(match ephemeral::spot_of(&file) {
            Some(spot) => Place::Memory(spot),
            None => Place::Inside(Node::Descriptor(file)),
        }),
        Found::Inside(node) => Ok(Place::Inside(node)),
        Found::Same => Ok(Place::host(AT_FDCWD, path)),
    }
}

/// What can be changed by its path.
pub(crate) enum Target {
    /// On the host.
    Host(At),
    /// In memory.
    Memory(Spot),
}

impl Target {
    /// # Errors
    ///
    /// `EPERM` for what exists inside.
    fn of(place: Place) -> Result<Self, Errno> {
        match place {
            Place::Host(at) => Ok(Self::Host(at)),
            Place::Memory(spot) => Ok(Self::Memory(spot)),
            Place::Inside(_) => Err(Errno::EPERM),
        }
    }
}

/// A path for calls that change something.
///
/// # Errors
///
/// As [`place`]; `EPERM` for what exists inside.
pub(crate) fn at(directory: u64, address: u64, follow: bool) -> Result<Target, Errno> {
    Target::of(place(directory, address, follow)?)
}

/// As [`at`], where an empty or no path means the directory descriptor itself if the flags have
/// [`AT_EMPTY_PATH`].
pub(crate) fn at_or_file(directory: u64, address: u64, flags: u64) -> Result<Target, Errno> {
    let path = if address == 0 { Vec::new() } else { args::path(address)? };
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        return itself(directory);
    }
    Target::of(place_of(directory, path, flags & AT_SYMLINK_NOFOLLOW == 0)?)
}

/// The directory descriptor itself, as an empty path.
fn itself(directory: u64) -> Result<Target, Errno> {
    if int(directory) == int(AT_FDCWD) {
        return Ok(match ephemeral::of_cwd() {
            Some(held) => Target::Memory(Spot::of_node(&held)),
            None => Target::Host(At { directory: AT_FDCWD, path: Vec::new(), _keep: None }),
        });
    }
    let file = args::file(directory)?;
    if let Some(spot) = ephemeral::spot_of(&file) {
        return Ok(Target::Memory(spot));
    }
    let directory = file.host().ok_or(Errno::EPERM)?.number();
    Ok(Target::Host(At { directory, path: Vec::new(), _keep: Some(file) }))
}
