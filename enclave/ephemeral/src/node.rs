//! Nodes: what names lead to.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{Contents, Ino, directory::Directory};

/// Seconds and nanoseconds.
pub(crate) type Time = [u64; 2];

/// When a node was read and changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Last access.
    pub access: Time,
    /// Last change of the contents.
    pub modify: Time,
    /// Last change of the node.
    pub change: Time,
    /// Its beginning.
    pub birth: Time,
}

/// What kind of node it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Link,
    /// Pipe with a name; what is in it is the caller's.
    Pipe,
}

/// What stat(2) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Node number.
    pub ino: Ino,
    /// Kind.
    pub kind: Kind,
    /// Permissions, with set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub user: u32,
    /// Group.
    pub group: u32,
    /// Names.
    pub links: u64,
    /// Bytes.
    pub size: u64,
    /// Blocks of [`crate::BLOCK`] bytes.
    pub blocks: u64,
    /// Times.
    pub times: Times,
}

#[derive(Debug)]
pub(crate) enum Body {
    File(Contents),
    Directory { entries: Directory, parent: Ino },
    Link(Vec<u8>),
    Pipe,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) body: Body,
    pub(crate) mode: u32,
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) links: u64,
    /// Open files and other users: it lives while there are any.
    pub(crate) users: u64,
    pub(crate) times: Times,
    pub(crate) attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Node {
    pub(crate) fn kind(&self) -> Kind {
        match self.body {
            Body::File(_) => Kind::File,
            Body::Directory { .. } => Kind::Directory,
            Body::Link(_) => Kind::Link,
            Body::Pipe => Kind::Pipe,
        }
    }

    pub(crate) fn attributes(&self, ino: Ino) -> Attributes {
        let (size, blocks) = match &self.body {
            Body::File(contents) => (contents.size(), contents.blocks()),
            Body::Directory { entries, .. } => ((entries.len() as u64 + 2) * 20, 0),
            Body::Link(target) => (target.len() as u64, 0),
            Body::Pipe => (0, 0),
        };
        let Self { mode, user, group, links, times, .. } = *self;
        Attributes { ino, kind: self.kind(), mode, user, group, links, size, blocks, times }
    }
}
