//! SIGSTRUCT and EINITTOKEN (SDM 37.14, 37.15), and the names that measurements start with.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Attributes, MiscSelect, layout};

/// Bytes of the RSA-3072 numbers in a SIGSTRUCT, which are little-endian.
pub const RSA_BYTES: usize = 384;

/// The only public exponent that EINIT takes.
pub const RSA_EXPONENT: u32 = 3;

/// SIGSTRUCT.HEADER.
pub const SIGSTRUCT_HEADER: [u8; 16] = [6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0];

/// SIGSTRUCT.HEADER2.
pub const SIGSTRUCT_HEADER2: [u8; 16] = [1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1, 0, 0, 0];

/// First eight bytes of what ECREATE puts into MRENCLAVE.
pub const MEASURE_ECREATE: [u8; 8] = *b"ECREATE\0";
/// First eight bytes of what EADD puts into MRENCLAVE.
pub const MEASURE_EADD: [u8; 8] = *b"EADD\0\0\0\0";
/// First eight bytes of what EEXTEND puts into MRENCLAVE.
pub const MEASURE_EEXTEND: [u8; 8] = *b"EEXTEND\0";

/// SIGSTRUCT: the enclave's certificate. EINIT wants it page aligned.
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Sigstruct {
    /// [`SIGSTRUCT_HEADER`].
    pub header: [u8; 16],
    /// 0x8086 for Intel's enclaves, else 0.
    pub vendor: u32,
    /// Build date, binary-coded decimal 0xyyyymmdd.
    pub date: u32,
    /// [`SIGSTRUCT_HEADER2`].
    pub header2: [u8; 16],
    /// For the software's use.
    pub sw_defined: u32,
    /// Reserved: zero.
    pub reserved1: [u8; 84],
    /// Modulus of the signer's key.
    pub modulus: [u8; RSA_BYTES],
    /// [`RSA_EXPONENT`].
    pub exponent: u32,
    /// PKCS #1 v1.5 signature, with SHA-256, over [`Sigstruct::signed_parts`].
    pub signature: [u8; RSA_BYTES],
    /// Demanded MISCSELECT under the mask.
    pub misc_select: MiscSelect,
    /// Bits of MISCSELECT that are compared.
    pub misc_mask: MiscSelect,
    /// Demanded CET attributes under the mask.
    pub cet_attributes: u8,
    /// Bits of the CET attributes that are compared.
    pub cet_attributes_mask: u8,
    /// Reserved: zero.
    pub reserved2: [u8; 2],
    /// Family id (KSS).
    pub isv_family_id: [u8; 16],
    /// Demanded attributes under the mask.
    pub attributes: Attributes,
    /// Bits of the attributes that are compared.
    pub attribute_mask: Attributes,
    /// Demanded MRENCLAVE.
    pub enclave_hash: [u8; 32],
    /// Reserved: zero.
    pub reserved3: [u8; 16],
    /// Extended product id (KSS).
    pub isv_ext_prod_id: [u8; 16],
    /// Product id.
    pub isv_prod_id: u16,
    /// Security version.
    pub isv_svn: u16,
    /// Reserved: zero.
    pub reserved4: [u8; 12],
    /// floor(signature² / modulus).
    pub q1: [u8; RSA_BYTES],
    /// floor((signature³ - q1 · signature · modulus) / modulus).
    pub q2: [u8; RSA_BYTES],
}
layout!(
    Sigstruct: 1808, header @ 0, vendor @ 16, date @ 20, header2 @ 24, sw_defined @ 40,
    modulus @ 128, exponent @ 512, signature @ 516, misc_select @ 900, misc_mask @ 904,
    cet_attributes @ 908, cet_attributes_mask @ 909, isv_family_id @ 912, attributes @ 928,
    attribute_mask @ 944, enclave_hash @ 960, reserved3 @ 992, isv_ext_prod_id @ 1008,
    isv_prod_id @ 1024, isv_svn @ 1026, reserved4 @ 1028, q1 @ 1040, q2 @ 1424,
);

impl Sigstruct {
    /// The bytes that are signed: HEADER to reserved bytes before MODULUS, and MISCSELECT to ISVSVN.
    #[must_use]
    pub fn signed_parts(&self) -> [&[u8]; 2] {
        let bytes = self.as_bytes();
        [&bytes[..128], &bytes[900..1028]]
    }

    /// Whether all reserved bytes are zero, as EINIT demands.
    #[must_use]
    pub fn reserved_is_zero(&self) -> bool {
        [&self.reserved1[..], &self.reserved2, &self.reserved3, &self.reserved4]
            .iter()
            .all(|bytes| bytes.iter().all(|&byte| byte == 0))
    }
}

/// EINITTOKEN: the launch enclave's permission. EINIT wants it 512-byte aligned.
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct EinitToken {
    /// Bit 0: the token is valid; else the processor asks for the launch key hash to match.
    pub valid: u32,
    /// Reserved: zero.
    pub reserved1: [u8; 44],
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
    /// Processor version of the launch enclave.
    pub cpu_svn_le: [u8; 16],
    /// Product id of the launch enclave.
    pub isv_prod_id_le: u16,
    /// Security version of the launch enclave.
    pub isv_svn_le: u16,
    /// Masked CET attributes of the launch enclave.
    pub masked_cet_attributes_le: u8,
    /// Reserved: zero.
    pub reserved4: [u8; 23],
    /// Masked MISCSELECT of the launch enclave.
    pub masked_misc_select_le: MiscSelect,
    /// Masked attributes of the launch enclave.
    pub masked_attributes_le: Attributes,
    /// Wear-out protection of the key.
    pub key_id: [u8; 32],
    /// AES-CMAC over bytes 0 to 191 with the EINITTOKEN key.
    pub mac: [u8; 16],
}
layout!(
    EinitToken: 304, valid @ 0, attributes @ 48, mrenclave @ 64, mrsigner @ 128,
    cpu_svn_le @ 192, isv_prod_id_le @ 208, isv_svn_le @ 210, masked_cet_attributes_le @ 212,
    masked_misc_select_le @ 236, masked_attributes_le @ 240, key_id @ 256, mac @ 288,
);
