//! What an image must be to be entered as an enclave: checked on the finished bytes, because a
//! dependency that links against libc, or asks the processor who it is, does so silently.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use object::LittleEndian as LE;
use object::elf::{
    ET_EXEC, FileHeader64, PF_X, PT_DYNAMIC, PT_GNU_RELRO, PT_INTERP, PT_LOAD, PT_TLS,
    ProgramHeader64,
};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use sgx_types::ENCLU_SITE;

type Header = FileHeader64<LE>;

/// Checks the whole image; the error names what was found, and where.
pub(crate) fn check(image: &[u8]) -> Result<(), String> {
    let header = Header::parse(image).map_err(|e| format!("no ELF64 file: {e}"))?;
    if header.e_type(LE) != ET_EXEC {
        return Err(format!(
            "ELF type {} instead of a program with fixed addresses",
            header.e_type(LE)
        ));
    }
    let segments = header.program_headers(LE, image).map_err(|e| e.to_string())?;
    for segment in segments {
        match segment.p_type(LE) {
            PT_INTERP => return Err("it has an interpreter".into()),
            PT_TLS => return Err("it has thread-local storage".into()),
            PT_GNU_RELRO if !segments.iter().any(|load| is_whole(load, segment)) => {
                return Err(
                    "what is read-only after relocation shares a segment with other data".into()
                );
            }
            PT_DYNAMIC => return Err("it is linked dynamically".into()),
            PT_LOAD if segment.p_flags(LE).contains(PF_X) => {
                let code = segment.data(LE, image).map_err(|()| "a segment is cut off")?;
                instructions(code, segment.p_vaddr(LE))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the segment `load` is all of `relro`, whose pages are not to be written to.
fn is_whole(load: &ProgramHeader64<LE>, relro: &ProgramHeader64<LE>) -> bool {
    load.p_type(LE) == PT_LOAD
        && load.p_vaddr(LE) == relro.p_vaddr(LE)
        && load.p_memsz(LE) <= relro.p_memsz(LE)
}

fn instructions(code: &[u8], address: u64) -> Result<(), String> {
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if illegal(&instruction) || computes(instruction.mnemonic()) {
            return Err(format!("{:?} at {:#x}", instruction.mnemonic(), instruction.ip()));
        }
        if instruction.mnemonic() == Mnemonic::Enclu {
            let place = decoder.position() - instruction.len();
            if !code[place..].starts_with(&ENCLU_SITE) {
                return Err(format!("ENCLU at {:#x} without 13 nops after it", instruction.ip()));
            }
        }
    }
    Ok(())
}

/// Arithmetic on floating-point numbers: the runtime runs with the program's MXCSR, which may unmask
/// exceptions, and whose flags the program may read.
fn computes(mnemonic: Mnemonic) -> bool {
    const OPERATIONS: [&str; 14] = [
        "add", "sub", "mul", "div", "sqrt", "min", "max", "cmp", "comi", "ucomi", "round", "dp",
        "hadd", "hsub",
    ];
    let name = format!("{mnemonic:?}").to_lowercase();
    let name = name.strip_prefix('v').unwrap_or(&name);
    let scalar_or_packed = ["ss", "sd", "ps", "pd"].iter().any(|end| name.ends_with(end));
    name.starts_with("cvt")
        || name.starts_with("fm") && scalar_or_packed
        || scalar_or_packed && OPERATIONS.iter().any(|start| name.starts_with(start))
}

/// Instructions that fault inside an enclave (SDM volume 3D, "Illegal Instructions"), those that
/// need a kernel, and those that would ask the untrusted processor for what it can do. Allowed, among
/// others: rdtsc, rdrand, rdseed, xgetbv, wrfsbase, enclu, and int3, with which linkers fill gaps.
fn illegal(instruction: &Instruction) -> bool {
    use Mnemonic as M;
    let far = instruction.is_jmp_far() || instruction.is_call_far();
    instruction.is_invalid()
        || instruction.is_privileged()
        || far
        || matches!(instruction.mnemonic(), M::Cpuid | M::Getsec | M::Rdpmc | M::Vmcall | M::Vmfunc)
        || matches!(instruction.mnemonic(), M::Sgdt | M::Sidt | M::Sldt | M::Str | M::Smsw)
        || matches!(instruction.mnemonic(), M::In | M::Insb | M::Insw | M::Insd)
        || matches!(instruction.mnemonic(), M::Out | M::Outsb | M::Outsw | M::Outsd)
        || matches!(instruction.mnemonic(), M::Syscall | M::Sysenter | M::Retf | M::Iretq)
        || matches!(instruction.mnemonic(), M::Int | M::Int1 | M::Into)
}
