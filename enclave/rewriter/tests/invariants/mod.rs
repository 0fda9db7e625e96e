//! What holds for every rewriting, checked by decoding the result beside the original.

use enclave_rewriter::{AddressMap, Area, Code, ENTRY_SLOT, Kind, Patch, Rewritten};
use iced_x86::{Code as Opcode, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// Checks a rewriting of `code`; panics when it is wrong.
pub(crate) fn check(code: &Code<'_>, area: Area, out: &Rewritten) {
    check_patches(code, out);
    let mut map = AddressMap::new();
    map.add(out.moved.clone());
    let mut checker = Checker { code, area, out, map };
    let mut done = 0;
    for &(site, result) in &out.sites {
        if let Ok(kind) = result {
            checker.site(site, kind);
            done += 1;
        }
    }
    assert_eq!(done, out.stats.rewritten(), "counts are wrong");
    assert_eq!(out.sites.len() - done, out.stats.left(), "counts are wrong");
    assert!(out.trampolines.len() <= area.size, "the area is too small");
}

/// Patches lie in the code and apart from each other.
fn check_patches(code: &Code<'_>, out: &Rewritten) {
    let mut ranges: Vec<_> = out.patches.iter().map(|patch| (patch.addr, patch.end())).collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "patches overlap: {pair:x?}");
    }
    for (start, end) in ranges {
        assert!(start >= code.addr && end <= code.addr + code.bytes.len() as u64);
    }
}

struct Checker<'a> {
    code: &'a Code<'a>,
    area: Area,
    out: &'a Rewritten,
    map: AddressMap,
}

fn decode(bytes: &[u8], base: u64, addr: u64) -> Instruction {
    let at = usize::try_from(addr.wrapping_sub(base)).unwrap_or(usize::MAX);
    let bytes = bytes.get(at..).unwrap_or_default();
    Decoder::with_ip(64, bytes, addr, DecoderOptions::NONE).decode()
}

impl<'a> Checker<'a> {
    fn original(&self, addr: u64) -> Instruction {
        decode(self.code.bytes, self.code.addr, addr)
    }

    fn moved(&self, addr: u64) -> Instruction {
        decode(&self.out.trampolines, self.area.addr, addr)
    }

    fn patch_at(&self, addr: u64) -> &'a Patch {
        let found = self.out.patches.iter().find(|patch| (patch.addr..patch.end()).contains(&addr));
        found.unwrap_or_else(|| panic!("no patch at {addr:#x}"))
    }

    fn site(&mut self, site: u64, kind: Kind) {
        assert_eq!(self.original(site).code(), Opcode::Syscall, "{site:#x}");
        let patch = self.patch_at(site);
        match kind {
            Kind::Following => assert_eq!(patch.addr, site),
            Kind::Preceding => {
                assert!(patch.addr < site && patch.end() == (site + 2).max(patch.addr + 5))
            }
            Kind::Cave => assert_eq!((patch.addr, patch.end()), (site, site + 2)),
        }
        let entry = if kind == Kind::Cave { self.cave(patch) } else { jump_of(patch) };
        self.trampoline(site, patch, entry);
    }

    /// The long jump that a short one leads to, in what was padding.
    fn cave(&mut self, short: &Patch) -> u64 {
        let jump = decode(short.bytes(), short.addr, short.addr);
        assert_eq!((jump.code(), jump.len()), (Opcode::Jmp_rel8_64, 2));
        let cave = self.patch_at(jump.near_branch_target());
        assert_eq!(cave.addr, jump.near_branch_target());
        self.only_padding(cave.addr, cave.end());
        assert_eq!(self.map.original(cave.addr), Some(short.addr));
        jump_of(cave)
    }

    /// The trampoline at `entry` does what the original code from the patch on does.
    fn trampoline(&mut self, site: u64, patch: &Patch, entry: u64) {
        let (mut old, mut new) = (patch.addr, entry);
        let mut entered = false;
        loop {
            assert_eq!(self.map.original(new), Some(old), "map of {new:#x}");
            if old != patch.addr && (patch.addr..patch.end()).contains(&old) {
                assert_eq!(
                    self.map.inside(old).map(|inside| inside.now),
                    Some(new),
                    "map of {old:#x}"
                );
                let place = usize::try_from(old - patch.addr).unwrap_or(usize::MAX);
                self.no_branch_to(
                    old,
                    if is_guarded(patch.bytes(), place) { 1 << 10 } else { 32 << 10 },
                );
            }
            let moved = self.moved(new);
            if old == site {
                new = self.enter(&moved);
                old += 2;
                entered = true;
                continue;
            }
            let back =
                moved.mnemonic() == Mnemonic::Jmp && moved.op0_kind() == OpKind::NearBranch64;
            if entered && back && moved.near_branch_target() == old && old >= patch.end() {
                return;
            }
            let original = self.original(old);
            assert_same(&original, &moved);
            new = moved.next_ip();
            old = original.next_ip();
            if matches!(original.mnemonic(), Mnemonic::Jmp | Mnemonic::Ret | Mnemonic::Ud2) {
                assert!(entered);
                self.only_padding(old, patch.end());
                return;
            }
        }
    }

    /// What replaces `syscall`; returns where the runtime resumes.
    fn enter(&self, lea: &Instruction) -> u64 {
        assert_eq!((lea.mnemonic(), lea.op0_register()), (Mnemonic::Lea, Register::RCX));
        let jump = self.moved(lea.next_ip());
        assert_eq!(jump.code(), Opcode::Jmp_rm64);
        assert_eq!(jump.memory_segment(), Register::GS);
        assert_eq!((jump.memory_base(), jump.memory_index()), (Register::None, Register::None));
        assert_eq!(jump.memory_displacement64(), ENTRY_SLOT.into());
        assert_eq!(lea.ip_rel_memory_address(), jump.next_ip());
        jump.next_ip()
    }

    /// Bytes that are overwritten behind the end of the flow had no effect.
    fn only_padding(&self, mut from: u64, to: u64) {
        while from < to {
            let insn = self.original(from);
            assert!(matches!(insn.mnemonic(), Mnemonic::Nop | Mnemonic::Int3), "{from:#x}");
            from = insn.next_ip();
        }
        assert_eq!(from, to, "half an instruction was overwritten");
    }

    /// No byte of the code within `reach` could be the begin of a direct branch to `addr`; slow and simple.
    fn no_branch_to(&self, addr: u64, reach: usize) {
        let bytes = self.code.bytes;
        let offset = usize::try_from(addr - self.code.addr).unwrap_or(usize::MAX);
        for from in offset.saturating_sub(reach)..bytes.len().min(offset + reach) {
            let (next, distance) = match bytes[from..] {
                [0x70..=0x7f | 0xe0..=0xe3 | 0xeb, a, ..] => (2, i32::from(a.cast_signed())),
                [0xe8 | 0xe9, a, b, c, d, ..] => (5, i32::from_le_bytes([a, b, c, d])),
                [0x0f, 0x80..=0x8f, a, b, c, d, ..] => (6, i32::from_le_bytes([a, b, c, d])),
                _ => continue,
            };
            let target = self
                .code
                .addr
                .wrapping_add((from + next) as u64)
                .wrapping_add_signed(distance.into());
            assert_ne!(target, addr, "{from:#x} in the code may jump there");
        }
    }
}

