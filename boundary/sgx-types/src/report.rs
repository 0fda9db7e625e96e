//! REPORT and TARGETINFO (SDM 37.16, 37.17).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Attributes, MiscSelect, layout};

/// TARGETINFO: the enclave that shall be able to check a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(512))]
pub struct TargetInfo {
    /// MRENCLAVE of the target.
    pub measurement: [u8; 32],
    /// Attributes of the target.
    pub attributes: Attributes,
    /// CET attributes of the target.
    pub cet_attributes: u8,
    /// Reserved: zero.
    pub reserved1: u8,
    /// CONFIGSVN of the target.
    pub config_svn: u16,
    /// MISCSELECT of the target.
    pub misc_select: MiscSelect,
    /// Reserved: zero.
    pub reserved2: [u8; 8],
    /// CONFIGID of the target.
    pub config_id: [u8; 64],
    /// Reserved: zero.
    pub reserved3: [u8; 384],
}
layout!(
    TargetInfo: 512, measurement @ 0, attributes @ 32, cet_attributes @ 48, config_svn @ 50,
    misc_select @ 52, config_id @ 64, reserved3 @ 128,
);

impl TargetInfo {
    /// Whether all reserved bytes are zero, as EREPORT demands.
    #[must_use]
    pub fn reserved_is_zero(&self) -> bool {
        self.reserved1 == 0
            && self.reserved2.iter().all(|&byte| byte == 0)
            && self.reserved3.iter().all(|&byte| byte == 0)
    }
}

impl From<&ReportBody> for TargetInfo {
    /// The target that is the reported enclave itself.
    fn from(body: &ReportBody) -> Self {
        Self {
            measurement: body.mrenclave,
            attributes: body.attributes,
            cet_attributes: body.cet_attributes,
            config_svn: body.config_svn,
            misc_select: body.misc_select,
            config_id: body.config_id,
            ..Self::default()
        }
    }
}

/// The part of a REPORT that its MAC covers, and that a quote carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ReportBody {
    /// Security version of the processor.
    pub cpu_svn: [u8; 16],
    /// MISCSELECT of the enclave.
    pub misc_select: MiscSelect,
    /// CET attributes of the enclave.
    pub cet_attributes: u8,
    /// Reserved: zero.
    pub reserved1: [u8; 11],
    /// Extended product id (KSS).
    pub isv_ext_prod_id: [u8; 16],
    /// Attributes of the enclave.
    pub attributes: Attributes,
    /// Measurement of the enclave.
    pub mrenclave: [u8; 32],
    /// Reserved: zero.
    pub reserved2: [u8; 32],
    /// Signer of the enclave.
    pub mrsigner: [u8; 32],
    /// Reserved: zero.
    pub reserved3: [u8; 32],
    /// Configuration identity (KSS).
    pub config_id: [u8; 64],
    /// Product id.
    pub isv_prod_id: u16,
    /// Security version of the enclave.
    pub isv_svn: u16,
    /// Security version of the configuration (KSS).
    pub config_svn: u16,
    /// Reserved: zero.
    pub reserved4: [u8; 42],
    /// Family id (KSS).
    pub isv_family_id: [u8; 16],
    /// Chosen by the enclave that reports.
    pub report_data: [u8; 64],
}
layout!(
    ReportBody: 384, cpu_svn @ 0, misc_select @ 16, cet_attributes @ 20, isv_ext_prod_id @ 32,
    attributes @ 48, mrenclave @ 64, mrsigner @ 128, config_id @ 192, isv_prod_id @ 256,
    isv_svn @ 258, config_svn @ 260, isv_family_id @ 304, report_data @ 320,
);

/// REPORT: an enclave's statement to another one on the same machine. EREPORT writes it to a
/// 512-byte boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Report {
    /// What is reported.
    pub body: ReportBody,
    /// Wear-out protection of the report key.
    pub key_id: [u8; 32],
    /// AES-CMAC over the body with the target's report key.
    pub mac: [u8; 16],
}
layout!(Report: 432, body @ 0, key_id @ 384, mac @ 416);
