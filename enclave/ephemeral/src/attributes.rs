//! Permissions, owners, times and extended attributes.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    Error, FileSystem, Ino, Kind, Who,
    node::{Node, Time},
    tree::{SET_GROUP, weight},
};

/// All extended attributes of a node together, in bytes.
const ATTRIBUTES_MAX: usize = 64 << 10;

impl FileSystem {
    /// Changes permissions.
    ///
    /// # Errors
    ///
    /// [`Error::NotPermitted`] if it is somebody else's.
    pub fn set_mode(&mut self, ino: Ino, mode: u32, who: &Who) -> Result<(), Error> {
        let node = self.owned(ino, who)?;
        node.mode = mode & 0o7777;
        Ok(())
    }

    /// A node that `who` may change, which changes now.
    fn owned(&mut self, ino: Ino, who: &Who) -> Result<&mut Node, Error> {
        let node = self.node_mut(ino)?;
        if who.user != node.user && !who.privileged {
            return Err(Error::NotPermitted);
        }
        node.times.change = who.now;
        Ok(node)
    }

    /// Changes owner and group, where they are given.
    ///
    /// # Errors
    ///
    /// [`Error::NotPermitted`].
    pub fn set_owner(
        &mut self,
        ino: Ino,
        user: Option<u32>,
        group: Option<u32>,
        who: &Who,
    ) -> Result<(), Error> {
        let node = self.owned(ino, who)?;
        let same = user.is_none_or(|user| user == node.user)
            && group.is_none_or(|group| group == node.group || group == who.group);
        if !same && !who.privileged {
            return Err(Error::NotPermitted);
        }
        node.user = user.unwrap_or(node.user);
        node.group = group.unwrap_or(node.group);
        if node.kind() != Kind::Directory {
            node.mode &= !0o4000 & !(node.mode << 7 & SET_GROUP);
        }
        Ok(())
    }

    /// Changes times, where they are given. `now` says that both are the present: who may write may
    /// do that, others must own the node.
    ///
    /// # Errors
    ///
    /// [`Error::NotPermitted`], [`Error::Denied`].
    pub fn set_times(
        &mut self,
        ino: Ino,
        access: Option<Time>,
        modify: Option<Time>,
        now: bool,
        who: &Who,
    ) -> Result<(), Error> {
        let owner = self.node(ino)?.user == who.user || who.privileged;
        if !owner && !now {
            return Err(Error::NotPermitted);
        }
        if !owner {
            self.check(ino, who, 2)?;
        }
        let times = &mut self.node_mut(ino)?.times;
        times.access = access.unwrap_or(times.access);
        times.modify = modify.unwrap_or(times.modify);
        times.change = who.now;
        Ok(())
    }

    /// A node was read.
    pub fn touch(&mut self, ino: Ino, now: Time) {
        if let Ok(node) = self.node_mut(ino) {
            node.times.access = now;
        }
    }

    /// The extended attributes of a node.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub fn extended(&self, ino: Ino) -> Result<&BTreeMap<Vec<u8>, Vec<u8>>, Error> {
        Ok(&self.node(ino)?.attributes)
    }

    /// Sets an extended attribute, or takes it away; `exists` says whether it must be there.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`], [`Error::NoAttribute`], [`Error::NoSpace`].
    pub fn set_extended(
        &mut self,
        ino: Ino,
        name: &[u8],
        value: Option<&[u8]>,
        exists: Option<bool>,
        who: &Who,
    ) -> Result<(), Error> {
        let left = self.limit.saturating_sub(self.used);
        let node = self.node_mut(ino)?;
        match (exists, node.attributes.contains_key(name)) {
            (Some(false), true) => return Err(Error::Exists),
            (Some(true), false) => return Err(Error::NoAttribute),
            _ => {}
        }
        let before = weight(node);
        let old = match value {
            Some(value) => node.attributes.insert(name.to_vec(), value.to_vec()),
            None => node.attributes.remove(name),
        };
        let after = weight(node);
        let bytes: usize = node.attributes.values().map(Vec::len).sum();
        if after > before && (after - before > left || bytes > ATTRIBUTES_MAX) {
            match old {
                Some(old) => node.attributes.insert(name.to_vec(), old),
                None => node.attributes.remove(name),
            };
            return Err(Error::NoSpace);
        }
        node.times.change = who.now;
        self.used = self.used + after - before;
        Ok(())
    }
}
