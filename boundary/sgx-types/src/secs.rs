//! SECS: the SGX enclave control structure (SDM 37.7).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Attributes, MiscSelect, layout};

/// SECS: identity and shape of an enclave. Only the processor sees it after ECREATE.
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
pub struct Secs {
    /// Bytes of ELRANGE; a power of two.
    pub size: u64,
    /// First address of ELRANGE; naturally aligned.
    pub base: u64,
    /// Pages of one SSA frame.
    pub ssa_frame_size: u32,
    /// Optional parts of the SSA frame.
    pub misc_select: MiscSelect,
    /// Offset of the legacy code page bitmap (CET).
    pub cet_leg_bitmap_offset: u64,
    /// CET features in use.
    pub cet_attributes: u8,
    /// Reserved: zero.
    pub reserved1: [u8; 15],
    /// Attributes.
    pub attributes: Attributes,
    /// Measurement of the enclave, set by EINIT.
    pub mrenclave: [u8; 32],
    /// Reserved: zero.
    pub reserved2: [u8; 32],
    /// SHA-256 of the signer's modulus, set by EINIT.
    pub mrsigner: [u8; 32],
    /// Reserved: zero.
    pub reserved3: [u8; 32],
    /// Configuration identity (KSS), chosen by who creates the enclave.
    pub config_id: [u8; 64],
    /// Product id, set by EINIT.
    pub isv_prod_id: u16,
    /// Security version of the enclave, set by EINIT.
    pub isv_svn: u16,
    /// Security version of the configuration (KSS).
    pub config_svn: u16,
    /// Reserved: zero.
    pub reserved4: [u8; 3834],
}
layout!(
    Secs: 4096, size @ 0, base @ 8, ssa_frame_size @ 16, misc_select @ 20,
    cet_leg_bitmap_offset @ 24, cet_attributes @ 32, attributes @ 48, mrenclave @ 64,
    mrsigner @ 128, config_id @ 192, isv_prod_id @ 256, isv_svn @ 258, config_svn @ 260,
    reserved4 @ 262,
);

impl Secs {
    /// Whether all reserved bytes are zero, as ECREATE demands.
    #[must_use]
    pub fn reserved_is_zero(&self) -> bool {
        [&self.reserved1[..], &self.reserved2, &self.reserved3, &self.reserved4]
            .iter()
            .all(|bytes| bytes.iter().all(|&byte| byte == 0))
    }
}
