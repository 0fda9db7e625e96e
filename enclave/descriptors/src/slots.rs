//! Numbered places, of which the lowest free one is given out next.

use alloc::vec::Vec;

/// Numbered places.
#[derive(Debug)]
pub struct Slots<T> {
    slots: Vec<Option<T>>,
    /// No number below is free.
    full_below: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slots<T> {
    /// All places free.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: Vec::new(), full_below: 0 }
    }

    /// What has this number.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&T> {
        self.slots.get(at)?.as_ref()
    }

    /// What has this number, to be changed.
    #[must_use]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.slots.get_mut(at)?.as_mut()
    }

    /// One more than the largest number that was ever in use.
    #[must_use]
    pub fn end(&self) -> usize {
        self.slots.len()
    }

    /// The lowest free number that is at least `from`.
    #[must_use]
    pub fn lowest_free(&mut self, from: usize) -> usize {
        let start = from.max(self.full_below);
        let free = (start..self.slots.len()).find(|&at| self.slots[at].is_none());
        let free = free.unwrap_or(self.slots.len().max(start));
        if from <= self.full_below {
            self.full_below = free;
        }
        free
    }

    /// Gives something a number, and returns what had it before.
    pub fn put(&mut self, at: usize, value: T) -> Option<T> {
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        self.slots[at].replace(value)
    }

    /// Frees a number, and returns what had it.
    pub fn take(&mut self, at: usize) -> Option<T> {
        let value = self.slots.get_mut(at)?.take();
        self.full_below = self.full_below.min(at);
        value
    }

    /// The numbers in use with what has them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.as_ref()?)))
    }
}
