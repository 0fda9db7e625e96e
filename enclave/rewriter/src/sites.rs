//! Finds the `syscall` instructions of a mapping, without decoding all of it.

use alloc::vec::Vec;
use core::ops::Range;

use iced_x86::{Code as Opcode, Mnemonic, OpKind, Register};
use memchr::memmem::Finder;

use crate::decode::{Backward, Insn, Reader, is_rax};
use crate::relocate::condition;
use crate::{Code, room};

/// The instruction.
pub(crate) const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// System call numbers are below this.
const NUMBER_MAX: u32 = 1024;
/// Bytes before a candidate that tell whether it is an instruction.
const CONTEXT: usize = 40;

/// The sites of a mapping or a part of it, from [`scan`] or [`Parts`](crate::Parts).
#[derive(Clone, Debug, Default)]
pub struct Sites {
    /// The part, as offsets: nothing is changed around it.
    pub(crate) part: Range<usize>,
    /// Offsets, rising.
    pub(crate) offsets: Vec<usize>,
    /// Candidates that weren't confirmed.
    pub(crate) unconfirmed: usize,
}

impl Sites {
    /// Nothing was found.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Number of sites.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Candidates that weren't taken for instructions.
    #[must_use]
    pub const fn unconfirmed(&self) -> usize {
        self.unconfirmed
    }

    /// Bytes of an area for the trampolines of all sites.
    #[must_use]
    pub const fn area_size(&self) -> usize {
        self.offsets.len() * room::EACH + room::FIRST
    }
}

/// Finds all places in `code` that are surely `syscall` instructions.
#[must_use]
pub fn scan(code: &Code<'_>) -> Sites {
    scan_part(code, 0..code.bytes.len())
}

/// Finds those that begin in `part`.
pub(crate) fn scan_part(code: &Code<'_>, part: Range<usize>) -> Sites {
    let mut sites = Sites { part: part.clone(), ..Sites::default() };
    let mut reader = None;
    let end = code.bytes.len().min(part.end + SYSCALL.len() - 1);
    let bytes = code.bytes.get(part.start..end).unwrap_or_default();
    for found in Finder::new(&SYSCALL).find_iter(bytes) {
        let offset = part.start + found;
        if is_site(code, offset, &mut reader) {
            sites.offsets.push(offset);
        } else {
            sites.unconfirmed += 1;
        }
    }
    sites
}

/// Whether a candidate is an instruction. The decoder is made only when it is needed.
fn is_site<'a>(code: &Code<'a>, offset: usize, reader: &mut Option<Reader<'a>>) -> bool {
    let numbered = sets_number(code.bytes.get(..offset).unwrap_or_default());
    let checked = checks_result(code.from(offset + 2));
    if numbered && checked {
        return true;
    }
    let reader = reader.get_or_insert_with(|| Reader::new(*code));
    let backward = Backward::new(reader, offset, CONTEXT);
    if checked {
        return backward.leads(offset);
    }
    let near =
        if numbered || has_number(reader, &backward, offset) { NUMBERED } else { UNNUMBERED };
    backward.agrees(offset) && near.fits(reader, &backward, offset)
}

/// `mov eax, NUMBER` or `mov rax, NUMBER` ends here.
fn sets_number(before: &[u8]) -> bool {
    let (opcode, number) = match before {
        [.., 0x48, 0xc7, 0xc0, a, b, c, d] => (true, [*a, *b, *c, *d]),
        // With a prefix, this would be another or a longer instruction.
        [.., prefix, 0xb8, a, b, c, d] => (prefix & 0xf0 != 0x40, [*a, *b, *c, *d]),
        [0xb8, a, b, c, d] => (true, [*a, *b, *c, *d]),
        _ => return false,
    };
    opcode && u32::from_le_bytes(number) < NUMBER_MAX
}

/// A comparison of `rax` or `eax` with the range of error numbers, or with `-ENOSYS`, begins here.
fn checks_result(after: &[u8]) -> bool {
    let after = after.strip_prefix(&[0x48]).unwrap_or(after);
    matches!(after, [0x3d, 0x00 | 0x01, 0xf0, 0xff, 0xff, ..] | [0x83, 0xf8, 0xda, ..])
}

/// One of the last instructions before `offset` is `mov eax, NUMBER`.
fn has_number(reader: &mut Reader<'_>, backward: &Backward, offset: usize) -> bool {
    backward.chain(offset).take(6).filter_map(|offset| reader.decode(offset)).any(|found| {
        let insn = &found.insn;
        let mov = insn.code() == Opcode::Mov_r32_imm32 && is_rax(insn.op0_register());
        mov && insn.immediate32() < NUMBER_MAX
    })
}

