//! Pages of the EPC: SECINFO, PAGEINFO and page types (SDM 37.11, 37.12).

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::layout;

/// Bytes of an EPC page.
pub const PAGE_SIZE: usize = 4096;

/// Bytes that one EEXTEND measures.
pub const EEXTEND_SIZE: usize = 256;

/// Type of an EPC page (EPCM.PT and SECINFO.FLAGS.PT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PageType {
    /// SGX enclave control structure.
    Secs = 0,
    /// Thread control structure.
    Tcs = 1,
    /// Regular page.
    Reg = 2,
    /// Version array.
    Va = 3,
    /// Trimmed page, to be removed.
    Trim = 4,
    /// First page of a shadow stack.
    SsFirst = 5,
    /// Further page of a shadow stack.
    SsRest = 6,
}

impl PageType {
    /// The type with this encoding, if there is one.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Secs,
            1 => Self::Tcs,
            2 => Self::Reg,
            3 => Self::Va,
            4 => Self::Trim,
            5 => Self::SsFirst,
            6 => Self::SsRest,
            _ => return None,
        })
    }
}

/// SECINFO.FLAGS: permissions, state and type of a page.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct SecInfoFlags(u64);

bitflags! {
    impl SecInfoFlags: u64 {
        /// Readable.
        const R = 1 << 0;
        /// Writable.
        const W = 1 << 1;
        /// Executable.
        const X = 1 << 2;
        /// Added by EAUG, waits for EACCEPT.
        const PENDING = 1 << 3;
        /// Type changed by EMODT, waits for EACCEPT.
        const MODIFIED = 1 << 4;
        /// Permissions restricted by EMODPR, waits for EACCEPT.
        const PR = 1 << 5;
        /// The page type field.
        const PT_MASK = 0xff << 8;
        /// [`PageType::Tcs`].
        const PT_TCS = 1 << 8;
        /// [`PageType::Reg`].
        const PT_REG = 2 << 8;
        /// [`PageType::Va`].
        const PT_VA = 3 << 8;
        /// [`PageType::Trim`].
        const PT_TRIM = 4 << 8;
        /// [`PageType::SsFirst`].
        const PT_SS_FIRST = 5 << 8;
        /// [`PageType::SsRest`].
        const PT_SS_REST = 6 << 8;
        /// Readable, writable and executable.
        const RWX = Self::R.bits() | Self::W.bits() | Self::X.bits();
    }
}

impl SecInfoFlags {
    /// Flags of a page of type `page_type` without any permission or state.
    #[must_use]
    pub const fn of(page_type: PageType) -> Self {
        Self((page_type as u64) << 8)
    }

    /// The page type, unless its encoding is reserved.
    #[must_use]
    pub const fn page_type(self) -> Option<PageType> {
        PageType::from_bits(self.0.to_le_bytes()[1])
    }

    /// The permissions alone: R, W and X.
    #[must_use]
    pub const fn permissions(self) -> Self {
        Self(self.0 & Self::RWX.0)
    }
}

/// SECINFO: flags of a page as passed to EADD, EMODPR, EMODT, EACCEPT, EACCEPTCOPY and EMODPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub struct SecInfo {
    /// Permissions, state and type.
    pub flags: SecInfoFlags,
    /// Reserved: zero.
    pub reserved: [u64; 7],
}
layout!(SecInfo: 64, flags @ 0, reserved @ 8);

impl SecInfo {
    /// A SECINFO with these flags and zero elsewhere.
    #[must_use]
    pub const fn new(flags: SecInfoFlags) -> Self {
        Self { flags, reserved: [0; 7] }
    }

    /// Whether all reserved bytes are zero, as every instruction demands.
    #[must_use]
    pub const fn reserved_is_zero(&self) -> bool {
        let mut i = 0;
        while i < self.reserved.len() {
            if self.reserved[i] != 0 {
                return false;
            }
            i += 1;
        }
        true
    }
}

impl From<SecInfoFlags> for SecInfo {
    fn from(flags: SecInfoFlags) -> Self {
        Self::new(flags)
    }
}

/// PAGEINFO: operands of EADD, EAUG and ECREATE; all addresses are linear ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(32))]
pub struct PageInfo {
    /// Enclave address of the page.
    pub linaddr: u64,
    /// Address of the page's contents.
    pub srcpge: u64,
    /// Address of the [`SecInfo`] (or PCMD).
    pub secinfo: u64,
    /// Address of the SECS page.
    pub secs: u64,
}
layout!(PageInfo: 32, linaddr @ 0, srcpge @ 8, secinfo @ 16, secs @ 24);
