//! EREPORT and EGETKEY.

use measure::Claims;
use sgx_types::{
    AttributeFlags, Attributes, Enclu, KeyName, KeyPolicy, KeyRequest, MiscSelect, Report,
    SgxError, TargetInfo, Xfrm,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::server::{Returned, Server};
use super::specimen::{DATA, Specimen};
use crate::{Backend, Exception};

/// Operands of the leaves, in the pages of data.
const FIRST: u64 = DATA as u64 + 0x1000;
const SECOND: u64 = DATA as u64 + 0x1200;
const RESULT: u64 = DATA as u64 + 0x1400;

fn put<T: IntoBytes + Immutable>(server: &Server, at: u64, value: &T) {
    for (word, address) in value.as_bytes().as_chunks().0.iter().zip((at..).step_by(8)) {
        server.write(address, u64::from_le_bytes(*word)).expect("writable");
    }
}

fn get<T: FromBytes>(server: &Server, at: u64) -> T {
    let words = size_of::<T>().div_ceil(8) as u64;
    let read = |i| server.read(at + 8 * i).expect("readable").to_le_bytes();
    let bytes: Vec<u8> = (0..words).flat_map(read).collect();
    T::read_from_bytes(&bytes[..size_of::<T>()]).expect("the right size")
}

/// EGETKEY.
fn key(server: &Server, request: &KeyRequest) -> Result<[u8; 16], SgxError> {
    put(server, FIRST, request);
    let returned = server.leaf(Enclu::Egetkey, FIRST, RESULT, 0).expect("no fault");
    if returned == Returned::OK {
        return Ok(get(server, RESULT));
    }
    assert!(returned.zf, "{returned:?}");
    let code = u32::try_from(returned.rax).ok().and_then(SgxError::from_bits);
    Err(code.expect("a known error"))
}

fn seal(policy: KeyPolicy) -> KeyRequest {
    let mask = AttributeFlags::INIT | AttributeFlags::DEBUG;
    KeyRequest {
        key_name: KeyName::Seal as u16,
        key_policy: policy,
        isv_svn: 3,
        attribute_mask: Attributes { flags: mask, xfrm: Xfrm::empty() },
        ..KeyRequest::default()
    }
}

fn report(server: &Server, target: &TargetInfo) -> Report {
    put(server, FIRST, target);
    put(server, SECOND, &[7u64; 8]);
    server.leaf(Enclu::Ereport, FIRST, SECOND, RESULT).expect("no fault");
    get(server, RESULT)
}

/// A report says who the enclave is; its MAC hangs on the target.
pub fn reports(backend: &dyn Backend) {
    let specimen = Server::specimen(backend);
    let server = Server(specimen.build(backend));
    let sigstruct = specimen.sign();
    let report_to_nobody = report(&server, &TargetInfo::default());
    let body = report_to_nobody.body;
    assert_eq!(body.mrenclave, sigstruct.enclave_hash);
    assert_ne!(body.mrsigner, [0; 32]);
    assert_eq!(body.attributes.flags, specimen.attributes.flags | AttributeFlags::INIT);
    assert_eq!(body.attributes.xfrm, specimen.attributes.xfrm);
    assert_eq!((body.misc_select, body.isv_prod_id, body.isv_svn), (MiscSelect::EXINFO, 7, 3));
    assert_eq!(body.report_data, <[u8; 64]>::try_from([7u64; 8].as_bytes()).expect("64"));

    let to_itself = report(&server, &TargetInfo::from(&body));
    assert_eq!(to_itself.body, body);
    assert_ne!(to_itself.mac, report_to_nobody.mac);
    assert_eq!(report(&server, &TargetInfo::from(&body)), to_itself, "reports are reproducible");

    let mut request = KeyRequest {
        key_name: KeyName::Report as u16,
        key_id: to_itself.key_id,
        ..KeyRequest::default()
    };
    let first = key(&server, &request).expect("every enclave has a report key");
    request.key_id[0] ^= 1;
    assert_ne!(key(&server, &request), Ok(first));
}

fn protection(result: Result<Returned, Exception>) {
    let exception = result.expect_err("an exception");
    assert_eq!((exception.vector, exception.error_code), (13, 0));
}

/// Operands have to be aligned, inside, writable, and free of reserved bits.
pub fn bad_operands(backend: &dyn Backend) {
    let server = Server::new(backend);
    put(&server, FIRST, &TargetInfo::default());
    protection(server.leaf(Enclu::Ereport, FIRST + 8, SECOND, RESULT));
    protection(server.leaf(Enclu::Ereport, FIRST, SECOND + 8, RESULT));
    protection(server.leaf(Enclu::Ereport, FIRST, SECOND, RESULT + 8));
    protection(server.leaf(Enclu::Egetkey, FIRST + 8, RESULT, 0));
    protection(server.leaf(Enclu::Egetkey, FIRST, RESULT + 8, 0));
    let read_only = server.leaf(Enclu::Ereport, FIRST, SECOND, super::specimen::CODE);
    let exception = read_only.expect_err("code cannot be written");
    assert_eq!((exception.vector, exception.address), (14, super::specimen::CODE));
    let mut request = seal(KeyPolicy::MRSIGNER);
    request.as_mut_bytes()[200] = 1;
    put(&server, FIRST, &request);
    protection(server.leaf(Enclu::Egetkey, FIRST, RESULT, 0));
}

/// Without KSS, its policies are reserved.
pub fn reserved_policy(backend: &dyn Backend) {
    let server = Server::new(backend);
    put(&server, FIRST, &seal(KeyPolicy::CONFIGID));
    protection(server.leaf(Enclu::Egetkey, FIRST, RESULT, 0));
}

/// Seal keys hang on what the policy and the masks name, and on nothing else.
pub fn seal_keys(backend: &dyn Backend) {
    let build = |claims: fn(&mut Claims)| {
        Server(Specimen { claims, ..Server::specimen(backend) }.build(backend))
    };
    let (by_signer, by_enclave) = (seal(KeyPolicy::MRSIGNER), seal(KeyPolicy::MRENCLAVE));
    let server = build(|_| {});
    let signer_key = key(&server, &by_signer).expect("a seal key");
    let enclave_key = key(&server, &by_enclave).expect("a seal key");
    assert_ne!(signer_key, enclave_key);
    assert_eq!(key(&server, &by_signer), Ok(signer_key), "the same again");
    let changes: [fn(&mut KeyRequest); 5] = [
        |request| request.isv_svn = 2,
        |request| request.key_id[5] = 1,
        |request| request.attribute_mask.flags |= AttributeFlags::PROVISIONKEY,
        |request| request.misc_mask = MiscSelect::EXINFO,
        |request| request.key_policy = KeyPolicy::empty(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut request = by_signer;
        change(&mut request);
        assert_ne!(key(&server, &request).expect("a seal key"), signer_key, "change {number}");
    }
    drop(server);
    // A later version may have the keys of earlier ones; another product may not.
    let later = build(|claims| claims.isv_svn = 4);
    assert_eq!(key(&later, &by_signer), Ok(signer_key));
    assert_eq!(key(&later, &by_enclave), Ok(enclave_key));
    drop(later);
    let other = build(|claims| claims.isv_prod_id = 8);
    assert_ne!(key(&other, &by_signer), Ok(signer_key));
}

/// Keys of the future, of other enclaves' rights, and of no name are refused.
pub fn refused_keys(backend: &dyn Backend) {
    let server = Server::new(backend);
    let refused = |change: fn(&mut KeyRequest)| {
        let mut request = seal(KeyPolicy::MRSIGNER);
        change(&mut request);
        key(&server, &request).expect_err("no such key")
    };
    assert_eq!(refused(|request| request.isv_svn = 4), SgxError::InvalidIsvsvn);
    assert_eq!(refused(|request| request.cpu_svn = [0xff; 16]), SgxError::InvalidCpusvn);
    assert_eq!(refused(|request| request.key_name = 9), SgxError::InvalidKeyname);
    let names = [KeyName::EinitToken, KeyName::Provision, KeyName::ProvisionSeal];
    for name in names {
        let mut request = seal(KeyPolicy::empty());
        request.key_name = name as u16;
        assert_eq!(key(&server, &request), Err(SgxError::InvalidAttribute), "{name:?}");
    }
}
