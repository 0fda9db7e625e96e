//! Record locks of one file (fcntl(2)).

use alloc::vec::Vec;
use core::ops::Range;

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordLock<O> {
    /// Whose it is.
    pub owner: O,
    /// Its bytes; `u64::MAX` as the end is that of the file, wherever it will be.
    pub bytes: Range<u64>,
    /// Whether it is for writing.
    pub exclusive: bool,
}

/// The record locks of one file.
#[derive(Debug)]
pub struct RecordLocks<O>(Vec<RecordLock<O>>);

impl<O> Default for RecordLocks<O> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<O: Copy + PartialEq> RecordLocks<O> {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first of somebody else's that forbids this one.
    #[must_use]
    pub fn conflict(&self, wanted: &RecordLock<O>) -> Option<&RecordLock<O>> {
        let forbids = |held: &&RecordLock<O>| {
            held.owner != wanted.owner
                && (held.exclusive || wanted.exclusive)
                && held.bytes.start < wanted.bytes.end
                && wanted.bytes.start < held.bytes.end
        };
        self.0.iter().filter(forbids).min_by_key(|held| held.bytes.start)
    }

    /// Takes a lock that nothing forbids, in place of what its owner has there.
    pub fn set(&mut self, lock: RecordLock<O>) {
        self.clear(lock.owner, &lock.bytes);
        self.0.push(lock);
    }

    /// Gives up what an owner has of some bytes.
    pub fn clear(&mut self, owner: O, bytes: &Range<u64>) {
        let mut kept = Vec::new();
        self.0.retain(|held| {
            let apart = held.bytes.end <= bytes.start || bytes.end <= held.bytes.start;
            if held.owner != owner || apart {
                return true;
            }
            let before = held.bytes.start..bytes.start;
            let behind = bytes.end..held.bytes.end;
            for part in [before, behind] {
                if !part.is_empty() {
                    kept.push(RecordLock { bytes: part, ..*held });
                }
            }
            false
        });
        self.0.append(&mut kept);
    }

    /// Gives up all that an owner has.
    pub fn release(&mut self, owner: O) {
        self.0.retain(|held| held.owner != owner);
    }
}
