//! Names: making, removing and moving them.

use crate::{
    Error, FileSystem, Ino, Kind, ROOT, Who,
    directory::Directory,
    node::{Body, Node, Time},
    tree::{Replace, SET_GROUP},
};

const STICKY: u32 = 0o1000;

impl FileSystem {
    /// The entries of a directory that may be changed: it was not removed, and `who` may write.
    fn writable(&self, directory: Ino, who: &Who) -> Result<(), Error> {
        let node = self.node(directory)?;
        match node.body {
            Body::Directory { .. } if node.links == 0 => Err(Error::NotFound),
            Body::Directory { .. } if !node.allows(who, 3) => Err(Error::Denied),
            Body::Directory { .. } => Ok(()),
            _ => Err(Error::NotDirectory),
        }
    }

    fn entries(&self, directory: Ino) -> Result<&Directory, Error> {
        match &self.node(directory)?.body {
            Body::Directory { entries, .. } => Ok(entries),
            _ => Err(Error::NotDirectory),
        }
    }

    /// The entries of a directory, which change now.
    fn change(&mut self, directory: Ino, now: Time) -> Result<&mut Directory, Error> {
        let node = self.node_mut(directory)?;
        (node.times.modify, node.times.change) = (now, now);
        match &mut node.body {
            Body::Directory { entries, .. } => Ok(entries),
            _ => Err(Error::NotDirectory),
        }
    }

    /// Makes a node with a name.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`], [`Error::NoSpace`], [`Error::Denied`], [`Error::NotFound`].
    pub fn create(
        &mut self,
        parent: Ino,
        name: &[u8],
        kind: Kind,
        target: &[u8],
        mode: u32,
        who: &Who,
    ) -> Result<Ino, Error> {
        if self.entries(parent)?.get(name).is_some() {
            return Err(Error::Exists);
        }
        self.writable(parent, who)?;
        self.room_for_name()?;
        let ino = self.make(kind, target, mode, who)?;
        let (parent_mode, parent_group) = {
            let node = self.node(parent)?;
            (node.mode, node.group)
        };
        if parent_mode & SET_GROUP != 0 {
            let node = self.node_mut(ino)?;
            node.group = parent_group;
            node.mode |= if kind == Kind::Directory { SET_GROUP } else { 0 };
        }
        self.attach(parent, name, ino, who.now)?;
        Ok(ino)
    }

    fn room_for_name(&self) -> Result<(), Error> {
        if self.names < self.limit.max(16) { Ok(()) } else { Err(Error::NoSpace) }
    }

    /// Gives a node a name that is free.
    fn attach(&mut self, parent: Ino, name: &[u8], ino: Ino, now: Time) -> Result<(), Error> {
        self.change(parent, now)?.put(name, ino);
        self.names += 1;
        self.settle(parent, ino, true)
    }

    /// Counts the links of a node that got a name in a directory, or lost it.
    fn settle(&mut self, directory: Ino, ino: Ino, named: bool) -> Result<(), Error> {
        let node = self.node_mut(ino)?;
        if let Body::Directory { parent, .. } = &mut node.body {
            *parent = directory;
            node.links = node.links.max(2);
            let above = self.node_mut(directory)?;
            above.links = if named { above.links + 1 } else { above.links - 1 };
        } else {
            node.links = if named { node.links + 1 } else { node.links - 1 };
        }
        Ok(())
    }

    /// Gives a node another name.
    ///
    /// # Errors
    ///
    /// [`Error::NotPermitted`] for directories, and as [`Self::create`].
    pub fn link(&mut self, ino: Ino, parent: Ino, name: &[u8], who: &Who) -> Result<(), Error> {
        if self.node(ino)?.kind() == Kind::Directory {
            return Err(Error::NotPermitted);
        }
        if self.entries(parent)?.get(name).is_some() {
            return Err(Error::Exists);
        }
        self.writable(parent, who)?;
        self.room_for_name()?;
        self.attach(parent, name, ino, who.now)?;
        self.node_mut(ino)?.times.change = who.now;
        Ok(())
    }

    /// Whether `who` may take a name away: a sticky directory keeps what is somebody else's.
    fn removable(&self, parent: Ino, ino: Ino, who: &Who) -> Result<(), Error> {
        self.writable(parent, who)?;
        let (directory, node) = (self.node(parent)?, self.node(ino)?);
        let kept = directory.mode & STICKY != 0 && ![directory.user, node.user].contains(&who.user);
        if kept && !who.privileged { Err(Error::NotPermitted) } else { Ok(()) }
    }

