//! KEYREQUEST (SDM 37.18).

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Attributes, MiscSelect, layout};

/// KEYREQUEST: which key EGETKEY shall derive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(512))]
pub struct KeyRequest {
    /// Encoding of a [`KeyName`].
    pub key_name: u16,
    /// What the key depends on.
    pub key_policy: KeyPolicy,
    /// Security version, at most the enclave's own.
    pub isv_svn: u16,
    /// Bits of the CET attributes that the key depends on.
    pub cet_attributes_mask: u8,
    /// Reserved: zero.
    pub reserved1: u8,
    /// Processor version, at most the machine's own.
    pub cpu_svn: [u8; 16],
    /// Bits of the attributes that the key depends on.
    pub attribute_mask: Attributes,
    /// Wear-out protection.
    pub key_id: [u8; 32],
    /// Bits of MISCSELECT that the key depends on.
    pub misc_mask: MiscSelect,
    /// Security version of the configuration, at most the enclave's own.
    pub config_svn: u16,
    /// Reserved: zero.
    pub reserved2: [u8; 434],
}
layout!(
    KeyRequest: 512, key_name @ 0, key_policy @ 2, isv_svn @ 4, cet_attributes_mask @ 6,
    cpu_svn @ 8, attribute_mask @ 24, key_id @ 40, misc_mask @ 72, config_svn @ 76,
    reserved2 @ 78,
);

impl KeyRequest {
    /// Whether all reserved bytes are zero, as EGETKEY demands.
    #[must_use]
    pub fn reserved_is_zero(&self) -> bool {
        self.reserved1 == 0 && self.reserved2.iter().all(|&byte| byte == 0)
    }
}

/// KEYREQUEST.KEYNAME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum KeyName {
    /// Key of EINITTOKEN's MAC.
    EinitToken = 0,
    /// Provisioning key.
    Provision = 1,
    /// Provisioning seal key.
    ProvisionSeal = 2,
    /// Key of the MAC of reports to this enclave.
    Report = 3,
    /// Seal key.
    Seal = 4,
}

impl KeyName {
    /// The key with this encoding, if there is one.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Option<Self> {
        Some(match bits {
            0 => Self::EinitToken,
            1 => Self::Provision,
            2 => Self::ProvisionSeal,
            3 => Self::Report,
            4 => Self::Seal,
            _ => return None,
        })
    }
}

/// KEYREQUEST.KEYPOLICY.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct KeyPolicy(u16);

bitflags! {
    impl KeyPolicy: u16 {
        /// The key depends on MRENCLAVE.
        const MRENCLAVE = 1 << 0;
        /// The key depends on MRSIGNER.
        const MRSIGNER = 1 << 1;
        /// The key does not depend on ISVPRODID (KSS).
        const NOISVPRODID = 1 << 2;
        /// The key depends on CONFIGID and CONFIGSVN (KSS).
        const CONFIGID = 1 << 3;
        /// The key depends on ISVFAMILYID (KSS).
        const ISVFAMILYID = 1 << 4;
        /// The key depends on ISVEXTPRODID (KSS).
        const ISVEXTPRODID = 1 << 5;
    }
}
