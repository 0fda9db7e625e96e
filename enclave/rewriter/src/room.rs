//! Where in the area trampolines go.

use alloc::vec::Vec;
use core::ops::Range;

use crate::Area;

/// Bytes of an area for each trampoline, which take 32 or 64.
pub(crate) const EACH: usize = 48;
/// Bytes beside that: from 0x9a00 to 0xce00 nothing is guarded.
pub(crate) const FIRST: usize = 0x3400;
/// A trampoline begins at a multiple of so many bytes.
const SLOT: usize = 32;
/// Bytes of the area that are looked at for a guarded trampoline.
const SPAN: usize = 128 << 10;

/// Opcodes that raise #UD in 64-bit mode, whatever follows them (SDM volume 2, A.3), rising. Some others of
/// the old ones have become prefixes (62, C4, C5, D5): should a processor give one of these a meaning, it must
/// go from here.
const UNDEFINED: [u8; 19] = [
    0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce,
    0xd4, 0xd6, 0xea,
];

/// The slots of an area.
pub(crate) struct Room {
    area: Area,
    used: Vec<bool>,
    /// All slots before this one are used.
    low: usize,
}

impl Room {
    pub(crate) fn new(area: Area) -> Self {
        Self { area, used: alloc::vec![false; area.size / SLOT], low: 0 }
    }

    /// Offset of `len` bytes that are free.
    pub(crate) fn find(&self, len: usize) -> Option<usize> {
        self.find_among(self.low..self.used.len(), len)
    }

    /// The same, so that the displacement of a jump there, which ends at `next`, has an undefined opcode
    /// as its second byte.
    pub(crate) fn find_guarded(&self, len: usize, next: u64) -> Option<usize> {
        // Distances and offsets in the area differ by this. What is farther away no jump reaches.
        let shift = i32::try_from(self.area.addr.wrapping_sub(next).cast_signed()).ok()?;
        let (shift, low) = (i64::from(shift), self.low * SLOT);
        let first = (shift + i64::try_from(low).ok()?) >> 16;
        let distances = (first..first + 3).flat_map(|high| {
            UNDEFINED.iter().map(move |&opcode| high << 16 | i64::from(opcode) << 8)
        });
        let slots = |distance: i64| {
            let offset = |distance: i64| usize::try_from(distance - shift).unwrap_or(0);
            let (start, end) = (offset(distance), offset(distance + 256));
            start.max(low).div_ceil(SLOT)..end.min(low + SPAN).div_ceil(SLOT)
        };
        distances.map(slots).find_map(|slots| self.find_among(slots, len))
    }

    /// Marks what was found as used.
    pub(crate) fn take(&mut self, offset: usize, len: usize) {
        let slots = offset / SLOT..(offset + len).div_ceil(SLOT);
        self.used.get_mut(slots).unwrap_or_default().fill(true);
        self.low += self.used.iter().skip(self.low).take_while(|&&used| used).count();
    }

    fn find_among(&self, mut first: Range<usize>, len: usize) -> Option<usize> {
        let free = |&first: &usize| {
            let slots = self.used.get(first..first + len.div_ceil(SLOT));
            slots.is_some_and(|slots| !slots.contains(&true))
        };
        first.find(free).map(|slot| slot * SLOT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undefined_opcodes_are_none_for_the_decoder() {
        let decode = |opcode| {
            let bytes = [opcode; 15];
            iced_x86::Decoder::new(64, &bytes, iced_x86::DecoderOptions::NONE).decode()
        };
        assert!(UNDEFINED.is_sorted());
        assert!(UNDEFINED.iter().all(|&opcode| decode(opcode).is_invalid()));
    }

    #[test]
    fn jumps_are_guarded_wherever_the_area_is() {
        let next = 0x7000_1234;
        for addr in [next - 0x1234_5000, next - 0x234, next + 0xdcc, next + 0x3333_0000] {
            let mut room = Room::new(Area { addr, size: 1 << 16 });
            let mut found = 0;
            while let Some(offset) = room.find_guarded(40, next) {
                let distance = (addr + offset as u64).wrapping_sub(next);
                assert!(UNDEFINED.contains(&distance.to_le_bytes()[1]), "{distance:#x}");
                room.take(offset, 40);
                found += 1;
            }
            // Every opcode stands for 256 bytes, of which a trampoline takes 64; each run of opcodes
            // may lose its end.
            assert!((19 * 4 - 19..=19 * 4 + 19).contains(&found), "{found}");
        }
    }

    #[test]
    fn all_of_the_area_is_used_once() {
        let mut room = Room::new(Area { addr: 0x1000, size: 8 * SLOT + 31 });
        let mut taken = Vec::new();
        for len in [33, 1, 64, 64, 32, 32] {
            taken.extend(room.find(len));
            taken.last().into_iter().for_each(|&offset| room.take(offset, len));
        }
        assert_eq!(taken, [0, 64, 96, 160, 224]);
        assert_eq!(room.find(1), None);
    }
}