    /// Takes a name away; the node lives on as long as it has names or users. With `directory`,
    /// it must be an empty directory, otherwise none.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::IsDirectory`], [`Error::NotDirectory`], [`Error::NotEmpty`],
    /// [`Error::Denied`], [`Error::NotPermitted`].
    pub fn unlink(
        &mut self,
        parent: Ino,
        name: &[u8],
        directory: bool,
        who: &Who,
    ) -> Result<(), Error> {
        let ino = self.entries(parent)?.get(name).ok_or(Error::NotFound)?;
        self.removable(parent, ino, who)?;
        match &self.node(ino)?.body {
            Body::Directory { .. } if !directory => return Err(Error::IsDirectory),
            Body::Directory { entries, .. } if !entries.is_empty() => return Err(Error::NotEmpty),
            Body::Directory { .. } => {}
            _ if directory => return Err(Error::NotDirectory),
            _ => {}
        }
        self.change(parent, who.now)?.remove(name);
        self.names -= 1;
        self.bury(parent, ino, who.now)
    }

    /// A node has lost a name for good.
    fn bury(&mut self, parent: Ino, ino: Ino, now: Time) -> Result<(), Error> {
        self.settle(parent, ino, false)?;
        let node = self.node_mut(ino)?;
        node.times.change = now;
        if node.kind() == Kind::Directory {
            node.links = 0;
        }
        self.reap(ino);
        Ok(())
    }

    /// Whether a directory is `ancestor` or below it.
    fn is_below(&self, mut directory: Ino, ancestor: Ino) -> Result<bool, Error> {
        while directory != ancestor {
            if directory == ROOT {
                return Ok(false);
            }
            directory = match &self.node(directory)?.body {
                Body::Directory { parent, .. } => *parent,
                _ => return Err(Error::NotDirectory),
            };
        }
        Ok(true)
    }

    /// Moves a name.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Exists`], [`Error::Invalid`] if a directory would come below
    /// itself, [`Error::IsDirectory`], [`Error::NotDirectory`], [`Error::NotEmpty`],
    /// [`Error::Denied`], [`Error::NotPermitted`].
    pub fn rename(
        &mut self,
        (from, old): (Ino, &[u8]),
        (to, new): (Ino, &[u8]),
        replace: Replace,
        who: &Who,
    ) -> Result<(), Error> {
        let ino = self.entries(from)?.get(old).ok_or(Error::NotFound)?;
        let target = self.entries(to)?.get(new);
        match (replace, target) {
            (Replace::No, Some(_)) => return Err(Error::Exists),
            (Replace::Exchange, None) => return Err(Error::NotFound),
            _ => {}
        }
        self.removable(from, ino, who)?;
        self.writable(to, who)?;
        let moves_directory = self.node(ino)?.kind() == Kind::Directory;
        if moves_directory && self.is_below(to, ino)? {
            return Err(Error::Invalid);
        }
        if target == Some(ino) {
            return Ok(());
        }
        if let Some(target) = target {
            self.removable(to, target, who)?;
            if replace == Replace::Exchange {
                return self.exchange((from, old, ino), (to, new, target), who.now);
            }
            self.may_replace(moves_directory, target)?;
        }
        self.change(from, who.now)?.remove(old);
        self.settle(from, ino, false)?;
        let replaced = self.change(to, who.now)?.put(new, ino);
        self.settle(to, ino, true)?;
        if let Some(replaced) = replaced {
            self.names -= 1;
            self.bury(to, replaced, who.now)?;
        }
        self.node_mut(ino)?.times.change = who.now;
        Ok(())
    }

    fn may_replace(&self, by_directory: bool, target: Ino) -> Result<(), Error> {
        match &self.node(target)?.body {
            Body::Directory { .. } if !by_directory => Err(Error::IsDirectory),
            Body::Directory { entries, .. } if !entries.is_empty() => Err(Error::NotEmpty),
            Body::Directory { .. } => Ok(()),
            _ if by_directory => Err(Error::NotDirectory),
            _ => Ok(()),
        }
    }

    fn exchange(
        &mut self,
        (from, old, ino): (Ino, &[u8], Ino),
        (to, new, target): (Ino, &[u8], Ino),
        now: Time,
    ) -> Result<(), Error> {
        let directory = |node: &Node| node.kind() == Kind::Directory;
        if directory(self.node(target)?) && self.is_below(from, target)? {
            return Err(Error::Invalid);
        }
        self.change(from, now)?.put(old, target);
        self.change(to, now)?.put(new, ino);
        self.settle(from, ino, false)?;
        self.settle(to, target, false)?;
        self.settle(to, ino, true)?;
        self.settle(from, target, true)?;
        self.node_mut(ino)?.times.change = now;
        self.node_mut(target)?.times.change = now;
        Ok(())
    }
}
