//! Which of some addresses could be the target of a direct branch nearby: every byte counts as the
//! begin of one.

use alloc::vec::Vec;
use core::ops::Range;

use crate::Code;

/// How far away branches with a long displacement are looked for.
pub(crate) const REACH: usize = 32 << 10;
/// The same for those that may be missed, since what they lead to is guarded.
pub(crate) const NEAR: usize = 1 << 10;
/// How far away branches with a short displacement can be.
const SHORT_REACH: usize = 130;
/// Bytes that are looked at together.
const LANES: usize = 512;
/// Bits of the filter, a power of two.
const FILTER_BITS: usize = 1 << 18;

/// Offsets that a branch may lead to.
pub(crate) struct Targets {
    hits: Vec<usize>,
}

impl Targets {
    /// Those among `offsets`. The code around all of them is searched, as far as `reach`.
    pub(crate) fn among(
        offsets: impl Iterator<Item = usize>,
        code: &Code<'_>,
        reach: usize,
    ) -> Self {
        let mut offsets: Vec<usize> = offsets.collect();
        offsets.sort_unstable();
        offsets.dedup();
        let short = offsets.iter().copied().filter(|&offset| has_short_branch(code, offset));
        let mut hits: Vec<usize> = short.collect();
        let filter = Filter::new(&offsets);
        for window in windows(&offsets, reach, code.bytes.len()) {
            long_branches(code, window, |target| {
                if filter.may_contain(target) && offsets.binary_search(&target).is_ok() {
                    hits.push(target);
                }
            });
        }
        hits.sort_unstable();
        Self { hits }
    }

    /// Whether a branch may lead to `offset`, which must be one of those asked about.
    pub(crate) fn contains(&self, offset: usize) -> bool {
        self.hits.binary_search(&offset).is_ok()
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

/// Ranges of code within `reach` of any of the sorted `offsets`, merged.
fn windows(offsets: &[usize], reach: usize, len: usize) -> Vec<Range<usize>> {
    let mut windows: Vec<Range<usize>> = Vec::new();
    for &offset in offsets {
        let (start, end) = (offset.saturating_sub(reach), (offset + reach).min(len));
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
    // The displacement that leads to the target, modulo 256: bytes farther away than it can reach
    // may be counted too.
    let [mut wanted, ..] = target.wrapping_sub(start + 2).to_le_bytes();
    let displacements = bytes.get(1..).unwrap_or_default();
    // No early exit, so that this becomes vector code.
    let mut found = false;
    for (&opcode, &displacement) in bytes.iter().zip(displacements) {
        let branch = (opcode & 0xf0 == 0x70) | (opcode & 0xfc == 0xe0) | (opcode == 0xeb);
        found |= branch & (displacement == wanted);
        wanted = wanted.wrapping_sub(1);
    }
    found
}

/// Bytes that tell about [`LANES`] offsets: one before them, and all of a displacement behind.
type Window = [u8; LANES + 5];

/// Calls `found` with the target of all that could be a `call`, `jmp` or `jcc` with a long
/// displacement of less than 64 KiB in `window`.
fn long_branches(code: &Code<'_>, window: Range<usize>, mut found: impl FnMut(usize)) {
    for offset in window.step_by(LANES) {
        let whole = code.bytes.get(offset.wrapping_sub(1)..).and_then(<[u8]>::first_chunk);
        let copy;
        let bytes: &Window = match whole {
            Some(bytes) => bytes,
            None => {
                copy = copy_window(code, offset);
                &copy
            }
        };
        let flags = long_opcodes(bytes);
        // Where branches are cannot be foretold, so what has none is skipped without a jump.
        let (mut lanes, mut count) = ([0; LANES / 8 + 1], 0);
        for (lane, flags) in (0..).step_by(8).zip(flags.as_chunks().0) {
            if let Some(place) = lanes.get_mut(count) {
                *place = lane;
            }
            count += usize::from(u64::from_le_bytes(*flags) != 0);
        }
        for &lane in lanes.get(..count).unwrap_or_default() {
            let flags = flags.get(lane..).and_then(<[u8]>::first_chunk);
            let mut word = flags.copied().map_or(0, u64::from_le_bytes);
            while word != 0 {
                found(long_target(bytes, offset, lane + word.trailing_zeros() as usize / 8));
                word &= word - 1;
            }
        }
    }
}

/// The bytes from `offset - 1` on, at the begin and end of the code.
fn copy_window(code: &Code<'_>, offset: usize) -> Window {
    let mut window = [0x90; LANES + 5];
    let before = offset.checked_sub(1).and_then(|offset| code.bytes.get(offset));
    for (lane, &byte) in window.iter_mut().skip(1).zip(code.from(offset)) {
        *lane = byte;
    }
    if let (Some(first), Some(&byte)) = (window.first_mut(), before) {
        *first = byte;
    }
    window
}

/// One byte per lane: 1 when the last byte of an opcode stands there, with a displacement behind it
/// whose upper half is all zeroes or all ones.
fn long_opcodes(bytes: &Window) -> [u8; LANES] {
    // Lengths that are known make this vector code.
    core::array::from_fn(|lane| {
        let [before, opcode, third, fourth] =
            [0, 1, 4, 5].map(|at| bytes.get(lane + at).copied().unwrap_or(0));
        let jump = (opcode & 0xfe == 0xe8) | ((before == 0x0f) & (opcode & 0xf0 == 0x80));
        let near = (third == fourth) & (fourth.wrapping_add(1) < 2);
        u8::from(jump & near)
    })
}

/// Offset that the branch leads to whose opcode ends at `lane`.
fn long_target(window: &Window, offset: usize, lane: usize) -> usize {
    let low = match window.get(lane + 2..lane + 6) {
        Some(&[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]),
        _ => 0,
    };
    (offset + lane + 5).wrapping_add_signed(isize::try_from(low).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(bytes: &[u8], asked: &[usize]) -> Vec<usize> {
        let code = Code { bytes, addr: 0x1000 };
        Targets::among(asked.iter().copied(), &code, REACH).hits
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
    }

    #[test]
    fn long_branches_are_seen_far_away() {
        let mut bytes = vec![0x90; 100_000];
        bytes[50_000..50_005].copy_from_slice(&[0xe9, 0, 0xc0, 0xff, 0xff]);
        assert_eq!(hits(&bytes, &[10, 50_005 - 0x4000]), [50_005 - 0x4000]);
    }
}
