//! Paths that lead into a file system in memory, and out of it.

use alloc::{sync::Arc, vec::Vec};

use enclave_core::Mutex;
use enclave_ephemeral::{Following, Found, Ino, Kind, ROOT, Scope};
use enclave_files::{OpenFile, flag};
use enclave_hostcalls::Errno;

use super::{Held, Mount, errno, mounts, of, who};

/// A path that may lead everywhere, by as many links as Linux follows.
fn freely(last: bool) -> Following {
    Following { last, links: 40, scope: Scope::Everywhere }
}

/// A place in a file system in memory: a node, or a free name.
pub(crate) struct Spot {
    pub(crate) mount: &'static Mount,
    pub(super) found: Found,
}

/// Where a path leads that was looked for in memory.
pub(crate) enum Entered {
    /// To a place in memory.
    Spot(Spot),
    /// To a path that is somewhere else.
    Outside(Vec<u8>),
}

impl Spot {
    /// The place of a node that is in use.
    pub(crate) fn of_node(held: &Held) -> Self {
        let found = Found::Node { ino: held.ino, parent: held.ino, name: None };
        Self { mount: held.mount, found }
    }

    /// The node.
    pub(crate) fn node(&self) -> Result<Ino, Errno> {
        match self.found {
            Found::Node { ino, .. } => Ok(ino),
            _ => Err(Errno::ENOENT),
        }
    }

    /// Directory and name, for what makes names.
    pub(super) fn free(&self) -> Result<(Ino, &[u8], bool), Errno> {
        match &self.found {
            Found::Missing { parent, name, slash } => Ok((*parent, name, *slash)),
            _ => Err(Errno::EEXIST),
        }
    }

    /// Directory and name of a node; `error` if it is a directory that was not named.
    pub(super) fn named(&self, error: Errno) -> Result<(Ino, &[u8]), Errno> {
        match &self.found {
            Found::Node { parent, name: Some(name), .. } => Ok((*parent, name)),
            Found::Node { .. } => Err(error),
            _ => Err(Errno::ENOENT),
        }
    }

    /// The whole path, as far as it is known.
    pub(super) fn path(&self) -> Vec<u8> {
        let fs = self.mount.fs.lock();
        let (directory, name) = match &self.found {
            Found::Node { parent, name: Some(name), .. } | Found::Missing { parent, name, .. } => {
                (*parent, name.as_slice())
            }
            Found::Node { ino, .. } => (*ino, b"".as_slice()),
            Found::Outside { path, .. } => return path.clone(),
        };
        let above = fs.path_of(directory).unwrap_or_default();
        let slash: &[u8] = if name.is_empty() { b"" } else { b"/" };
        [&self.mount.path, &above, slash, name].concat()
    }
}

