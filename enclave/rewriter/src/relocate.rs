//! Moves single instructions to another address.

use alloc::vec::Vec;

use iced_x86::{Code as Opcode, Mnemonic, OpKind};

use crate::Left;
use crate::decode::Insn;

/// Most bytes that an instruction grows by: a short `jcc` becomes a long one.
pub(crate) const GROWTH: usize = 4;

/// Whether execution goes on behind an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It may.
    On,
    /// It never does.
    Ends,
}

/// How execution leaves `insn`, or [`Left::NoPlace`] for one that can't be moved.
pub(crate) fn flow(insn: &Insn) -> Result<Flow, Left> {
    use Mnemonic as M;
    let insn = &insn.insn;
    if insn.op0_kind() == OpKind::NearBranch64 {
        return match condition(insn.code()) {
            Some(_) => Ok(Flow::On),
            None if insn.mnemonic() == M::Jmp => Ok(Flow::Ends),
            None => Err(Left::NoPlace), // call, loop, jrcxz, xbegin
        };
    }
    match insn.mnemonic() {
        M::Ret | M::Ud2 => Ok(Flow::Ends),
        M::Jmp if insn.code() == Opcode::Jmp_rm64 => Ok(Flow::Ends),
        // Far ones, and the odd ones.
        M::Jmp | M::Retf | M::Iret | M::Iretd | M::Iretq | M::Uiret | M::Ud0 | M::Ud1 => {
            Err(Left::NoPlace)
        }
        // A moved call would leave a strange return address.
        M::Call | M::Syscall | M::Sysenter | M::Int | M::Int1 | M::Int3 | M::Into => {
            Err(Left::NoPlace)
        }
        M::Xabort | M::Xbegin | M::Jmpe => Err(Left::NoPlace),
        // Programs mark the targets of indirect branches with it.
        M::Endbr64 => Err(Left::NoPlace),
        _ => Ok(Flow::On),
    }
}

/// The target of a direct branch.
fn branch_target(insn: &Insn) -> Option<u64> {
    let insn = &insn.insn;
    (insn.op0_kind() == OpKind::NearBranch64).then(|| insn.near_branch_target())
}

/// Appends to `out`, whose first byte is at `base`, what does at its end what `insn` with its bytes
/// `original` did at its place.
pub(crate) fn relocate(
    insn: &Insn,
    original: &[u8],
    base: u64,
    out: &mut Vec<u8>,
) -> Result<(), Left> {
    if let Some(target) = branch_target(insn) {
        return branch(insn, target, base, out);
    }
    let start = out.len();
    out.extend_from_slice(original);
    if !insn.insn.is_ip_rel_memory_operand() {
        return Ok(());
    }
    if insn.insn.memory_base() != iced_x86::Register::RIP {
        return Err(Left::NoPlace); // eip-relative
    }
    let next = base + out.len() as u64;
    let displacement = displacement(next, insn.insn.ip_rel_memory_address())?;
    let at = start + insn.displacement.displacement_offset();
    let field = out.get_mut(at..at + 4).filter(|_| insn.displacement.displacement_size() == 4);
    field.ok_or(Left::NoPlace)?.copy_from_slice(&displacement);
    Ok(())
}

fn branch(insn: &Insn, target: u64, base: u64, out: &mut Vec<u8>) -> Result<(), Left> {
    if insn.insn.mnemonic() == Mnemonic::Jmp {
        out.extend(jump(target, base + out.len() as u64)?);
        return Ok(());
    }
    out.extend([0x0f, condition(insn.insn.code()).ok_or(Left::NoPlace)?]);
    let next = base + out.len() as u64 + 4;
    out.extend(displacement(next, target)?);
    Ok(())
}

/// `jmp target`, for the place `at`.
pub(crate) fn jump(target: u64, at: u64) -> Result<[u8; 5], Left> {
    let [a, b, c, d] = displacement(at + 5, target)?;
    Ok([0xe9, a, b, c, d])
}

/// The displacement that leads from `next` to `target`.
fn displacement(next: u64, target: u64) -> Result<[u8; 4], Left> {
    let distance = target.wrapping_sub(next).cast_signed();
    i32::try_from(distance).map(i32::to_le_bytes).map_err(|_| Left::OutOfReach)
}