/// How many instructions around a candidate must be common.
struct Near {
    before: usize,
    behind: usize,
    /// The number may come from elsewhere, but something must hint at it, or at the result.
    hint: bool,
}

/// A system call's number is set right before.
const NUMBERED: Near = Near { before: 2, behind: 2, hint: false };
/// It isn't seen.
const UNNUMBERED: Near = Near { before: 5, behind: 3, hint: true };

impl Near {
    fn fits(&self, reader: &mut Reader<'_>, backward: &Backward, offset: usize) -> bool {
        let next = offset + SYSCALL.len();
        let mut hint = !self.hint || reader.decode(next).is_some_and(|next| uses_result(&next));
        let mut seen = Vec::with_capacity(self.before + 1);
        for offset in backward.chain(offset).take(self.before + 1) {
            let Some(found) = common(reader, offset) else { break };
            seen.push(found.insn.mnemonic());
            hint |= may_load_number(&found);
        }
        let enough = seen.len() >= self.before;
        // Tables repeat themselves.
        let varied = seen.iter().any(|mnemonic| Some(mnemonic) != seen.first());
        hint && enough && (varied || !self.hint) && self.fits_behind(reader, next)
    }

    fn fits_behind(&self, reader: &mut Reader<'_>, mut offset: usize) -> bool {
        for _ in 0..self.behind {
            let Some(found) = common(reader, offset) else { return false };
            if matches!(found.insn.mnemonic(), Mnemonic::Ret | Mnemonic::Jmp) {
                return true;
            }
            offset = found.end();
        }
        true
    }
}

/// It compares `rax`, or moves it elsewhere.
fn uses_result(found: &Insn) -> bool {
    let insn = &found.insn;
    match insn.mnemonic() {
        Mnemonic::Cmp | Mnemonic::Test => found.names_rax(),
        Mnemonic::Mov => insn.op1_kind() == OpKind::Register && is_rax(insn.op1_register()),
        _ => false,
    }
}

fn may_load_number(found: &Insn) -> bool {
    let insn = &found.insn;
    if insn.op0_kind() != OpKind::Register || !is_rax(insn.op0_register()) {
        return false;
    }
    let zeroes = insn.op1_kind() == OpKind::Register && insn.op1_register() == insn.op0_register();
    match (insn.mnemonic(), insn.op1_kind()) {
        (Mnemonic::Xor, _) => zeroes,
        (Mnemonic::Mov, OpKind::Immediate32) => insn.immediate32() < NUMBER_MAX,
        (Mnemonic::Mov, OpKind::Immediate32to64) => insn.immediate64() < NUMBER_MAX.into(),
        (Mnemonic::Mov | Mnemonic::Movsxd, OpKind::Register) => true,
        (Mnemonic::Mov, OpKind::Memory) => insn.memory_index() == Register::None,
        _ => false,
    }
}

/// The instruction at `offset`, when it is one of those around nearly all system calls. Data rarely
/// decodes to a row of them.
fn common(reader: &mut Reader<'_>, offset: usize) -> Option<Insn> {
    use Mnemonic as M;
    let found = reader.decode(offset)?;
    let named = matches!(
        found.insn.mnemonic(),
        M::Mov
            | M::Movsxd
            | M::Lea
            | M::Xor
            | M::And
            | M::Or
            | M::Add
            | M::Sub
            | M::Cmp
            | M::Test
            | M::Push
            | M::Pop
            | M::Call
            | M::Jmp
            | M::Ret
            | M::Nop
            | M::Neg
            | M::Not
            | M::Shl
            | M::Shr
            | M::Sar
            | M::Leave
            | M::Int3
            | M::Cdqe
            | M::Imul
    );
    // Bytes are rarely handled there, but often in data.
    let byte = (0..found.insn.op_count()).any(|op| {
        found.insn.op_kind(op) == OpKind::Register && is_byte(found.insn.op_register(op))
    });
    let short_branch = condition(found.insn.code()).is_some();
    let usual = (named && !byte) || short_branch || has_long_opcode(reader.code.from(offset));
    usual.then_some(found)
}

/// The opcode has two bytes or more, which data rarely happens to have.
fn has_long_opcode(bytes: &[u8]) -> bool {
    let prefix = |byte: &&u8| matches!(byte, 0x66 | 0xf2 | 0xf3 | 0x40..=0x4f);
    bytes.iter().take(4).find(|byte| !prefix(byte)) == Some(&0x0f)
}

/// A register of one byte that needs no prefix.
fn is_byte(register: Register) -> bool {
    (Register::AL..=Register::BH).contains(&register)
}