/// The file system in which an absolute path begins, and what of the path is left.
fn split(path: &[u8]) -> Option<(&'static Mount, Vec<u8>)> {
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut rest = path;
    while let Some(at) = rest.iter().position(|&byte| byte != b'/') {
        rest = &rest[at..];
        let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        rest = behind;
        match part {
            b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
        let is_root = |mount: &&Mount| {
            let root = mount.path.split(|&byte| byte == b'/').skip(1);
            root.eq(parts.iter().copied())
        };
        if let Some(mount) = mounts().iter().find(is_root) {
            return Some((mount, rest.to_vec()));
        }
    }
    None
}

/// Follows an absolute path if it leads into memory; `None` if it does not.
pub(crate) fn enter(path: &[u8], follow: bool) -> Result<Option<Entered>, Errno> {
    match split(path) {
        Some((mount, rest)) => walk(mount, ROOT, &rest, freely(follow)).map(Some),
        None => Ok(None),
    }
}

/// Follows a path from a directory in memory.
pub(crate) fn from_directory(held: &Held, path: &[u8], follow: bool) -> Result<Entered, Errno> {
    from_directory_by(held, path, freely(follow))
}

/// `RESOLVE_` flags of openat2(2).
mod resolve {
    pub(super) const NO_XDEV: u64 = 1;
    pub(super) const NO_MAGICLINKS: u64 = 2;
    pub(super) const NO_SYMLINKS: u64 = 4;
    pub(super) const BENEATH: u64 = 8;
    pub(super) const IN_ROOT: u64 = 0x10;
    pub(super) const CACHED: u64 = 0x20;
}

/// Follows a path from a directory in memory as openat2(2) is told to.
///
/// # Errors
///
/// `EINVAL` for flags that Linux does not know, `EXDEV` for what leads out, `ELOOP`; as [`walk`].
pub(crate) fn resolve(
    held: &Held,
    path: &[u8],
    follow: bool,
    flags: u64,
) -> Result<Entered, Errno> {
    use resolve::{BENEATH, CACHED, IN_ROOT, NO_MAGICLINKS, NO_SYMLINKS, NO_XDEV};
    const KNOWN: u64 = NO_XDEV | NO_MAGICLINKS | NO_SYMLINKS | BENEATH | IN_ROOT | CACHED;
    const SCOPE: u64 = BENEATH | IN_ROOT;
    let scope = match flags & SCOPE {
        _ if flags & !KNOWN != 0 => return Err(Errno::EINVAL),
        SCOPE => return Err(Errno::EINVAL),
        BENEATH if path.starts_with(b"/") => return Err(Errno::EXDEV),
        BENEATH => Scope::Beneath,
        IN_ROOT => Scope::InRoot,
        _ => Scope::Everywhere,
    };
    let free = freely(follow);
    let links = if flags & NO_SYMLINKS != 0 { 0 } else { free.links };
    match from_directory_by(held, path, Following { links, scope, ..free })? {
        Entered::Outside(_) if flags & NO_XDEV != 0 => Err(Errno::EXDEV),
        Entered::Spot(spot) if flags & NO_XDEV != 0 && !core::ptr::eq(spot.mount, held.mount) => {
            Err(Errno::EXDEV)
        }
        entered => Ok(entered),
    }
}

fn from_directory_by(held: &Held, path: &[u8], following: Following) -> Result<Entered, Errno> {
    if !matches!(held.mount.fs.lock().attributes(held.ino), Ok(node) if node.kind == Kind::Directory)
    {
        return Err(Errno::ENOTDIR);
    }
    walk(held.mount, held.ino, path, following)
}

fn walk(
    mut mount: &'static Mount,
    start: Ino,
    path: &[u8],
    mut following: Following,
) -> Result<Entered, Errno> {
    let who = who();
    let (mut at, mut path) = (start, path.to_vec());
    loop {
        let found = mount.fs.lock().walk(at, &path, following, &who).map_err(errno)?;
        let Found::Outside { path: away, links } = found else {
            return Ok(Entered::Spot(Spot { mount, found }));
        };
        following.links = links;
        let away = match away.strip_prefix(b"..") {
            Some(rest) if !away.starts_with(b"/") => [above(&mount.path), rest].concat(),
            _ => away,
        };
        let Some((next, rest)) = split(&away) else {
            return Ok(Entered::Outside(if away.is_empty() { b"/".to_vec() } else { away }));
        };
        (mount, at, path) = (next, ROOT, rest);
    }
}

/// The directory above a path without `.` and `..`.
fn above(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    &path[..slash]
}

/// The current directory, if it is in memory.
static DIRECTORY: Mutex<Option<Arc<Held>>> = Mutex::new(None);

/// The current directory, if it is in memory.
pub(crate) fn of_cwd() -> Option<Arc<Held>> {
    if super::any() { DIRECTORY.lock().clone() } else { None }
}

/// Path of the current directory, if it is in memory.
pub(crate) fn current_directory() -> Option<Result<Vec<u8>, Errno>> {
    let held = of_cwd()?;
    let below = held.mount.fs.lock().path_of(held.ino);
    Some(below.map(|below| [held.mount.path.as_slice(), &below].concat()).ok_or(Errno::ENOENT))
}

/// Makes a directory in memory the current one; `None` if it is one of the host now.
pub(crate) fn change_directory(spot: Option<&Spot>) -> Result<(), Errno> {
    let held = match spot {
        None => None,
        Some(spot) => {
            let ino = spot.node()?;
            let fs = spot.mount.fs.lock();
            if fs.attributes(ino).map_err(errno)?.kind != Kind::Directory {
                return Err(Errno::ENOTDIR);
            }
            fs.check(ino, &who(), 1).map_err(errno)?;
            drop(fs);
            Some(Arc::new(Held::new(spot.mount, ino)))
        }
    };
    let old = core::mem::replace(&mut *DIRECTORY.lock(), held);
    drop(old);
    Ok(())
}

/// The place of an open file, if it is in memory.
pub(crate) fn spot_of(file: &OpenFile) -> Option<Spot> {
    of(file).map(|held| Spot::of_node(held))
}

/// As [`spot_of`], for calls that need more than a path (`O_PATH`).
///
/// # Errors
///
/// `EBADF` if there is only a path.
pub(crate) fn opened(file: &OpenFile) -> Result<Option<Spot>, Errno> {
    match spot_of(file) {
        Some(_) if file.status() & flag::PATH != 0 => Err(Errno::EBADF),
        spot => Ok(spot),
    }
}
