//! The check of a SIGSTRUCT that EINIT makes (SDM volume 3D, 40.3: EINIT).

use std::ops::Deref;

use num_bigint::BigUint;
use sgx_types::{
    RSA_BYTES, RSA_EXPONENT, SIGSTRUCT_HEADER, SIGSTRUCT_HEADER2, SgxError, Sigstruct,
};
use sha2::{Digest, Sha256};

use crate::{MrEnclave, MrSigner};

/// Vendor number of Intel.
const INTEL: u32 = 0x8086;

/// ASN.1 before the digest in a PKCS #1 v1.5 signature with SHA-256 (RFC 8017, 9.2).
pub(crate) const DIGEST_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// A SIGSTRUCT whose form and signature have been checked; made by [`verify_sigstruct`] only.
#[derive(Clone, Debug)]
pub struct VerifiedSigstruct {
    sigstruct: Sigstruct,
    mrsigner: MrSigner,
}

impl VerifiedSigstruct {
    /// Who signed.
    #[must_use]
    pub fn mrsigner(&self) -> MrSigner {
        self.mrsigner
    }

    /// What was signed.
    #[must_use]
    pub fn mrenclave(&self) -> MrEnclave {
        MrEnclave(self.sigstruct.enclave_hash)
    }
}

impl Deref for VerifiedSigstruct {
    type Target = Sigstruct;

    fn deref(&self) -> &Sigstruct {
        &self.sigstruct
    }
}

/// Checks form and signature of a SIGSTRUCT, but not whether any enclave fits it.
///
/// # Errors
/// For whatever EINIT refuses, and for a modulus that is no RSA-3072 one.
pub fn verify_sigstruct(sigstruct: &Sigstruct) -> Result<VerifiedSigstruct, SigstructError> {
    check_form(sigstruct)?;
    if signed_message(sigstruct)? != expected_message(&signed_digest(sigstruct)) {
        return Err(SigstructError::Signature);
    }
    let mrsigner = MrSigner(Sha256::digest(sigstruct.modulus).into());
    Ok(VerifiedSigstruct { sigstruct: sigstruct.clone(), mrsigner })
}

fn check_form(sigstruct: &Sigstruct) -> Result<(), SigstructError> {
    if sigstruct.header != SIGSTRUCT_HEADER || sigstruct.header2 != SIGSTRUCT_HEADER2 {
        return Err(SigstructError::Header);
    }
    if ![0, INTEL].contains(&sigstruct.vendor) {
        return Err(SigstructError::Vendor(sigstruct.vendor));
    }
    if sigstruct.exponent != RSA_EXPONENT {
        return Err(SigstructError::Exponent(sigstruct.exponent));
    }
    if !sigstruct.reserved_is_zero() {
        return Err(SigstructError::Reserved);
    }
    Ok(())
}

/// SHA-256 of the signed parts.
pub(crate) fn signed_digest(sigstruct: &Sigstruct) -> [u8; 32] {
    let [first, second] = sigstruct.signed_parts();
    Sha256::new_with_prefix(first).chain_update(second).finalize().into()
}

/// The padded message of a signature over `digest`, most significant byte first.
pub(crate) fn expected_message(digest: &[u8; 32]) -> BigUint {
    let mut message = [0xff; RSA_BYTES];
    let (padding, tail) = message.split_at_mut(RSA_BYTES - DIGEST_INFO.len() - digest.len());
    padding[..2].copy_from_slice(&[0, 1]);
    if let Some(separator) = padding.last_mut() {
        *separator = 0;
    }
    let (info, hash) = tail.split_at_mut(DIGEST_INFO.len());
    info.copy_from_slice(&DIGEST_INFO);
    hash.copy_from_slice(digest);
    BigUint::from_bytes_be(&message)
}

/// signature³ mod modulus, by subtracting the quotients that the SIGSTRUCT carries: two
/// multiplications each, no division, and proof that the quotients are right.
fn signed_message(sigstruct: &Sigstruct) -> Result<BigUint, SigstructError> {
    let number = |bytes: &[u8; RSA_BYTES]| BigUint::from_bytes_le(bytes);
    let modulus = number(&sigstruct.modulus);
    if modulus.bits() != 8 * RSA_BYTES as u64 || !modulus.bit(0) {
        return Err(SigstructError::Modulus);
    }
    let signature = number(&sigstruct.signature);
    if signature >= modulus {
        return Err(SigstructError::Signature);
    }
    let reduce = |product: BigUint, quotient: &[u8; RSA_BYTES]| {
        let multiple = number(quotient) * &modulus;
        (product >= multiple)
            .then(|| product - multiple)
            .filter(|rest| *rest < modulus)
            .ok_or(SigstructError::Quotient)
    };
    let square = reduce(&signature * &signature, &sigstruct.q1)?;
    reduce(square * &signature, &sigstruct.q2)
}

/// Why a SIGSTRUCT is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigstructError {
    /// HEADER or HEADER2 is not the constant that it must be.
    #[error("not a SIGSTRUCT: wrong header")]
    Header,
    /// Neither 0 nor Intel.
    #[error("SIGSTRUCT has unknown vendor {0:#x}")]
    Vendor(u32),
    /// Not 3.
    #[error("SIGSTRUCT has RSA exponent {0} instead of 3")]
    Exponent(u32),
    /// A reserved byte is set.
    #[error("SIGSTRUCT has a reserved byte that is not zero")]
    Reserved,
    /// Not an odd number of 3072 bits.
    #[error("SIGSTRUCT has a modulus that is no RSA-3072 modulus")]
    Modulus,
    /// Q1 or Q2 is not the quotient that it must be.
    #[error("SIGSTRUCT has wrong Q1 or Q2")]
    Quotient,
    /// Not the signer's signature over these fields.
    #[error("SIGSTRUCT has a wrong signature")]
    Signature,
}

impl SigstructError {
    /// The code with which EINIT fails.
    #[must_use]
    pub fn code(self) -> SgxError {
        match self {
            Self::Header | Self::Vendor(_) | Self::Exponent(_) | Self::Reserved => {
                SgxError::InvalidSigStruct
            }
            Self::Modulus | Self::Quotient | Self::Signature => SgxError::InvalidSignature,
        }
    }
}
