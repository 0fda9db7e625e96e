//! The blocks of a file: a tree of 64-fold nodes, as high as the largest index needs.

use alloc::{boxed::Box, vec};
use core::ops::Range;

/// Bytes of a block.
pub const BLOCK: usize = 4096;
const WAYS: usize = 64;
/// Bits of an index that one level uses.
const BITS: u32 = 6;

/// The bytes of a block.
pub(crate) type Block = [u8; BLOCK];

#[derive(Debug)]
enum Tree {
    Empty,
    Leaf(Box<Block>),
    Inner(Box<[Tree; WAYS]>),
}

/// Blocks by index; those that were never written are holes.
#[derive(Debug)]
pub(crate) struct Blocks {
    root: Tree,
    /// Levels above the leaves.
    height: u32,
    count: u64,
}

/// A block of zeros; made on the heap, where it stays.
fn zeros() -> Box<Block> {
    let block: Box<[u8]> = vec![0; BLOCK].into_boxed_slice();
    // The length is that of a block.
    block.try_into().unwrap_or_else(|_| Box::new([0; BLOCK]))
}

/// The way that leads to `index` at a level.
fn way(index: u64, level: u32) -> usize {
    let way = index >> (BITS * (level - 1)) & (WAYS as u64 - 1);
    usize::try_from(way).unwrap_or(0)
}

/// Blocks below a node of this level.
fn span(level: u32) -> u64 {
    1_u64.checked_shl(BITS * level).unwrap_or(u64::MAX)
}

impl Default for Blocks {
    fn default() -> Self {
        Self { root: Tree::Empty, height: 0, count: 0 }
    }
}

impl Blocks {
    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The block with this index, unless it is a hole.
    pub(crate) fn get(&self, index: u64) -> Option<&Block> {
        if index >= span(self.height) {
            return None;
        }
        let mut tree = &self.root;
        let mut level = self.height;
        loop {
            match tree {
                Tree::Empty => return None,
                Tree::Leaf(block) => return Some(block),
                Tree::Inner(ways) => tree = &ways[way(index, level)],
            }
            level -= 1;
        }
    }

    /// The block with this index; a hole becomes a block of zeros.
    pub(crate) fn make(&mut self, index: u64) -> &mut Block {
        while index >= span(self.height) {
            let below = core::mem::replace(&mut self.root, Tree::Empty);
            if !matches!(below, Tree::Empty) {
                let mut ways = Box::new([const { Tree::Empty }; WAYS]);
                ways[0] = below;
                self.root = Tree::Inner(ways);
            }
            self.height += 1;
        }
        let mut tree = &mut self.root;
        for level in (1..=self.height).rev() {
            if matches!(tree, Tree::Empty) {
                *tree = Tree::Inner(Box::new([const { Tree::Empty }; WAYS]));
            }
            let Tree::Inner(ways) = tree else { unreachable!("leaves are at level zero only") };
            tree = &mut ways[way(index, level)];
        }
        if matches!(tree, Tree::Empty) {
            self.count += 1;
            *tree = Tree::Leaf(zeros());
        }
        let Tree::Leaf(block) = tree else { unreachable!("inner nodes are above level zero") };
        block
    }

    /// Makes holes of the blocks in a range; returns how many there were.
    pub(crate) fn remove(&mut self, range: Range<u64>) -> u64 {
        let removed = remove(&mut self.root, self.height, 0, &range);
        self.count -= removed;
        removed
    }

    /// The first block at or behind `index` that is there.
    pub(crate) fn next(&self, index: u64) -> Option<u64> {
        next(&self.root, self.height, 0, index)
    }

    /// How many blocks of a range are there.
    pub(crate) fn count_in(&self, range: Range<u64>) -> u64 {
        let mut count = 0;
        let mut at = range.start;
        while let Some(found) = self.next(at).filter(|found| *found < range.end) {
            count += 1;
            at = found + 1;
        }
        count
    }
}

fn remove(tree: &mut Tree, level: u32, first: u64, range: &Range<u64>) -> u64 {
    let end = first.saturating_add(span(level));
    if first >= range.end || end <= range.start {
        return 0;
    }
    let removed = match tree {
        Tree::Empty => return 0,
        Tree::Leaf(_) => {
            *tree = Tree::Empty;
            return 1;
        }
        Tree::Inner(ways) => {
            let below = span(level - 1);
            let each = (0..).zip(ways.iter_mut());
            each.map(|(way, tree)| remove(tree, level - 1, first + way * below, range)).sum()
        }
    };
    if let Tree::Inner(ways) = tree
        && ways.iter().all(|tree| matches!(tree, Tree::Empty))
    {
        *tree = Tree::Empty;
    }
    removed
}

fn next(tree: &Tree, level: u32, first: u64, from: u64) -> Option<u64> {
    if first.saturating_add(span(level)) <= from {
        return None;
    }
    match tree {
        Tree::Empty => None,
        Tree::Leaf(_) => Some(first),
        Tree::Inner(ways) => {
            let below = span(level - 1);
            let mut each = (0..).zip(ways.iter());
            each.find_map(|(way, tree)| next(tree, level - 1, first + way * below, from))
        }
    }
}
