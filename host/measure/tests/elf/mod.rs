//! ELF files to be laid out.

use hostcall_abi::layout::IMAGE_BASE;
use measure::PAGE;

const LOAD: u32 = 1;
pub(crate) const R: u32 = 4;
pub(crate) const RW: u32 = 6;
pub(crate) const RX: u32 = 5;

/// A program header and the data that it points to.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) address: u64,
    pub(crate) data: Vec<u8>,
    pub(crate) memory: u64,
}

pub(crate) fn segment(flags: u32, address: u64, len: usize, memory: u64) -> Segment {
    let data = (0..len).map(|i| (i / 7) as u8 | 1).collect();
    Segment { kind: LOAD, flags, address: IMAGE_BASE + address, data, memory }
}

/// A program for x86-64 with fixed addresses.
pub(crate) fn elf(entry: u64, segments: &[Segment]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    let mut words = |words: &[u64]| file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    words(&[entry, 64, 0, 0x0038_0040_0000_0000, segments.len() as u64 | 64 << 16]);
    let mut offset = 64 + 56 * segments.len() as u64;
    for Segment { kind, flags, address, data, memory } in segments {
        let kind = u64::from(*kind) | u64::from(*flags) << 32;
        words(&[kind, offset, *address, 0, data.len() as u64, *memory, PAGE]);
        offset += data.len() as u64;
    }
    segments.iter().for_each(|segment| file.extend(&segment.data));
    file
}
