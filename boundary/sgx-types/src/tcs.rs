//! TCS: the thread control structure (SDM 37.8).

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::layout;

/// TCS: where a thread enters the enclave. Offsets count from the enclave's base.
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
pub struct Tcs {
    /// Execution state; zero when added.
    pub stage: u64,
    /// Flags of the thread.
    pub flags: TcsFlags,
    /// Offset of the first SSA frame.
    pub ossa: u64,
    /// Index of the SSA frame that the next AEX uses; zero when added.
    pub cssa: u32,
    /// SSA frames.
    pub nssa: u32,
    /// Offset of the entry point.
    pub oentry: u64,
    /// Asynchronous exit pointer, kept by the processor; zero when added.
    pub aep: u64,
    /// Offset to which FS points inside.
    pub ofs_base: u64,
    /// Offset to which GS points inside.
    pub ogs_base: u64,
    /// Limit of FS in 32-bit mode, low twelve bits set.
    pub fs_limit: u32,
    /// Limit of GS in 32-bit mode, low twelve bits set.
    pub gs_limit: u32,
    /// Offset of the CET state save areas.
    pub ocet_ssa: u64,
    /// Previous shadow stack pointer.
    pub prev_ssp: u64,
    /// Reserved: zero.
    pub reserved: [u8; 4008],
}
layout!(
    Tcs: 4096, stage @ 0, flags @ 8, ossa @ 16, cssa @ 24, nssa @ 28, oentry @ 32, aep @ 40,
    ofs_base @ 48, ogs_base @ 56, fs_limit @ 64, gs_limit @ 68, ocet_ssa @ 72, prev_ssp @ 80,
    reserved @ 88,
);

impl Tcs {
    /// Whether all reserved bytes are zero, as EADD demands.
    #[must_use]
    pub fn reserved_is_zero(&self) -> bool {
        self.reserved.iter().all(|&byte| byte == 0)
    }
}

/// TCS.FLAGS.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct TcsFlags(u64);

bitflags! {
    impl TcsFlags: u64 {
        /// The thread may be debugged (set by a debugger; clear when added).
        const DBGOPTIN = 1 << 0;
        /// The thread may ask for AEX-Notify.
        const AEXNOTIFY = 1 << 1;
    }
}
