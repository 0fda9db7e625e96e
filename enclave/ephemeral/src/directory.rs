//! The entries of a directory, by name and in an order that stays.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::Ino;

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Node.
    pub ino: Ino,
    /// Name.
    pub name: Vec<u8>,
    /// Where a listing goes on behind it.
    pub next: u64,
}

/// The entries of a directory, `.` and `..` not among them.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    by_name: BTreeMap<Vec<u8>, (Ino, u64)>,
    /// In the order in which they were made: a place is never used twice, so that a listing that
    /// is under way neither repeats nor misses what stays.
    by_place: BTreeMap<u64, Vec<u8>>,
    last: u64,
}

/// The first place: those before it are for `.` and `..`.
pub(crate) const FIRST_PLACE: u64 = 2;

impl Directory {
    pub(crate) fn get(&self, name: &[u8]) -> Option<Ino> {
        self.by_name.get(name).map(|(ino, _)| *ino)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Adds a name, or lets it mean another node; returns the one that it meant.
    pub(crate) fn put(&mut self, name: &[u8], ino: Ino) -> Option<Ino> {
        if let Some((old, _)) = self.by_name.get_mut(name) {
            return Some(core::mem::replace(old, ino));
        }
        let place = self.last.max(FIRST_PLACE - 1) + 1;
        self.last = place;
        self.by_name.insert(name.to_vec(), (ino, place));
        self.by_place.insert(place, name.to_vec());
        None
    }

    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<Ino> {
        let (ino, place) = self.by_name.remove(name)?;
        self.by_place.remove(&place);
        Some(ino)
    }

    /// The entries at or behind a place.
    pub(crate) fn from(&self, place: u64) -> impl Iterator<Item = Entry> {
        self.by_place.range(place..).map(|(place, name)| Entry {
            ino: self.get(name).unwrap_or(0),
            name: name.clone(),
            next: place + 1,
        })
    }
}
