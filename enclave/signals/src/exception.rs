//! What an exception of the program means: an instruction to emulate, or a signal.

use crate::{
    SigInfo, code,
    number::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP},
};

/// An instruction that an enclave cannot execute, although a program may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// SYSCALL: a site that was not rewritten.
    Syscall,
    /// CPUID.
    Cpuid,
    /// RDTSC.
    Rdtsc,
    /// RDTSCP.
    Rdtscp,
}

impl Instruction {
    /// The instruction that starts with these bytes, if it is one of them.
    #[must_use]
    pub const fn decode(code: [u8; 3]) -> Option<Self> {
        match code {
            [0x0f, 0x05, _] => Some(Self::Syscall),
            [0x0f, 0xa2, _] => Some(Self::Cpuid),
            [0x0f, 0x31, _] => Some(Self::Rdtsc),
            [0x0f, 0x01, 0xf9] => Some(Self::Rdtscp),
            _ => None,
        }
    }

    /// Its length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no instruction is empty")]
    pub const fn len(self) -> u64 {
        match self {
            Self::Rdtscp => 3,
            _ => 2,
        }
    }
}

/// MOVS with its prefixes: copies from RSI to RDI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringMove {
    /// Bytes of an element.
    pub width: u64,
    /// Whether it copies RCX elements instead of one.
    pub repeated: bool,
    /// Its length in bytes.
    pub len: u64,
}

impl StringMove {
    /// The instruction that starts with these bytes, if it is one, of the usual address size and
    /// segments.
    #[must_use]
    pub fn decode(code: [u8; 15]) -> Option<Self> {
        let opcode =
            code.iter().position(|byte| !matches!(byte, 0x66 | 0xf2 | 0xf3 | 0x40..=0x4f))?;
        let (prefixes, rest) = code.split_at(opcode);
        // REX counts right before the opcode only, and before the other prefix.
        let wide = prefixes.last().is_some_and(|byte| matches!(byte, 0x48..=0x4f));
        let width = match rest.first()? {
            0xa4 => 1,
            0xa5 if wide => 8,
            0xa5 if prefixes.contains(&0x66) => 2,
            0xa5 => 4,
            _ => return None,
        };
        let repeated = prefixes.iter().any(|byte| matches!(byte, 0xf2 | 0xf3));
        Some(Self { width, repeated, len: opcode as u64 + 1 })
    }
}

/// What floating-point registers say about an exception.
#[derive(Clone, Copy, Debug, Default)]
pub struct FloatingPoint {
    /// x87 control word.
    pub control: u16,
    /// x87 status word.
    pub status: u16,
    /// Low half of MXCSR.
    pub mxcsr: u16,
}

impl FloatingPoint {
    /// From the legacy region of an XSAVE image.
    #[must_use]
    pub fn of(image: &[u8]) -> Self {
        let half = |at: usize| match image.get(at..at + 2) {
            Some(&[low, high]) => u16::from_le_bytes([low, high]),
            _ => 0,
        };
        Self { control: half(0), status: half(2), mxcsr: half(24) }
    }

    /// `si_code` of the first exception that is raised and not masked.
    #[must_use]
    pub const fn code(self, simd: bool) -> i32 {
        let raised =
            if simd { self.mxcsr & !(self.mxcsr >> 7) } else { self.status & !self.control };
        // Invalid, denormal, division by zero, overflow, underflow, inexact: bits 0 to 5.
        match raised & 0x3f {
            bits if bits & 0x01 != 0 => code::FPE_FLTINV,
            bits if bits & 0x04 != 0 => code::FPE_FLTDIV,
            bits if bits & 0x08 != 0 => code::FPE_FLTOVF,
            bits if bits & 0x12 != 0 => code::FPE_FLTUND,
            bits if bits & 0x20 != 0 => code::FPE_FLTRES,
            _ => 0,
        }
    }
}

/// The signal of an exception other than a page fault, by its vector, at the instruction `rip`.
#[must_use]
pub fn signal(vector: u8, rip: u64, floating_point: FloatingPoint) -> SigInfo {
    match vector {
        0 => SigInfo::fault(SIGFPE, code::FPE_INTDIV, rip),
        1 => SigInfo::fault(SIGTRAP, code::TRAP_TRACE, rip),
        3 => SigInfo::kernel(SIGTRAP),
        6 => SigInfo::fault(SIGILL, code::ILL_OPN, rip),
        16 | 19 => SigInfo::fault(SIGFPE, floating_point.code(vector == 19), rip),
        17 => SigInfo::fault(SIGBUS, code::BUS_ADRALN, 0),
        _ => SigInfo::kernel(SIGSEGV),
    }
}

/// The answer of CPUID as a program may see it: without what the state components of the enclave
/// (XFRM) do not cover. The rest is the host's claim.
#[must_use]
pub fn checked_cpuid(leaf: u32, subleaf: u32, answer: [u32; 4], components: u64) -> [u32; 4] {
    const AVX: u64 = 1 << 2;
    const AVX512: u64 = 0xe0;
    const AMX: u64 = 3 << 17;
    /// AVX, FMA and F16C; VAES and VPCLMULQDQ.
    const BY_AVX: [u32; 2] = [1 << 28 | 1 << 12 | 1 << 29, 1 << 9 | 1 << 10];
    const AVX2: u32 = 1 << 5;
    /// AVX512F, DQ, IFMA, PF, ER, CD, BW, VL in EBX.
    const BY_AVX512: u32 = 1 << 16 | 1 << 17 | 1 << 21 | 1 << 26 | 1 << 27 | 1 << 28 | 3 << 30;
    /// VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ in ECX; 4VNNIW, 4FMAPS, VP2INTERSECT, FP16 in EDX.
    const MORE_AVX512: [u32; 2] =
        [1 << 1 | 1 << 6 | 1 << 11 | 1 << 12 | 1 << 14, 1 << 2 | 1 << 3 | 1 << 8 | 1 << 23];
    /// AMX-BF16, TILE, INT8 in EDX.
    const BY_AMX: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    let lacks = |wanted: u64| components & wanted != wanted;
    let [mut eax, mut ebx, mut ecx, mut edx] = answer;
    match (leaf, subleaf) {
        (1, _) if lacks(AVX) => ecx &= !BY_AVX[0],
        (7, 0) => {
            if lacks(AVX) {
                ebx &= !AVX2;
                ecx &= !BY_AVX[1];
            }
            if lacks(AVX512) {
                ebx &= !BY_AVX512;
                ecx &= !MORE_AVX512[0];
                edx &= !MORE_AVX512[1];
            }
            if lacks(AMX) {
                edx &= !BY_AMX;
            }
        }
        (0xd, 0) => {
            eax &= halves(components)[0];
            edx &= halves(components)[1];
        }
        _ => {}
    }
    [eax, ebx, ecx, edx]
}

#[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
const fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}
