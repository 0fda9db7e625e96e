//! Where a path leads.

use alloc::vec::Vec;

use crate::{
    Error, FileSystem, Ino, ROOT,
    node::{Body, Node, Time},
};

/// Longest name in bytes.
const NAME_MAX: usize = 255;

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    /// User.
    pub user: u32,
    /// Group.
    pub group: u32,
    /// Permissions do not matter.
    pub privileged: bool,
    /// The time.
    pub now: Time,
}

/// How a path is followed.
#[derive(Clone, Copy, Debug)]
pub struct Following {
    /// A symbolic link at its end is followed as well.
    pub last: bool,
    /// Symbolic links that may be followed on the way.
    pub links: u32,
    /// Where it may lead.
    pub scope: Scope,
}

/// Where a path may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Wherever it does.
    Everywhere,
    /// To what is below the directory where it begins (`RESOLVE_BENEATH`).
    Beneath,
    /// As if that directory were the root (`RESOLVE_IN_ROOT`).
    InRoot,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// To a node, by the last name in a directory; without a name to a directory itself (`.`,
    /// `..`, the root).
    Node {
        /// The node.
        ino: Ino,
        /// The directory that holds it.
        parent: Ino,
        /// The name in it.
        name: Option<Vec<u8>>,
    },
    /// To a name that is free in a directory.
    Missing {
        /// The directory.
        parent: Ino,
        /// The name.
        name: Vec<u8>,
        /// A slash follows, so only a directory can be made there.
        slash: bool,
    },
    /// Out of the file system.
    Outside {
        /// The path, absolute or relative to the root of this file system.
        path: Vec<u8>,
        /// Symbolic links that may be followed on the way.
        links: u32,
    },
}

impl Node {
    /// Whether somebody has all rights in `wanted` (1 search, 2 write, 4 read).
    pub(crate) fn allows(&self, who: &Who, wanted: u32) -> bool {
        let shift = match () {
            () if who.user == self.user => 6,
            () if who.group == self.group => 3,
            () => 0,
        };
        who.privileged || self.mode >> shift & wanted == wanted
    }
}

/// What is left of a path: components, the next one last.
struct Rest {
    parts: Vec<Vec<u8>>,
    /// It ends with a slash.
    slash: bool,
}

impl Rest {
    fn new(path: &[u8]) -> Self {
        let mut rest = Self { parts: Vec::new(), slash: false };
        rest.push(path);
        rest
    }

    /// Puts a path before what is left.
    fn push(&mut self, path: &[u8]) {
        self.slash |= self.parts.is_empty() && path.ends_with(b"/");
        let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty());
        self.parts.extend(parts.rev().map(<[u8]>::to_vec));
    }

    /// What is left behind `start`, as a path.
    fn behind(&self, start: &[u8]) -> Vec<u8> {
        let mut path = start.to_vec();
        for part in self.parts.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(part);
        }
        if self.slash {
            path.push(b'/');
        }
        path
    }
}

impl FileSystem {
    /// Finds out where a path leads from a directory; a link at its end is followed if `following`
    /// says so or a slash comes behind it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::NotDirectory`], [`Error::NameTooLong`], [`Error::Loop`],
    /// [`Error::Denied`], [`Error::Escapes`].
    pub fn walk(
        &self,
        start: Ino,
        path: &[u8],
        following: Following,
        who: &Who,
    ) -> Result<Found, Error> {
        let Following { last: follow, mut links, scope } = following;
        let mut rest = Rest::new(path);
        let mut at = start;
        while let Some(part) = rest.parts.pop() {
            let node = self.node(at)?;
            let Body::Directory { entries, parent } = &node.body else {
                return Err(Error::NotDirectory);
            };
            if !node.allows(who, 1) {
                return Err(Error::Denied);
            }
            match part.as_slice() {
                b"." => continue,
                b".." if at == start && scope == Scope::Beneath => return Err(Error::Escapes),
                b".." if at == start && scope == Scope::InRoot => continue,
                b".." if at == ROOT => {
                    return Ok(Found::Outside { path: rest.behind(b".."), links });
                }
                b".." => {
                    at = *parent;
                    continue;
                }
                name if name.len() > NAME_MAX => return Err(Error::NameTooLong),
                _ => {}
            }
            let last = rest.parts.is_empty();
            let Some(ino) = entries.get(&part) else {
                return match last {
                    true => Ok(Found::Missing { parent: at, name: part, slash: rest.slash }),
                    false => Err(Error::NotFound),
                };
            };
            match &self.node(ino)?.body {
                Body::Link(target) if !last || follow || rest.slash => {
                    links = links.checked_sub(1).ok_or(Error::Loop)?;
                    match scope {
                        _ if !target.starts_with(b"/") => {}
                        Scope::Everywhere => {
                            return Ok(Found::Outside { path: rest.behind(target), links });
                        }
                        Scope::Beneath => return Err(Error::Escapes),
                        Scope::InRoot => at = start,
                    }
                    rest.push(target);
                }
                Body::Directory { .. } if !last => at = ino,
                Body::Directory { .. } => {
                    return Ok(Found::Node { ino, parent: at, name: Some(part) });
                }
                _ if !last || rest.slash => return Err(Error::NotDirectory),
                _ => return Ok(Found::Node { ino, parent: at, name: Some(part) }),
            }
        }
        let parent = match &self.node(at)?.body {
            Body::Directory { parent, .. } => *parent,
            _ if rest.slash => return Err(Error::NotDirectory),
            _ => at,
        };
        Ok(Found::Node { ino: at, parent, name: None })
    }

    /// The path of a directory from the root; `None` if it was removed.
    #[must_use]
    pub fn path_of(&self, directory: Ino) -> Option<Vec<u8>> {
        let mut parts = Vec::new();
        let mut at = directory;
        while at != ROOT {
            let Body::Directory { parent, .. } = &self.node(at).ok()?.body else { return None };
            let Body::Directory { entries, .. } = &self.node(*parent).ok()?.body else {
                return None;
            };
            parts.push(entries.from(0).find(|entry| entry.ino == at)?.name);
            at = *parent;
        }
        Some(parts.iter().rev().flat_map(|part| [b"/", part.as_slice()].concat()).collect())
    }
}
