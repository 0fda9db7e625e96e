//! Keys of enclave signers, and signing.
//!
//! Signing happens offline, at build time, on the signer's machine: the timing of the RSA operations
//! (RUSTSEC-2023-0071, the Marvin attack on the `rsa` crate) is then not observable over a
//! network. Do not serve signatures from a network service with this module.

use std::sync::LazyLock;

use num_bigint::BigUint;
use rsa::{
    BoxedUint, Pkcs1v15Sign, PrivateKey,
    pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey},
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
    traits::PublicKeyParts,
};
use sgx_types::{RSA_BYTES, RSA_EXPONENT, Sigstruct};
use sha2::{Digest, Sha256};

use crate::{
    Claims, MrSigner, SigstructError,
    verify::{DIGEST_INFO, signed_digest, verify_sigstruct},
};

/// The development key as PKCS #8 PEM. It is published with the sources, so it **protects nothing**:
/// everybody can sign with it. [`SigningKey::sign`] signs only debug enclaves with it.
pub const DEVELOPMENT_KEY: &str = include_str!("../keys/development.pem");

static DEVELOPMENT_SIGNER: LazyLock<Option<MrSigner>> =
    LazyLock::new(|| SigningKey::from_pem(DEVELOPMENT_KEY).ok().map(|key| key.mrsigner()));

/// A private RSA-3072 key with exponent 3.
#[derive(Clone)]
pub struct SigningKey(PrivateKey);

impl SigningKey {
    /// Makes a new key, which takes seconds: an exponent of 3 rules out many primes.
    ///
    /// # Errors
    /// When the machine has no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        let exponent = BoxedUint::from(RSA_EXPONENT);
        PrivateKey::new_with_exp(&mut getrandom::SysRng, 8 * RSA_BYTES, exponent)
            .map_err(|error| KeyError::Generate(error.to_string()))
            .and_then(Self::check)
    }

    /// The published development key ([`DEVELOPMENT_KEY`]).
    ///
    /// # Errors
    /// Never, unless the file in the sources was damaged.
    pub fn development() -> Result<Self, KeyError> {
        Self::from_pem(DEVELOPMENT_KEY)
    }

    /// Reads an unencrypted key in PKCS #8 (`PRIVATE KEY`) or PKCS #1 (`RSA PRIVATE KEY`).
    ///
    /// # Errors
    /// When the text is no such key, or the key has not 3072 bits or not exponent 3.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let malformed = |error: &dyn std::fmt::Display| KeyError::Malformed(error.to_string());
        let label = pem
            .lines()
            .find_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
        let key = match label {
            Some("PRIVATE KEY") => {
                PrivateKey::from_pkcs8_pem(pem).map_err(|error| malformed(&error))
            }
            Some("RSA PRIVATE KEY") => {
                PrivateKey::from_pkcs1_pem(pem).map_err(|error| malformed(&error))
            }
            Some("ENCRYPTED PRIVATE KEY") => Err(KeyError::Encrypted),
            Some(label) => Err(KeyError::Label(label.to_owned())),
            None => Err(KeyError::NoPem),
        }?;
        Self::check(key)
    }

    fn check(key: PrivateKey) -> Result<Self, KeyError> {
        let bits = key.n().bit_width();
        if bits != 8 * RSA_BYTES as u32 {
            return Err(KeyError::Bits(bits));
        }
        if key.e() != &BoxedUint::from(RSA_EXPONENT) {
            return Err(KeyError::Exponent);
        }
        Ok(Self(key))
    }

    /// The key as PKCS #8 PEM, unencrypted: to be written to a file that only its owner can read.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn to_pkcs8_pem(&self) -> Result<String, KeyError> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF);
        Ok(pem.map_err(|error| KeyError::Malformed(error.to_string()))?.to_string())
    }

    /// The key as PKCS #1 PEM, which some signing tools want; unencrypted.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn to_pkcs1_pem(&self) -> Result<String, KeyError> {
        let pem = self.0.to_pkcs1_pem(LineEnding::LF);
        Ok(pem.map_err(|error| KeyError::Malformed(error.to_string()))?.to_string())
    }

    /// MRSIGNER of the enclaves that this key signs.
    #[must_use]
    pub fn mrsigner(&self) -> MrSigner {
        MrSigner(Sha256::digest(self.modulus()).into())
    }

    /// Whether this is [`DEVELOPMENT_KEY`].
    #[must_use]
    pub fn is_development(&self) -> bool {
        *DEVELOPMENT_SIGNER == Some(self.mrsigner())
    }

    /// Signs an enclave, and verifies the signature before handing it out.
    ///
    /// # Errors
    /// When the development key should sign what is not only for debugging, the claims have no valid
    /// form, or the RSA operation fails.
    pub fn sign(&self, claims: &Claims) -> Result<Sigstruct, SignError> {
        if self.is_development() && !claims.demand_debug() {
            return Err(SignError::DevelopmentKey);
        }
        let mut sigstruct = claims.unsigned();
        sigstruct.modulus = self.modulus();
        let scheme = Pkcs1v15Sign { hash_len: Some(32), prefix: DIGEST_INFO.into() };
        let signature = self
            .0
            .sign_with_rng(&mut getrandom::SysRng, scheme, &signed_digest(&sigstruct))
            .map_err(|error| SignError::Rsa(error.to_string()))?;
        let signature = BigUint::from_bytes_be(&signature);
        let modulus = BigUint::from_bytes_le(&sigstruct.modulus);
        let square = &signature * &signature;
        sigstruct.signature = little_endian(&signature);
        sigstruct.q1 = little_endian(&(&square / &modulus));
        sigstruct.q2 = little_endian(&(square % &modulus * signature / modulus));
        verify_sigstruct(&sigstruct)?;
        Ok(sigstruct)
    }

    fn modulus(&self) -> [u8; RSA_BYTES] {
        little_endian(&BigUint::from_bytes_le(&self.0.n().to_le_bytes()))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.mrsigner())
    }
}

/// The low 384 bytes of a number; those of this module have no more.
fn little_endian(number: &BigUint) -> [u8; RSA_BYTES] {
    let mut bytes = number.to_bytes_le();
    bytes.resize(RSA_BYTES, 0);
    std::array::from_fn(|i| bytes[i])
}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No `-----BEGIN` line.
    #[error("not a PEM file")]
    NoPem,
    /// A key that is protected by a password.
    #[error("the key is encrypted; decrypt it first, e.g. with `openssl pkcs8 -in KEY -out KEY2`")]
    Encrypted,
    /// Something else than a private key.
    #[error("the PEM file holds a `{0}` instead of a `PRIVATE KEY` or `RSA PRIVATE KEY`")]
    Label(String),
    /// Damaged, or not RSA.
    #[error("not an RSA key: {0}")]
    Malformed(String),
    /// Wrong size.
    #[error("the key has {0} bits instead of the 3072 that SGX demands")]
    Bits(u32),
    /// Wrong exponent.
    #[error("the key's public exponent is not the 3 that SGX demands")]
    Exponent,
    /// Key generation failed.
    #[error("cannot generate a key: {0}")]
    Generate(String),
}

/// Why an enclave is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The published key protects nothing.
    #[error("the published development key signs debug enclaves only; use a key of your own")]
    DevelopmentKey,
    /// The RSA operation failed.
    #[error("RSA signing failed: {0}")]
    Rsa(String),
    /// The result does not verify.
    #[error("the signed structure is not valid: {0}")]
    Invalid(#[from] SigstructError),
}