/// Second byte of the long form of a conditional jump; `None` for other instructions.
pub(crate) const fn condition(code: Opcode) -> Option<u8> {
    use Opcode as O;
    Some(match code {
        O::Jo_rel8_64 | O::Jo_rel32_64 => 0x80,
        O::Jno_rel8_64 | O::Jno_rel32_64 => 0x81,
        O::Jb_rel8_64 | O::Jb_rel32_64 => 0x82,
        O::Jae_rel8_64 | O::Jae_rel32_64 => 0x83,
        O::Je_rel8_64 | O::Je_rel32_64 => 0x84,
        O::Jne_rel8_64 | O::Jne_rel32_64 => 0x85,
        O::Jbe_rel8_64 | O::Jbe_rel32_64 => 0x86,
        O::Ja_rel8_64 | O::Ja_rel32_64 => 0x87,
        O::Js_rel8_64 | O::Js_rel32_64 => 0x88,
        O::Jns_rel8_64 | O::Jns_rel32_64 => 0x89,
        O::Jp_rel8_64 | O::Jp_rel32_64 => 0x8a,
        O::Jnp_rel8_64 | O::Jnp_rel32_64 => 0x8b,
        O::Jl_rel8_64 | O::Jl_rel32_64 => 0x8c,
        O::Jge_rel8_64 | O::Jge_rel32_64 => 0x8d,
        O::Jle_rel8_64 | O::Jle_rel32_64 => 0x8e,
        O::Jg_rel8_64 | O::Jg_rel32_64 => 0x8f,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;
    use crate::decode::Reader;

    fn moved(bytes: &[u8], addr: u64, base: u64) -> Result<Vec<u8>, Left> {
        let insn = Reader::new(Code { bytes, addr }).decode(0).unwrap();
        flow(&insn)?;
        let mut out = Vec::new();
        relocate(&insn, bytes, base, &mut out).map(|()| out)
    }

    #[test]
    fn addresses_relative_to_rip_follow() {
        // mov rax, [rip + 0x100] at 0x1000, to 0x2000
        let there = moved(&[0x48, 0x8b, 0x05, 0, 1, 0, 0], 0x1000, 0x2000);
        assert_eq!(there, Ok(vec![0x48, 0x8b, 0x05, 0, 0xf1, 0xff, 0xff]));
        // cmp dword ptr [rip + 0x10], 5: the displacement isn't last
        let there = moved(&[0x83, 0x3d, 0x10, 0, 0, 0, 5], 0x1000, 0x1010);
        assert_eq!(there, Ok(vec![0x83, 0x3d, 0, 0, 0, 0, 5]));
        let far = moved(&[0x48, 0x8b, 0x05, 0, 1, 0, 0], 0x1000, 0x1_0000_0000);
        assert_eq!(far, Err(Left::OutOfReach));
        // with an address-size prefix: [eip + 0x100]
        let eip = moved(&[0x67, 0x8b, 0x05, 0, 1, 0, 0], 0x1000, 0x2000);
        assert_eq!(eip, Err(Left::NoPlace));
    }

    #[test]
    fn jumps_become_long() {
        assert_eq!(moved(&[0xeb, 0x0e], 0x1000, 0x2000), Ok(vec![0xe9, 0x0b, 0xf0, 0xff, 0xff]));
        for low in 0..16 {
            let long = Ok(vec![0x0f, 0x80 + low, 0x0a, 0xf0, 0xff, 0xff]);
            assert_eq!(moved(&[0x70 + low, 0x0e], 0x1000, 0x2000), long);
            assert_eq!(moved(&[0x0f, 0x80 + low, 0x0a, 0, 0, 0], 0x1000, 0x2000), long);
        }
    }

    #[test]
    fn some_instructions_stay() {
        let stay: [&[u8]; 7] = [
            &[0xe8, 0, 0, 0, 0],       // call
            &[0xff, 0xd0],             // call rax
            &[0xe2, 0],                // loop
            &[0xe3, 0],                // jrcxz
            &[0x0f, 0x05],             // syscall
            &[0xcc],                   // int3
            &[0xf3, 0x0f, 0x1e, 0xfa], // endbr64
        ];
        for bytes in stay {
            assert_eq!(moved(bytes, 0x1000, 0x2000), Err(Left::NoPlace), "{bytes:x?}");
        }
        let copied: [&[u8]; 4] =
            [&[0xc3], &[0x48, 0x3d, 1, 0xf0, 0xff, 0xff], &[0xff, 0xe1], &[0xf4]];
        for bytes in copied {
            assert_eq!(moved(bytes, 0x1000, 0x2000), Ok(bytes.to_vec()));
        }
    }
}
