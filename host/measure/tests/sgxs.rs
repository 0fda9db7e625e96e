//! Measurement and signature against `sgxs`, an independent implementation, for random enclaves.

use std::{borrow::Cow, io};

use measure::{
    Claims, Contents, Coverage, Date, EnclaveParams, Layout, MrEnclave, PAGE, Region, SigningKey,
};
use num_bigint::BigUint;
use proptest::prelude::*;
use rsa::{
    PrivateKey,
    pkcs8::DecodePrivateKey,
    traits::{PrivateKeyParts, PublicKeyParts},
};
use sgx_types::{AttributeFlags, Attributes, MiscSelect, SecInfoFlags, Sigstruct, Xfrm};
use sgxs::{
    crypto::{Hash, SgxHashOps, SgxRsaOps},
    sgxs::{CanonicalSgxsWriter, MeasECreate, SecinfoTruncated},
    sigstruct::{EnclaveHash, Signer},
};
use sha2::{Digest, Sha256};
use zerocopy::IntoBytes;

/// SHA-256 for `sgxs`.
struct Hasher(Sha256);

impl SgxHashOps for Hasher {
    fn new() -> Self {
        Self(Sha256::new())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finish(self) -> Hash {
        self.0.finalize().into()
    }
}

/// Textbook RSA for `sgxs`: one exponentiation, and the quotients by their definition.
struct TextbookKey {
    n: BigUint,
    d: BigUint,
}

impl TextbookKey {
    fn development() -> Self {
        let key = PrivateKey::from_pkcs8_pem(measure::DEVELOPMENT_KEY).unwrap();
        Self {
            n: BigUint::from_bytes_le(&key.n().to_le_bytes()),
            d: BigUint::from_bytes_le(&key.d().to_le_bytes()),
        }
    }
}

impl SgxRsaOps for TextbookKey {
    type Error = io::Error;

    fn len(&self) -> usize {
        usize::try_from(self.n.bits()).unwrap()
    }

    fn sign_sha256_pkcs1v1_5_with_q1_q2<H: AsRef<[u8]>>(
        &self,
        hash: H,
    ) -> Result<(Vec<u8>, Vec<u8>, Vec<u8>), io::Error> {
        let digest_info = b"010\r\x06\x09`\x86H\x01e\x03\x04\x02\x01\x05\0\x04 ";
        let mut message = vec![0, 1];
        message.resize(384 - 1 - digest_info.len() - 32, 0xff);
        message.push(0);
        message.extend_from_slice(digest_info);
        message.extend_from_slice(hash.as_ref());
        let (n, s) = (&self.n, BigUint::from_bytes_be(&message).modpow(&self.d, &self.n));
        let q1 = s.pow(2) / n;
        let q2 = (s.pow(3) - &q1 * &s * n) / n;
        Ok((s.to_bytes_le(), q1.to_bytes_le(), q2.to_bytes_le()))
    }

    fn verify_sha256_pkcs1v1_5<S: AsRef<[u8]>, H: AsRef<[u8]>>(
        &self,
        _: S,
        _: H,
    ) -> Result<(), io::Error> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn e(&self) -> Vec<u8> {
        vec![3]
    }

    fn n(&self) -> Vec<u8> {
        self.n.to_bytes_le()
    }
}

/// MRENCLAVE as `sgxs` computes it from a stream in its own format.
fn mrenclave_of_sgxs(layout: &Layout<'_>) -> MrEnclave {
    let mut stream = Vec::new();
    let params = layout.params();
    let ecreate = MeasECreate { ssaframesize: params.ssa_frame_pages, size: params.size };
    let mut writer = CanonicalSgxsWriter::new(&mut stream, ecreate, true).unwrap();
    for page in layout.pages() {
        let flags = sgx_isa::SecinfoFlags::from_bits(page.flags.bits()).unwrap();
        let mut data = (page.coverage == Coverage::Extended).then_some(&page.contents[..]);
        writer.write_page(data.as_mut(), Some(page.offset), SecinfoTruncated { flags }).unwrap();
    }
    MrEnclave(EnclaveHash::from_stream::<_, Hasher>(&mut &stream[..]).unwrap().hash())
}

/// Flags of pages that EADD takes.
fn page_flags() -> impl Strategy<Value = SecInfoFlags> {
    use SecInfoFlags as F;
    prop::sample::select(vec![
        F::PT_TCS,
        F::PT_REG,
        F::PT_REG | F::R,
        F::PT_REG | F::R | F::W,
        F::PT_REG | F::R | F::X,
        F::PT_REG | F::X,
        F::PT_REG | F::RWX,
    ])
}

/// A gap before the region, its pages, flags, contents unless zero, and how it is measured.
type RegionSeed = (u64, u64, SecInfoFlags, Option<u8>, Coverage);

fn coverage() -> impl Strategy<Value = Coverage> {
    prop::sample::select(vec![Coverage::Extended, Coverage::Verified, Coverage::Uncovered])
}

fn region_seed() -> impl Strategy<Value = RegionSeed> {
    (0..300_u64, 0..4_u64, page_flags(), any::<Option<u8>>(), coverage())
}

fn contents(seed: Option<u8>, pages: u64) -> Contents<'static> {
    let Some(seed) = seed else { return Contents::Zero };
    let bytes = (0..pages * PAGE).map(|i| (i.wrapping_mul(u64::from(seed) + 1) >> 5) as u8);
    Contents::Bytes(Cow::Owned(bytes.collect()))
}

