//! ATTRIBUTES and MISCSELECT (SDM 37.7.1, 37.7.2).

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::layout;

/// ATTRIBUTES: what an enclave may do and which processor state it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Attributes {
    /// Bits 63:0.
    pub flags: AttributeFlags,
    /// Bits 127:64: XCR0 while the enclave runs.
    pub xfrm: Xfrm,
}
layout!(Attributes: 16, flags @ 0, xfrm @ 8);

/// The low half of ATTRIBUTES.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct AttributeFlags(u64);

bitflags! {
    impl AttributeFlags: u64 {
        /// The enclave has been initialised by EINIT.
        const INIT = 1 << 0;
        /// Debuggers may read and write the enclave's memory.
        const DEBUG = 1 << 1;
        /// The enclave runs in 64-bit mode.
        const MODE64BIT = 1 << 2;
        /// The provisioning key is available through EGETKEY.
        const PROVISIONKEY = 1 << 4;
        /// The EINITTOKEN key is available through EGETKEY.
        const EINITTOKENKEY = 1 << 5;
        /// Control-flow enforcement is enabled.
        const CET = 1 << 6;
        /// Key separation and sharing is enabled.
        const KSS = 1 << 7;
        /// Threads may ask for AEX-Notify.
        const AEXNOTIFY = 1 << 10;
    }
}

/// XFRM: the XSAVE features of an enclave, with the bits of XCR0 (SDM volume 1, 13.3).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Xfrm(u64);

bitflags! {
    impl Xfrm: u64 {
        /// x87 state; always set in a valid XFRM.
        const X87 = 1 << 0;
        /// XMM registers and MXCSR; always set in a valid XFRM.
        const SSE = 1 << 1;
        /// Upper halves of the YMM registers.
        const AVX = 1 << 2;
        /// Mask registers of AVX-512.
        const OPMASK = 1 << 5;
        /// Upper halves of ZMM0 to ZMM15.
        const ZMM_HI256 = 1 << 6;
        /// ZMM16 to ZMM31.
        const HI16_ZMM = 1 << 7;
        /// Protection-key rights register.
        const PKRU = 1 << 9;
        /// AMX tile configuration.
        const TILECFG = 1 << 17;
        /// AMX tile data.
        const TILEDATA = 1 << 18;
        /// What every enclave has.
        const LEGACY = Self::X87.bits() | Self::SSE.bits();
        /// The three components of AVX-512, which are enabled together.
        const AVX512 = Self::OPMASK.bits() | Self::ZMM_HI256.bits() | Self::HI16_ZMM.bits();
    }
}

/// MISCSELECT: what an AEX stores in the MISC region of the SSA frame.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct MiscSelect(u32);

bitflags! {
    impl MiscSelect: u32 {
        /// Report #PF and #GP, with their address and error code.
        const EXINFO = 1 << 0;
        /// Report #CP with its error code.
        const CPINFO = 1 << 1;
    }
}
