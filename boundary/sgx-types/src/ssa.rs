//! State save area: GPRSGX, EXITINFO and EXINFO (SDM 37.9).
//!
//! From its start, a frame holds the XSAVE area; at its end stands GPRSGX, and right below that the
//! MISC region with EXINFO.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::layout;

/// Bytes of the GPRSGX region.
pub const GPRSGX_SIZE: usize = size_of::<GprSgx>();

/// Bytes of EXINFO in the MISC region.
pub const EXINFO_SIZE: usize = size_of::<ExInfo>();

/// Offset of GPRSGX in a frame of `frame_size` bytes, which is at least a page.
#[must_use]
pub const fn gprsgx_offset(frame_size: usize) -> usize {
    frame_size - GPRSGX_SIZE
}

/// Offset of EXINFO in a frame of `frame_size` bytes (MISCSELECT.EXINFO set).
#[must_use]
pub const fn exinfo_offset(frame_size: usize) -> usize {
    gprsgx_offset(frame_size) - EXINFO_SIZE
}

/// GPRSGX: registers of the interrupted enclave thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GprSgx {
    /// RAX.
    pub rax: u64,
    /// RCX.
    pub rcx: u64,
    /// RDX.
    pub rdx: u64,
    /// RBX.
    pub rbx: u64,
    /// RSP.
    pub rsp: u64,
    /// RBP.
    pub rbp: u64,
    /// RSI.
    pub rsi: u64,
    /// RDI.
    pub rdi: u64,
    /// R8.
    pub r8: u64,
    /// R9.
    pub r9: u64,
    /// R10.
    pub r10: u64,
    /// R11.
    pub r11: u64,
    /// R12.
    pub r12: u64,
    /// R13.
    pub r13: u64,
    /// R14.
    pub r14: u64,
    /// R15.
    pub r15: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// RIP.
    pub rip: u64,
    /// RSP outside the enclave, saved by EENTER.
    pub ursp: u64,
    /// RBP outside the enclave, saved by EENTER.
    pub urbp: u64,
    /// Why the AEX happened.
    pub exit_info: ExitInfo,
    /// Reserved: zero.
    pub reserved: [u8; 3],
    /// Bit 0: the thread wants AEX-Notify.
    pub aex_notify: u8,
    /// FS base.
    pub fs_base: u64,
    /// GS base.
    pub gs_base: u64,
}
layout!(
    GprSgx: 184, rax @ 0, rcx @ 8, rdx @ 16, rbx @ 24, rsp @ 32, rbp @ 40, rsi @ 48, rdi @ 56,
    r8 @ 64, r9 @ 72, r10 @ 80, r11 @ 88, r12 @ 96, r13 @ 104, r14 @ 112, r15 @ 120,
    rflags @ 128, rip @ 136, ursp @ 144, urbp @ 152, exit_info @ 160, aex_notify @ 167,
    fs_base @ 168, gs_base @ 176,
);

/// EXITINFO: the exception that caused an AEX; zero for interrupts and for what is not reported.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct ExitInfo(pub u32);

impl ExitInfo {
    /// No reported exception.
    pub const NONE: Self = Self(0);
    const VALID: u32 = 1 << 31;

    /// A valid EXITINFO.
    #[must_use]
    pub const fn new(vector: Vector, exit_type: ExitType) -> Self {
        Self(vector as u32 | (exit_type as u32) << 8 | Self::VALID)
    }

    /// Whether VECTOR and EXIT_TYPE mean anything.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 & Self::VALID != 0
    }

    /// The exception, if this EXITINFO is valid and the vector is one that SGX reports.
    #[must_use]
    pub const fn vector(self) -> Option<Vector> {
        if self.is_valid() { Vector::from_bits(self.0.to_le_bytes()[0]) } else { None }
    }

    /// Hardware or software exception, if this EXITINFO is valid.
    #[must_use]
    pub const fn exit_type(self) -> Option<ExitType> {
        match (self.is_valid(), self.0 >> 8 & 7) {
            (true, 3) => Some(ExitType::Hardware),
            (true, 6) => Some(ExitType::Software),
            _ => None,
        }
    }
}

/// EXITINFO.EXIT_TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitType {
    /// Exception raised by the processor.
    Hardware = 3,
    /// INT3 and INTO.
    Software = 6,
}

/// EXITINFO.VECTOR: the exceptions that SGX reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Vector {
    /// #DE, divide error.
    DivideError = 0,
    /// #DB, debug.
    Debug = 1,
    /// #BP, breakpoint (INT3).
    Breakpoint = 3,
    /// #BR, bound range exceeded.
    BoundRange = 5,
    /// #UD, invalid opcode.
    InvalidOpcode = 6,
    /// #GP, general protection; only with MISCSELECT.EXINFO.
    GeneralProtection = 13,
    /// #PF, page fault; only with MISCSELECT.EXINFO.
    PageFault = 14,
    /// #MF, x87 error.
    X87 = 16,
    /// #AC, alignment check.
    AlignmentCheck = 17,
    /// #XM, SIMD error.
    Simd = 19,
    /// #CP, control protection; only with MISCSELECT.CPINFO.
    ControlProtection = 21,
}

impl Vector {
    /// The exception with this vector, if it is one that SGX reports.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::DivideError,
            1 => Self::Debug,
            3 => Self::Breakpoint,
            5 => Self::BoundRange,
            6 => Self::InvalidOpcode,
            13 => Self::GeneralProtection,
            14 => Self::PageFault,
            16 => Self::X87,
            17 => Self::AlignmentCheck,
            19 => Self::Simd,
            21 => Self::ControlProtection,
            _ => return None,
        })
    }
}

/// EXINFO: address and error code of a reported #PF or #GP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ExInfo {
    /// For #PF the faulting address (CR2); zero for #GP.
    pub address: u64,
    /// Error code of the exception; [`PageFaultCode`] for #PF.
    pub error_code: u32,
    /// Reserved: zero.
    pub reserved: u32,
}
layout!(ExInfo: 16, address @ 0, error_code @ 8, reserved @ 12);

impl ExInfo {
    /// An EXINFO with reserved fields zero.
    #[must_use]
    pub const fn new(address: u64, error_code: u32) -> Self {
        Self { address, error_code, reserved: 0 }
    }
}

/// Error code of a page fault (SDM volume 3A, 4.7).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct PageFaultCode(u32);

bitflags! {
    impl PageFaultCode: u32 {
        /// The page was present; else it was not.
        const P = 1 << 0;
        /// The access was a write.
        const W = 1 << 1;
        /// The access came from user mode.
        const U = 1 << 2;
        /// A reserved bit was set in a paging structure.
        const RSVD = 1 << 3;
        /// The access was an instruction fetch.
        const I = 1 << 4;
        /// A protection key forbade it.
        const PK = 1 << 5;
        /// The EPCM forbade it.
        const SGX = 1 << 15;
    }
}
