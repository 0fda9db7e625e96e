//! Which of some addresses could be the target of a direct branch nearby: every byte counts as the
//! begin of one.

use alloc::vec::Vec;
use core::ops::Range;

use memchr::memchr3_iter;

use crate::Code;

/// How far away branches with a long displacement are looked for.
const REACH: usize = 32 << 10;
/// How far away branches with a short displacement can be.
const SHORT_REACH: usize = 130;
/// Bits of the filter, a power of two.
const FILTER_BITS: usize = 1 << 15;

/// Addresses asked about, as offsets; then those of them that could be targets.
#[derive(Default)]
pub(crate) struct Queries {
    offsets: Vec<usize>,
}

/// The answers.
pub(crate) struct Targets {
    hits: Vec<usize>,
}

impl Targets {
    /// Whether a branch may lead to `offset`, which must have been asked.
    pub(crate) fn contains(&self, offset: usize) -> bool {
        self.hits.binary_search(&offset).is_ok()
    }
}

impl Queries {
    pub(crate) fn ask(&mut self, offset: usize) {
        self.offsets.push(offset);
    }

    /// Scans the code around all offsets. `moved` are targets of branches that were moved out of
    /// this code earlier.
    pub(crate) fn answer(mut self, code: &Code<'_>, moved: &[u64]) -> Targets {
        self.offsets.sort_unstable();
        self.offsets.dedup();
        let mut hits: Vec<usize> = self
            .offsets
            .iter()
            .copied()
            .filter(|&offset| {
                has_short_branch(code, offset) || moved.binary_search(&code.at(offset)).is_ok()
            })
            .collect();
        let filter = Filter::new(&self.offsets);
        for window in windows(&self.offsets, code.bytes.len()) {
            long_branches(code, window, |target| {
                if filter.may_contain(target) && self.offsets.binary_search(&target).is_ok() {
                    hits.push(target);
                }
            });
        }
        hits.sort_unstable();
        Targets { hits }
    }
}

/// A set that sometimes says yes by mistake, but fast.
struct Filter {
    words: Vec<u64>,
}

impl Filter {
    fn new(offsets: &[usize]) -> Self {
        let mut words = alloc::vec![0; FILTER_BITS / 64];
        for &offset in offsets {
            if let Some(word) = words.get_mut(offset % FILTER_BITS / 64) {
                *word |= 1u64 << (offset % 64);
            }
        }
        Self { words }
    }

    fn may_contain(&self, offset: usize) -> bool {
        self.words.get(offset % FILTER_BITS / 64).is_some_and(|word| word >> (offset % 64) & 1 != 0)
    }
}

/// Ranges of code within [`REACH`] of any of the sorted `offsets`, merged.
fn windows(offsets: &[usize], len: usize) -> Vec<Range<usize>> {
    let mut windows: Vec<Range<usize>> = Vec::new();
    for &offset in offsets {
        let (start, end) = (offset.saturating_sub(REACH), (offset + REACH).min(len));
        match windows.last_mut() {
            Some(last) if last.end >= start => last.end = end,
            _ => windows.push(start..end),
        }
    }
    windows
}

/// Whether `jmp`, `jcc`, `loop` or `jrcxz` with a short displacement could lead to `target`.
fn has_short_branch(code: &Code<'_>, target: usize) -> bool {
    let start = target.saturating_sub(SHORT_REACH);
    let end = (target + SHORT_REACH).min(code.bytes.len());
    let bytes = code.bytes.get(start..end).unwrap_or_default();
    bytes.windows(2).enumerate().any(|(index, pair)| {
        let &[opcode, displacement] = pair else { return false };
        let next =
            (start + index + 2).wrapping_add_signed(i8::from_le_bytes([displacement]).into());
        next == target && matches!(opcode, 0x70..=0x7f | 0xe0..=0xe3 | 0xeb)
    })
}

/// Calls `found` with the target of all that could be a `call`, `jmp` or `jcc` with a long
/// displacement in `window`.
fn long_branches(code: &Code<'_>, window: Range<usize>, mut found: impl FnMut(usize)) {
    let Some(bytes) = code.bytes.get(window.clone()) else { return };
    for index in memchr3_iter(0xe8, 0xe9, 0x0f, bytes) {
        let at = match bytes.get(index..index + 2) {
            Some(&[0x0f, second]) if second & 0xf0 == 0x80 => index + 2,
            Some(&[0xe8 | 0xe9, _]) => index + 1,
            _ => continue,
        };
        let Some(&[a, b, c, d]) = code.bytes.get(window.start + at..window.start + at + 4) else {
            continue;
        };
        if let Ok(displacement) = isize::try_from(i32::from_le_bytes([a, b, c, d])) {
            found((window.start + at + 4).wrapping_add_signed(displacement));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Origin;

    fn hits(bytes: &[u8], asked: &[usize]) -> Vec<usize> {
        let code = Code { bytes, addr: 0x1000, origin: Origin::File };
        let mut queries = Queries::default();
        asked.iter().for_each(|&offset| queries.ask(offset));
        queries.answer(&code, &[0x1001]).hits
    }

    #[test]
    fn branches_of_all_kinds_are_seen() {
        for opcode in [0x70, 0x7f, 0xe0, 0xe3, 0xeb] {
            assert_eq!(hits(&[opcode, 2, 0x90, 0x90, 0x90], &[3, 4]), [4]);
            assert_eq!(hits(&[0x90, 0x90, opcode, 0xfc], &[0, 3]), [0]);
        }
        for opcode in [&[0xe8][..], &[0xe9], &[0x0f, 0x80], &[0x0f, 0x8f]] {
            let mut bytes = opcode.to_vec();
            bytes.extend([3, 0, 0, 0, 0x90, 0x90, 0x90, 0x90]);
            let target = opcode.len() + 7;
            assert_eq!(hits(&bytes, &[target - 1, target, target + 1]), [target]);
        }
        assert_eq!(hits(&[0x90; 4], &[0, 1, 2]), [1], "moved branches count");
    }

    #[test]
    fn long_branches_are_seen_far_away() {
        let mut bytes = vec![0x90; 100_000];
        bytes[50_000..50_005].copy_from_slice(&[0xe9, 0, 0xc0, 0xff, 0xff]);
        assert_eq!(hits(&bytes, &[10, 50_005 - 0x4000]), [50_005 - 0x4000]);
    }
}