prop_compose! {
    fn layouts()(
        (size_bits, ssa_frame_pages) in (24..=46_u32, 1..64_u32),
        seeds in prop::collection::vec(region_seed(), 0..6),
    ) -> Layout<'static> {
        let mut layout = Layout::new(EnclaveParams {
            base: 0,
            size: 1 << size_bits,
            ssa_frame_pages,
            attributes: Attributes::default(),
            misc_select: MiscSelect::EXINFO,
        }).unwrap();
        let mut offset = 0;
        for (gap, pages, flags, seed, coverage) in seeds {
            offset += gap * PAGE;
            let region = Region { offset, pages, flags, contents: contents(seed, pages), coverage };
            offset = region.end();
            layout.add(region).unwrap();
        }
        layout
    }
}

prop_compose! {
    /// Claims that the development key signs, with values in every field that `sgxs` knows.
    fn claims()(
        (mrenclave, isv_ext_prod_id) in any::<([u8; 32], [u8; 16])>(),
        (isv_prod_id, isv_svn, sw_defined, seconds) in any::<(u16, u16, u32, u32)>(),
        (flags, flag_mask, xfrm, xfrm_mask) in (0..0x100_u64, any::<u64>(), any::<u64>(), any::<u64>()),
        (misc_select, misc_mask) in (0..2_u32, any::<u32>()),
    ) -> Claims {
        let known = sgx_isa::AttributesFlags::from_bits_truncate(flags).bits();
        Claims {
            mrenclave: MrEnclave(mrenclave),
            vendor: 0,
            date: Date::from_unix(seconds.into()).unwrap(),
            sw_defined,
            attributes: Attributes {
                flags: AttributeFlags::from_bits_retain(known) | AttributeFlags::DEBUG,
                xfrm: Xfrm::from_bits_retain(xfrm),
            },
            attribute_mask: Attributes {
                flags: AttributeFlags::from_bits_retain(flag_mask) | AttributeFlags::DEBUG,
                xfrm: Xfrm::from_bits_retain(xfrm_mask),
            },
            misc_select: MiscSelect::from_bits_retain(misc_select),
            misc_mask: MiscSelect::from_bits_retain(misc_mask),
            isv_prod_id,
            isv_svn,
            isv_family_id: [0; 16],
            isv_ext_prod_id,
        }
    }
}

/// The same claims for `sgxs`.
fn signer_of_sgxs(claims: &Claims) -> Signer {
    let bcd = format!("{:08x}", claims.date.bcd());
    let mut signer = Signer::new(EnclaveHash::new(claims.mrenclave.0));
    signer
        .date(bcd[..4].parse().unwrap(), bcd[4..6].parse().unwrap(), bcd[6..].parse().unwrap())
        .swdefined(claims.sw_defined)
        .isvextprodid(claims.isv_ext_prod_id)
        .isvprodid(claims.isv_prod_id)
        .isvsvn(claims.isv_svn)
        .miscselect(
            sgx_isa::Miscselect::from_bits(claims.misc_select.bits()).unwrap(),
            claims.misc_mask.bits(),
        )
        .attributes_flags(
            sgx_isa::AttributesFlags::from_bits(claims.attributes.flags.bits()).unwrap(),
            claims.attribute_mask.flags.bits(),
        )
        .attributes_xfrm(claims.attributes.xfrm.bits(), claims.attribute_mask.xfrm.bits());
    signer
}

fn signed_bytes(sigstruct: &Sigstruct) -> Vec<u8> {
    sigstruct.signed_parts().concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn mrenclave_is_that_of_sgxs(layout in layouts()) {
        prop_assert_eq!(layout.measure(), mrenclave_of_sgxs(&layout));
    }

    #[test]
    fn signed_bytes_are_those_of_sgxs(claims in claims()) {
        let theirs = signer_of_sgxs(&claims).unsigned_sig();
        let (first, second) = theirs.signature_data();
        prop_assert_eq!(signed_bytes(&claims.unsigned()), [first, second].concat());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn sigstruct_is_that_of_sgxs(claims in claims()) {
        let ours = SigningKey::development().unwrap().sign(&claims).unwrap();
        let theirs =
            signer_of_sgxs(&claims).sign::<_, Hasher>(&TextbookKey::development()).unwrap();
        prop_assert_eq!(ours.as_bytes(), AsRef::<[u8]>::as_ref(&theirs));
    }
}
