//! Decoding at any offset, and reading backwards by consensus.

use iced_x86::{ConstantOffsets, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use crate::{Code, length::quick_len};

/// Longest instruction in bytes.
pub(crate) const INSN_MAX: usize = 15;

/// Runs that must meet an offset before it is taken for a boundary.
const AGREED: u32 = 20;

/// A decoded instruction and its place.
#[derive(Clone, Copy)]
pub(crate) struct Insn {
    pub(crate) insn: Instruction,
    pub(crate) offset: usize,
    /// Where its displacement is, if that is relative to `rip`.
    pub(crate) displacement: ConstantOffsets,
}

impl Insn {
    pub(crate) fn end(&self) -> usize {
        self.offset + self.insn.len()
    }

    /// One of its operands is `rax`, or a part of it.
    pub(crate) fn names_rax(&self) -> bool {
        (0..self.insn.op_count()).any(|op| {
            self.insn.op_kind(op) == OpKind::Register && is_rax(self.insn.op_register(op))
        })
    }
}

/// Decodes the code of one mapping.
pub(crate) struct Reader<'a> {
    pub(crate) code: Code<'a>,
    decoder: Decoder<'a>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(code: Code<'a>) -> Self {
        let decoder = Decoder::with_ip(64, code.bytes, code.addr, DecoderOptions::NONE);
        Self { code, decoder }
    }

    /// The instruction at `offset`, unless the bytes there are none.
    pub(crate) fn decode(&mut self, offset: usize) -> Option<Insn> {
        self.decoder.set_position(offset).ok()?;
        self.decoder.set_ip(self.code.at(offset));
        let insn = self.decoder.decode();
        if insn.is_invalid() {
            return None;
        }
        let displacement = if insn.is_ip_rel_memory_operand() {
            self.decoder.get_constant_offsets(&insn)
        } else {
            ConstantOffsets::default()
        };
        Some(Insn { insn, offset, displacement })
    }

    /// Length of the instruction at `offset`, 0 when it is none or none that programs use.
    fn usual_len(&mut self, offset: usize) -> u8 {
        quick_len(self.code.from(offset)).unwrap_or_else(|| self.decoded_len(offset))
    }

    /// The same by decoding it.
    fn decoded_len(&mut self, offset: usize) -> u8 {
        if self.decoder.set_position(offset).is_err() {
            return 0;
        }
        let insn = self.decoder.decode();
        if insn.is_invalid() || is_unusual(insn.mnemonic()) {
            return 0;
        }
        u8::try_from(insn.len()).unwrap_or(0)
    }
}

/// `rax` or a part of it.
pub(crate) const fn is_rax(register: Register) -> bool {
    matches!(register, Register::RAX | Register::EAX | Register::AX | Register::AL | Register::AH)
}

/// Instructions that hint at data.
const fn is_unusual(mnemonic: Mnemonic) -> bool {
    use Mnemonic as M;
    matches!(
        mnemonic,
        M::In
            | M::Out
            | M::Insb
            | M::Insd
            | M::Insw
            | M::Outsb
            | M::Outsd
            | M::Outsw
            | M::Cli
            | M::Sti
            | M::Iretd
            | M::Iretq
            | M::Iret
            | M::Retf
            | M::Enter
            | M::Int1
            | M::Sysexit
            | M::Sysret
            | M::Sysretq
    )
}

/// What lies before an offset: decoding from many begins soon runs into the real instructions, so
/// the boundaries that most runs meet are the real ones.
pub(crate) struct Backward {
    first: usize,
    /// Bytes that are looked at.
    len: usize,
    lens: [u8; Backward::WINDOW],
    /// How many runs come by, for each offset from `first` to the end.
    weights: [u32; Backward::WINDOW + 1],
}

impl Backward {
    /// Most bytes that can be looked at.
    pub(crate) const WINDOW: usize = 160;

    /// Looks at up to `window` bytes before `end`.
    pub(crate) fn new(reader: &mut Reader<'_>, end: usize, window: usize) -> Self {
        let first = end.saturating_sub(window.min(Self::WINDOW));
        let len = end - first;
        let (mut lens, mut weights) = ([0; Self::WINDOW], [1; Self::WINDOW + 1]);
        weights[len] = 0;
        for index in 0..len {
            lens[index] = reader.usual_len(first + index);
            let next = index + usize::from(lens[index]);
            if next > index && next <= len {
                weights[next] += weights[index];
            }
        }
        Self { first, len, lens, weights }
    }

    /// Nearly all runs meet `offset` as a boundary.
    pub(crate) fn agrees(&self, offset: usize) -> bool {
        let (met, passed) = self.votes(offset);
        met >= AGREED && met >= 4 * passed
    }

    /// Most runs meet `offset` as a boundary.
    pub(crate) fn leads(&self, offset: usize) -> bool {
        let (met, passed) = self.votes(offset);
        met > passed
    }

    fn lens(&self) -> &[u8] {
        &self.lens[..self.len]
    }

    fn weights(&self) -> &[u32] {
        &self.weights[..=self.len]
    }

    /// Runs that meet `offset` as a boundary, and runs that pass over it.
    fn votes(&self, offset: usize) -> (u32, u32) {
        let Some(index) = offset.checked_sub(self.first) else { return (0, 0) };
        let weight = |index: usize| self.weights().get(index).copied().unwrap_or(0);
        let passes = |&other: &usize| {
            other + usize::from(self.lens().get(other).copied().unwrap_or(0)) > index
        };
        let others = index.saturating_sub(INSN_MAX)..index;
        (weight(index), others.filter(passes).map(weight).sum())
    }

    /// The instruction that ends at `end`, by majority.
    pub(crate) fn before(&self, end: usize) -> Option<usize> {
        let low = end.saturating_sub(INSN_MAX).max(self.first);
        let weighted = (low..end).filter_map(|offset| {
            let index = offset - self.first;
            let len = usize::from(*self.lens().get(index)?);
            (len != 0 && offset + len == end).then_some((*self.weights().get(index)?, offset))
        });
        weighted.max().map(|(_, offset)| offset)
    }

    /// Offsets of the instructions before `end`, the nearest first, as far as most runs agree.
    pub(crate) fn chain(&self, end: usize) -> impl Iterator<Item = usize> + '_ {
        core::iter::successors(self.before(end), |&offset| self.before(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees(bytes: &[u8]) -> bool {
        let mut reader = Reader::new(Code { bytes, addr: 0x1000 });
        quick_len(bytes).is_none_or(|len| len == reader.decoded_len(0))
    }

    #[test]
    fn quick_lengths_are_those_of_the_decoder() {
        let prefixes: [&[u8]; 7] =
            [&[], &[0x66], &[0x48], &[0x41], &[0x66, 0x41], &[0x66, 0x4c], &[0x0f]];
        for prefix in prefixes {
            for (opcode, modrm, sib) in (0..=255).flat_map(|opcode| {
                (0..=255).flat_map(move |modrm| [0, 0x25, 0x64].map(|sib| (opcode, modrm, sib)))
            }) {
                let mut bytes = prefix.to_vec();
                bytes.extend([opcode, modrm, sib, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
                assert!(agrees(&bytes), "{bytes:x?}");
                assert!(agrees(&bytes[..4]), "{:x?}", &bytes[..4]);
            }
        }
    }
}
