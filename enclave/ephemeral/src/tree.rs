//! The file system: nodes by number, and what is done with them.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    Attributes, BLOCK, Contents, Entry, Error, Kind, Times, Who,
    directory::Directory,
    node::{Body, Node},
};

/// Number of a node.
pub type Ino = u64;
/// The root directory.
pub const ROOT: Ino = 1;

const BLOCK_LEN: u64 = BLOCK as u64;
pub(crate) const SET_GROUP: u32 = 0o2000;

/// What a new name does if it is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// It takes the place.
    Yes,
    /// Nothing is done (`RENAME_NOREPLACE`).
    No,
    /// Both change places (`RENAME_EXCHANGE`).
    Exchange,
}

/// A file system in memory.
#[derive(Debug)]
pub struct FileSystem {
    /// By number less one.
    nodes: Vec<Option<Node>>,
    free: Vec<Ino>,
    /// Blocks in use, and how many there may be.
    pub(crate) used: u64,
    pub(crate) limit: u64,
    /// Names in use; there may be as many as blocks.
    pub(crate) names: u64,
}

fn index(ino: Ino) -> usize {
    usize::try_from(ino.wrapping_sub(1)).unwrap_or(usize::MAX)
}

impl FileSystem {
    /// An empty one of at most `limit` blocks, whose root belongs to `who`.
    #[must_use]
    pub fn new(limit: u64, mode: u32, who: &Who) -> Self {
        let body = Body::Directory { entries: Directory::default(), parent: ROOT };
        let mut root = Self::new_node(body, mode, who);
        (root.links, root.users) = (2, 1);
        Self { nodes: alloc::vec![Some(root)], free: Vec::new(), used: 0, limit, names: 0 }
    }

    fn new_node(body: Body, mode: u32, who: &Who) -> Node {
        let now = who.now;
        Node {
            body,
            mode: mode & 0o7777,
            user: who.user,
            group: who.group,
            links: 0,
            users: 0,
            times: Times { access: now, modify: now, change: now, birth: now },
            attributes: BTreeMap::new(),
        }
    }

    pub(crate) fn node(&self, ino: Ino) -> Result<&Node, Error> {
        self.nodes.get(index(ino)).and_then(Option::as_ref).ok_or(Error::NotFound)
    }

    pub(crate) fn node_mut(&mut self, ino: Ino) -> Result<&mut Node, Error> {
        self.nodes.get_mut(index(ino)).and_then(Option::as_mut).ok_or(Error::NotFound)
    }

    /// Blocks in use, and how many there may be.
    #[must_use]
    pub fn usage(&self) -> (u64, u64) {
        (self.used, self.limit)
    }

    /// Names in use.
    #[must_use]
    pub fn names(&self) -> u64 {
        self.names
    }

    /// What stat(2) says.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub fn attributes(&self, ino: Ino) -> Result<Attributes, Error> {
        Ok(self.node(ino)?.attributes(ino))
    }

    /// Whether somebody has all rights in `wanted` (1 execute or search, 2 write, 4 read).
    ///
    /// # Errors
    ///
    /// [`Error::Denied`], [`Error::NotFound`].
    pub fn check(&self, ino: Ino, who: &Who, wanted: u32) -> Result<(), Error> {
        let node = self.node(ino)?;
        // Nobody can execute what nobody may.
        let executable =
            wanted & 1 == 0 || node.kind() == Kind::Directory || node.mode & 0o111 != 0;
        if executable && node.allows(who, wanted) { Ok(()) } else { Err(Error::Denied) }
    }

    /// One more user of a node: it lives as long as it has users.
    pub fn hold(&mut self, ino: Ino) {
        if let Ok(node) = self.node_mut(ino) {
            node.users += 1;
        }
    }

    /// A user of a node is gone.
    pub fn release(&mut self, ino: Ino) {
        if let Ok(node) = self.node_mut(ino) {
            node.users -= 1;
            self.reap(ino);
        }
    }

    /// Frees a node without names and users.
    pub(crate) fn reap(&mut self, ino: Ino) {
        let Ok(node) = self.node(ino) else { return };
        if node.links > 0 || node.users > 0 {
            return;
        }
        self.used -= weight(node);
        self.nodes[index(ino)] = None;
        self.free.push(ino);
    }

    /// A node without a name yet (`O_TMPFILE`).
    ///
    /// # Errors
    ///
    /// [`Error::NoSpace`].
    pub fn make(&mut self, kind: Kind, target: &[u8], mode: u32, who: &Who) -> Result<Ino, Error> {
        let body = match kind {
            Kind::File => Body::File(Contents::default()),
            Kind::Directory => Body::Directory { entries: Directory::default(), parent: ROOT },
            Kind::Link => Body::Link(target.to_vec()),
            Kind::Pipe => Body::Pipe,
        };
        let live = self.nodes.len() - self.free.len();
        if self.free.is_empty() && live as u64 > self.limit.max(16) {
            return Err(Error::NoSpace);
        }
        let node = Some(Self::new_node(body, mode, who));
        if let Some(ino) = self.free.pop() {
            self.nodes[index(ino)] = node;
            return Ok(ino);
        }
        self.nodes.push(node);
        Ok(self.nodes.len() as u64)
    }

    /// The entries of a directory at or behind a place: `.` and `..` first.
    ///
    /// # Errors
    ///
    /// [`Error::NotDirectory`].
    pub fn list(&self, directory: Ino, place: u64) -> Result<Vec<(Entry, Kind)>, Error> {
        let Body::Directory { entries, parent } = &self.node(directory)?.body else {
            return Err(Error::NotDirectory);
        };
        let dots = [(directory, b".".as_slice()), (*parent, b"..")];
        let dots = (1..)
            .zip(dots)
            .filter(|(next, _)| *next > place)
            .map(|(next, (ino, name))| (Entry { ino, name: name.to_vec(), next }, Kind::Directory));
        let kind = |entry: Entry| {
            let kind = self.node(entry.ino).map_or(Kind::File, Node::kind);
            (entry, kind)
        };
        Ok(dots.chain(entries.from(place).map(kind)).collect())
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is none.
    pub fn target(&self, ino: Ino) -> Result<&[u8], Error> {
        match &self.node(ino)?.body {
            Body::Link(target) => Ok(target),
            _ => Err(Error::Invalid),
        }
    }
}

/// Blocks that a node takes.
pub(crate) fn weight(node: &Node) -> u64 {
    let contents = if let Body::File(contents) = &node.body { contents.blocks() } else { 0 };
    let attributes: usize =
        node.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    contents + (attributes as u64).div_ceil(BLOCK_LEN)
}
