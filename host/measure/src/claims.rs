//! What a signer states about an enclave.

use sgx_types::{
    AttributeFlags, Attributes, MiscSelect, RSA_EXPONENT, SIGSTRUCT_HEADER, SIGSTRUCT_HEADER2,
    Sigstruct, Xfrm,
};

use crate::{Date, Layout, MrEnclave};

/// Features of the processor that an enclave gets when the machine has them: a SIGSTRUCT made by
/// [`Claims::for_layout`] neither demands nor forbids them, but forbids all that are not known.
pub const OPTIONAL_XFRM: Xfrm = Xfrm::AVX.union(Xfrm::AVX512).union(Xfrm::PKRU);

/// The signed fields of a SIGSTRUCT. A machine initialises the enclave only when its
/// attributes and MISCSELECT equal the claimed ones under the masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Measurement of the enclave.
    pub mrenclave: MrEnclave,
    /// 0x8086 for Intel's enclaves, else 0.
    pub vendor: u32,
    /// Build date; only informs.
    pub date: Date,
    /// For the software's use.
    pub sw_defined: u32,
    /// Demanded attributes.
    pub attributes: Attributes,
    /// Bits of the attributes that must be equal.
    pub attribute_mask: Attributes,
    /// Demanded MISCSELECT.
    pub misc_select: MiscSelect,
    /// Bits of MISCSELECT that must be equal.
    pub misc_mask: MiscSelect,
    /// Product id: distinguishes the enclaves of one signer.
    pub isv_prod_id: u16,
    /// Security version: later ones may use the keys of earlier ones.
    pub isv_svn: u16,
    /// Family id (KSS).
    pub isv_family_id: [u8; 16],
    /// Extended product id (KSS).
    pub isv_ext_prod_id: [u8; 16],
}

impl Claims {
    /// Claims for this enclave on every machine: all its attribute flags and its MISCSELECT are
    /// demanded as they are (DEBUG too: a production signature starts no debug enclave), and of
    /// XFRM all but [`OPTIONAL_XFRM`]. Product id and security version are 0.
    #[must_use]
    pub fn for_layout(layout: &Layout<'_>, date: Date) -> Self {
        let params = layout.params();
        Self {
            mrenclave: layout.measure(),
            vendor: 0,
            date,
            sw_defined: 0,
            attributes: Attributes {
                flags: params.attributes.flags,
                xfrm: params.attributes.xfrm.difference(OPTIONAL_XFRM),
            },
            attribute_mask: Attributes {
                flags: AttributeFlags::from_bits_retain(!0),
                xfrm: Xfrm::from_bits_retain(!OPTIONAL_XFRM.bits()),
            },
            misc_select: params.misc_select,
            misc_mask: MiscSelect::from_bits_retain(!0),
            isv_prod_id: 0,
            isv_svn: 0,
            isv_family_id: [0; 16],
            isv_ext_prod_id: [0; 16],
        }
    }

    /// Whether only debug enclaves can have these claims.
    #[must_use]
    pub fn demand_debug(&self) -> bool {
        self.attributes
            .flags
            .intersection(self.attribute_mask.flags)
            .contains(AttributeFlags::DEBUG)
    }

    /// The SIGSTRUCT with all but key and signature.
    #[must_use]
    pub fn unsigned(&self) -> Sigstruct {
        Sigstruct {
            header: SIGSTRUCT_HEADER,
            vendor: self.vendor,
            date: self.date.bcd(),
            header2: SIGSTRUCT_HEADER2,
            sw_defined: self.sw_defined,
            exponent: RSA_EXPONENT,
            misc_select: self.misc_select,
            misc_mask: self.misc_mask,
            isv_family_id: self.isv_family_id,
            attributes: self.attributes,
            attribute_mask: self.attribute_mask,
            enclave_hash: self.mrenclave.0,
            isv_ext_prod_id: self.isv_ext_prod_id,
            isv_prod_id: self.isv_prod_id,
            isv_svn: self.isv_svn,
            ..Sigstruct::default()
        }
    }
}
