//! Finds the `syscall` instructions of a mapping, without decoding all of it.

use alloc::vec::Vec;

use iced_x86::{Mnemonic, OpKind};
use memchr::memmem::Finder;

use crate::decode::{Backward, Reader, is_rax};
use crate::{Code, Origin, TRAMPOLINE_MAX};

/// The instruction.
pub(crate) const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// System call numbers are below this.
const NUMBER_MAX: u32 = 1024;
/// Bytes before a candidate that tell whether it is an instruction.
const CONTEXT: usize = 40;

/// The sites of a mapping, from [`scan`].
#[derive(Clone, Debug, Default)]
pub struct Sites {
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

    /// Bytes that suffice for the trampolines of all sites.
    #[must_use]
    pub const fn area_size(&self) -> usize {
        self.offsets.len() * TRAMPOLINE_MAX
    }
}

/// Finds all places in `code` that are surely `syscall` instructions.
#[must_use]
pub fn scan(code: &Code<'_>) -> Sites {
    let mut sites = Sites::default();
    let mut reader = None;
    for offset in Finder::new(&SYSCALL).find_iter(code.bytes) {
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
    if code.origin == Origin::Anonymous && !numbered && !checked {
        return false;
    }
    let reader = reader.get_or_insert_with(|| Reader::new(*code));
    let backward = Backward::new(reader, offset, CONTEXT);
    let (reached, skipped) = backward.votes();
    if numbered || checked {
        return reached >= 1 && reached >= 2 * skipped;
    }
    reached >= 8
        && reached >= 4 * skipped
        && loads_number(reader, &backward, offset)
        && goes_on(reader, offset + 2)
}

/// `mov eax, NUMBER` or `mov rax, NUMBER` ends here.
fn sets_number(before: &[u8]) -> bool {
    let (opcode, number) = match before {
        [.., 0x48, 0xc7, 0xc0, a, b, c, d] => (true, [*a, *b, *c, *d]),
        // With a REX.W prefix, this would be the middle of a longer instruction.
        [.., prefix, 0xb8, a, b, c, d] => (prefix & 0xf8 != 0x48, [*a, *b, *c, *d]),
        [0xb8, a, b, c, d] => (true, [*a, *b, *c, *d]),
        _ => return false,
    };
    opcode && u32::from_le_bytes(number) < NUMBER_MAX
}

/// A comparison of `rax` or `eax` with the range of error numbers begins here.
fn checks_result(after: &[u8]) -> bool {
    matches!(
        after,
        [0x48, 0x3d, 0x00 | 0x01, 0xf0, 0xff, 0xff, ..] | [0x3d, 0x00 | 0x01, 0xf0, 0xff, 0xff, ..]
    )
}

/// One of the last instructions before `offset` puts something into `rax` that could be a number.
fn loads_number(reader: &mut Reader<'_>, backward: &Backward, offset: usize) -> bool {
    backward.chain(offset).take(8).any(|offset| {
        let Some(found) = reader.decode(offset) else { return false };
        let insn = &found.insn;
        let into_rax = insn.op_count() == 2
            && insn.op0_kind() == OpKind::Register
            && is_rax(insn.op0_register());
        let number = match insn.op1_kind() {
            OpKind::Immediate32 | OpKind::Immediate8 => insn.immediate32() < NUMBER_MAX,
            OpKind::Immediate32to64 => insn.immediate64() < NUMBER_MAX.into(),
            OpKind::Register | OpKind::Memory => true,
            _ => false,
        };
        let zeroed =
            insn.op1_kind() == OpKind::Register && insn.op1_register() == insn.op0_register();
        match insn.mnemonic() {
            Mnemonic::Mov | Mnemonic::Movsxd => into_rax && number,
            Mnemonic::Xor => into_rax && zeroed,
            _ => false,
        }
    })
}

/// The instructions behind a candidate make sense after a system call.
fn goes_on(reader: &mut Reader<'_>, mut offset: usize) -> bool {
    for _ in 0..3 {
        let Some(found) = reader.decode(offset) else { return false };
        let ends = matches!(
            found.insn.mnemonic(),
            Mnemonic::Ret | Mnemonic::Jmp | Mnemonic::Hlt | Mnemonic::Ud2 | Mnemonic::Int3
        );
        if found.names_rax() || ends {
            return true;
        }
        offset = found.end();
    }
    true
}