/// A thread that comes to `place` in a patch traps, whatever follows.
fn is_guarded(patch: &[u8], place: usize) -> bool {
    let invalid = |following: u8| {
        let bytes = [patch[place], following, 0xc0, 0x90, 0x90, 0x90];
        Decoder::new(64, &bytes, DecoderOptions::NONE).decode().is_invalid()
    };
    patch[place] == 0xcc || (0..=255).all(invalid)
}

/// Target of a patch that is a long jump, filled with breakpoints.
fn jump_of(patch: &Patch) -> u64 {
    let jump = decode(patch.bytes(), patch.addr, patch.addr);
    assert_eq!((jump.code(), jump.len()), (Opcode::Jmp_rel32_64, 5));
    assert!(patch.bytes()[5..].iter().all(|&byte| byte == 0xcc));
    jump.near_branch_target()
}

/// Two instructions at different places do the same.
fn assert_same(old: &Instruction, new: &Instruction) {
    assert!(!old.is_invalid() && old.mnemonic() == new.mnemonic(), "{old:?} {new:?}");
    if old.op0_kind() == OpKind::NearBranch64 {
        assert_eq!(old.near_branch_target(), new.near_branch_target());
        return;
    }
    assert_eq!((old.code(), old.len()), (new.code(), new.len()));
    let prefixes = |insn: &Instruction| {
        (
            insn.has_lock_prefix(),
            insn.has_rep_prefix(),
            insn.has_repne_prefix(),
            insn.segment_prefix(),
        )
    };
    assert_eq!(prefixes(old), prefixes(new));
    for op in 0..old.op_count() {
        assert_eq!(old.op_kind(op), new.op_kind(op));
        match old.op_kind(op) {
            OpKind::Register => assert_eq!(old.op_register(op), new.op_register(op)),
            OpKind::Memory => assert_same_memory(old, new),
            _ => assert_eq!(old.try_immediate(op).ok(), new.try_immediate(op).ok()),
        }
    }
}

fn assert_same_memory(old: &Instruction, new: &Instruction) {
    let registers =
        |insn: &Instruction| (insn.memory_base(), insn.memory_index(), insn.memory_segment());
    assert_eq!(registers(old), registers(new));
    assert_eq!(old.memory_index_scale(), new.memory_index_scale());
    // For operands relative to rip, this is the absolute address.
    assert_eq!(old.memory_displacement64(), new.memory_displacement64());
}
