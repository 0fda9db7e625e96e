//! Signing and checking: what EINIT would take, and all that it must refuse.

use measure::{
    Claims, Date, KeyError, MrEnclave, SignError, SigningKey, SigstructError, verify_sigstruct,
};
use sgx_types::{AttributeFlags, Attributes, MiscSelect, SgxError, Sigstruct, Xfrm};
use zerocopy::{FromBytes, IntoBytes};

fn claims() -> Claims {
    let flags = AttributeFlags::MODE64BIT | AttributeFlags::DEBUG;
    Claims {
        mrenclave: MrEnclave([0x5a; 32]),
        vendor: 0,
        date: Date::new(2026, 1, 31).unwrap(),
        sw_defined: 7,
        attributes: Attributes { flags, xfrm: Xfrm::LEGACY },
        attribute_mask: Attributes { flags, xfrm: Xfrm::LEGACY },
        misc_select: MiscSelect::EXINFO,
        misc_mask: MiscSelect::EXINFO,
        isv_prod_id: 1,
        isv_svn: 2,
        isv_family_id: [3; 16],
        isv_ext_prod_id: [4; 16],
    }
}

fn signed() -> Sigstruct {
    SigningKey::development().unwrap().sign(&claims()).unwrap()
}

#[test]
fn verified_claims() {
    let verified = verify_sigstruct(&signed()).unwrap();
    assert_eq!(verified.mrenclave(), claims().mrenclave);
    assert_eq!(verified.mrsigner(), SigningKey::development().unwrap().mrsigner());
    assert_eq!((verified.isv_prod_id, verified.isv_svn), (1, 2));
    assert_eq!(verified.date, 0x2026_0131);
}

#[test]
fn signatures_are_reproducible() {
    assert_eq!(signed(), signed());
}

/// Every single bit counts.
#[test]
fn every_flipped_bit_is_refused() {
    let bytes = signed();
    for bit in 0..8 * bytes.as_bytes().len() {
        let mut sigstruct = bytes.clone();
        sigstruct.as_mut_bytes()[bit / 8] ^= 1 << (bit % 8);
        assert!(verify_sigstruct(&sigstruct).is_err(), "flipped bit {bit}");
    }
}

#[test]
fn refusals_have_the_codes_of_einit() {
    let refusal = |change: fn(&mut Sigstruct)| {
        let mut sigstruct = signed();
        change(&mut sigstruct);
        verify_sigstruct(&sigstruct).map(|_| ()).unwrap_err()
    };
    for (error, code, change) in [
        (
            SigstructError::Header,
            SgxError::InvalidSigStruct,
            (|s: &mut Sigstruct| s.header[0] = 0) as fn(&mut _),
        ),
        (SigstructError::Header, SgxError::InvalidSigStruct, |s| s.header2[15] = 1),
        (SigstructError::Vendor(1), SgxError::InvalidSigStruct, |s| s.vendor = 1),
        (SigstructError::Exponent(65537), SgxError::InvalidSigStruct, |s| s.exponent = 65537),
        (SigstructError::Reserved, SgxError::InvalidSigStruct, |s| s.reserved4[11] = 1),
        (SigstructError::Modulus, SgxError::InvalidSignature, |s| s.modulus = [0; 384]),
        (SigstructError::Modulus, SgxError::InvalidSignature, |s| s.modulus[0] ^= 1),
        (SigstructError::Quotient, SgxError::InvalidSignature, |s| s.q1[0] ^= 1),
        (SigstructError::Quotient, SgxError::InvalidSignature, |s| s.q2[383] ^= 0x80),
        (SigstructError::Signature, SgxError::InvalidSignature, |s| s.isv_svn += 1),
        (SigstructError::Signature, SgxError::InvalidSignature, |s| s.signature = s.modulus),
        (SigstructError::Signature, SgxError::InvalidSignature, |s| {
            // 1 and its quotients: a valid cube, but of no padded message.
            s.signature = [0; 384];
            s.signature[0] = 1;
            (s.q1, s.q2) = ([0; 384], [0; 384]);
        }),
    ] {
        let refused = refusal(change);
        assert_eq!((refused, refused.code()), (error, code));
    }
}

#[test]
fn garbage_is_refused() {
    for fill in [0, 0xff] {
        let sigstruct = Sigstruct::read_from_bytes(&[fill; 1808]).unwrap();
        assert_eq!(verify_sigstruct(&sigstruct).map(|_| ()), Err(SigstructError::Header));
    }
}

#[test]
fn the_development_key_signs_debug_enclaves_only() {
    let key = SigningKey::development().unwrap();
    let mut production = claims();
    production.attributes.flags = AttributeFlags::MODE64BIT;
    let mut either = claims();
    either.attribute_mask.flags = AttributeFlags::MODE64BIT;
    for claims in [production, either] {
        assert_eq!(key.sign(&claims), Err(SignError::DevelopmentKey));
    }
}

#[test]
fn a_new_key_signs_production_enclaves() {
    let key = SigningKey::generate().unwrap();
    let mut production = claims();
    production.attributes.flags = AttributeFlags::MODE64BIT;
    let signed = key.sign(&production).unwrap();
    assert_eq!(verify_sigstruct(&signed).unwrap().mrsigner(), key.mrsigner());
    assert_ne!(key.mrsigner(), SigningKey::development().unwrap().mrsigner());
}

#[test]
fn both_encodings_of_a_key_are_read_and_written() {
    let key = SigningKey::development().unwrap();
    let pkcs1 = include_str!("data/development-pkcs1.pem");
    assert_eq!(key.to_pkcs8_pem().unwrap(), measure::DEVELOPMENT_KEY);
    assert_eq!(key.to_pkcs1_pem().unwrap(), pkcs1);
    assert_eq!(SigningKey::from_pem(pkcs1).unwrap().mrsigner(), key.mrsigner());
}

#[test]
fn other_keys_are_refused() {
    let refusal = |pem| SigningKey::from_pem(pem).map(|_| ()).unwrap_err();
    assert_eq!(refusal(include_str!("data/rsa-2048.pem")), KeyError::Bits(2048));
    assert_eq!(refusal(include_str!("data/exponent-65537.pem")), KeyError::Exponent);
    assert_eq!(refusal(include_str!("data/encrypted.pem")), KeyError::Encrypted);
    assert_eq!(refusal(include_str!("data/public.pem")), KeyError::Label("PUBLIC KEY".into()));
    assert_eq!(refusal("no key"), KeyError::NoPem);
    let mut damaged = measure::DEVELOPMENT_KEY.to_owned();
    let other = if damaged.as_bytes()[300] == b'A' { "B" } else { "A" };
    damaged.replace_range(300..301, other);
    for pem in [include_str!("data/p-256.pem"), &damaged, &damaged[..500]] {
        assert!(matches!(refusal(pem), KeyError::Malformed(_)), "{pem}");
    }
}
