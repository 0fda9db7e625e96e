//! ECREATE, EADD, EEXTEND and EINIT.

use measure::Claims;
use sgx_types::{
    AttributeFlags, MiscSelect, SecInfo, SecInfoFlags, Secs, SgxError, Sigstruct, Tcs, Xfrm,
};
use zerocopy::{FromBytes, IntoBytes};

use super::assembler::{Code, Form, Reg};
use super::specimen::{DATA, RW, SIZE, Specimen, UNMEASURED, call, exit, tcs};
use crate::{Backend, Errno, Outcome, Refused, Run, Source};

fn specimen(backend: &dyn Backend) -> Specimen {
    Specimen::new(backend, exit(Form::Roomy), Code::new())
}

/// ECREATE refuses what it must.
pub fn bad_secs(backend: &dyn Backend) {
    let good = specimen(backend).secs();
    let change = |f: &dyn Fn(&mut Secs)| {
        let mut secs = good.clone();
        f(&mut secs);
        secs
    };
    let mut reserved = good.clone();
    reserved.as_mut_bytes()[300] = 1;
    let bad = [
        ("size", change(&|secs| secs.size = SIZE - 4096)),
        ("no size", change(&|secs| secs.size = 0)),
        ("huge", change(&|secs| secs.size = 1 << 56)),
        ("base", change(&|secs| secs.base = 4096)),
        ("frame", change(&|secs| secs.ssa_frame_size = 0)),
        ("initialised", change(&|secs| secs.attributes.flags |= AttributeFlags::INIT)),
        ("32 bits", change(&|secs| secs.attributes.flags -= AttributeFlags::MODE64BIT)),
        ("unknown", change(&|s| s.attributes.flags |= AttributeFlags::from_bits_retain(1 << 40))),
        ("no SSE", change(&|secs| secs.attributes.xfrm -= Xfrm::SSE)),
        ("state", change(&|secs| secs.attributes.xfrm |= Xfrm::from_bits_retain(1 << 60))),
        ("half of AVX-512", change(&|secs| secs.attributes.xfrm = Xfrm::LEGACY | Xfrm::OPMASK)),
        ("misc", change(&|secs| secs.misc_select |= MiscSelect::from_bits_retain(1 << 20))),
        ("reserved", reserved),
    ];
    for (what, secs) in bad {
        let refused = backend.create(&secs).err().expect(what);
        assert_eq!(refused.errno, Errno::EINVAL, "{what}");
    }
    drop(backend.create(&good).expect("the good one"));
}

fn page() -> [u8; 4096] {
    [7; 4096]
}

/// EADD refuses bad SECINFO, bad ranges, and pages that are there.
pub fn bad_pages(backend: &dyn Backend) {
    let enclave = specimen(backend).add(backend).expect("the pages are good");
    let add = |offset, secinfo: SecInfo, bytes: &[u8]| {
        enclave.add_pages(offset, &secinfo, Source::Bytes(bytes), true)
    };
    let errno = |result: Result<(), Refused>| result.expect_err("a refusal").errno;
    let free = 0x80_0000;
    let mut reserved = SecInfo::new(RW);
    reserved.as_mut_bytes()[20] = 1;
    let secinfos = [
        ("reserved bytes", reserved),
        ("reserved flags", SecInfo::new(RW | SecInfoFlags::from_bits_retain(1 << 30))),
        ("pending", SecInfo::new(RW | SecInfoFlags::PENDING)),
        ("W without R", SecInfo::new(SecInfoFlags::W | SecInfoFlags::PT_REG)),
        ("TCS with permissions", SecInfo::new(SecInfoFlags::PT_TCS | SecInfoFlags::R)),
        ("SECS", SecInfo::new(SecInfoFlags::RWX)),
        ("TRIM", SecInfo::new(SecInfoFlags::PT_TRIM)),
        ("no type", SecInfo::new(SecInfoFlags::PT_MASK)),
    ];
    for (what, secinfo) in secinfos {
        assert_eq!(errno(add(free, secinfo, &page())), Errno::EINVAL, "{what}");
    }
    let rw = SecInfo::new(RW);
    assert_eq!(errno(add(free + 8, rw, &page())), Errno::EINVAL, "misaligned");
    assert_eq!(errno(add(free, rw, &page()[..100])), Errno::EINVAL, "not a page");
    assert_eq!(errno(add(free, rw, &[])), Errno::EINVAL, "nothing");
    assert_eq!(errno(add(SIZE, rw, &page())), Errno::EINVAL, "outside");
    assert_eq!(errno(add(SIZE - 4096, rw, &[0; 8192])), Errno::EINVAL, "half outside");
    let before = u64::from(DATA) - 4096;
    let half = add(before, rw, &[1; 8192]).expect_err("the second page is taken");
    assert_eq!((half.errno, half.done), (Errno::EBUSY, 4096));
    assert_eq!(errno(add(before, rw, &page())), Errno::EBUSY, "the first is now, too");
}

/// EADD of a malformed TCS faults.
pub fn bad_tcs_pages(backend: &dyn Backend) {
    let enclave = specimen(backend).add(backend).expect("the pages are good");
    let good = Tcs { nssa: 1, fs_limit: 0xfff, gs_limit: 0xfff, ..Tcs::default() };
    let mut reserved = good.clone();
    reserved.as_mut_bytes()[2000] = 1;
    let bad = [
        ("CSSA", Tcs { cssa: 1, ..good.clone() }),
        ("OSSA", Tcs { ossa: 8, ..good.clone() }),
        ("FS", Tcs { ofs_base: 8, ..good.clone() }),
        ("GS", Tcs { ogs_base: 8, ..good.clone() }),
        ("limit", Tcs { gs_limit: 0, ..good.clone() }),
        ("reserved", reserved),
    ];
    let secinfo = SecInfo::new(SecInfoFlags::PT_TCS);
    for (what, tcs) in bad {
        let pages = [good.as_bytes(), tcs.as_bytes()].concat();
        let refused = enclave.add_pages(0x80_0000, &secinfo, Source::Bytes(&pages), true);
        let refused = refused.expect_err(what);
        let first = what == "CSSA";
        let expected = if first { (Errno::EIO, 4096) } else { (Errno::EBUSY, 0) };
        assert_eq!((refused.errno, refused.done), expected, "{what}");
        if !first {
            let alone = enclave.add_pages(0x90_0000, &secinfo, Source::Bytes(tcs.as_bytes()), true);
            assert_eq!(alone.expect_err(what).errno, Errno::EIO, "{what}");
        }
    }
}

fn init(specimen: &Specimen, backend: &dyn Backend, sigstruct: &Sigstruct) -> Refused {
    let enclave = specimen.add(backend).expect("the pages are good");
    let refused = enclave.init(sigstruct).expect_err("a refusal");
    let mut run = Run { tcs: tcs(0), ..Run::default() };
    let outcome = enclave.enter(&mut run);
    assert!(matches!(outcome, Outcome::Exception(e) if e.vector == 13), "{outcome:?}");
    enclave.init(&specimen.sign()).expect("the good one is taken afterwards");
    refused
}

/// EINIT refuses with EPERM; backends that tell the SGX error tell the right one.
fn expect(refused: &Refused, code: SgxError) {
    assert_eq!(refused.errno, Errno::EPERM, "{refused}");
    assert!(refused.code.is_none_or(|told| told == code), "{refused}");
}

/// EINIT refuses another measurement.
pub fn wrong_mrenclave(backend: &dyn Backend) {
    let specimen = specimen(backend);
    let claims: fn(&mut Claims) = |claims| claims.mrenclave.0[0] ^= 1;
    let wrong = Specimen { claims, ..specimen.clone() }.sign();
    expect(&init(&specimen, backend, &wrong), SgxError::InvalidMeasurement);
}

/// EINIT refuses a signature over something else, wrong quotients, wrong constants.
pub fn bad_signature(backend: &dyn Backend) {
    let specimen = specimen(backend);
    let good = specimen.sign();
    let broken = |offset: usize| {
        let mut bytes = good.as_bytes().to_vec();
        bytes[offset] ^= 1;
        Sigstruct::read_from_bytes(&bytes).expect("same size")
    };
    let cases = [
        (516, SgxError::InvalidSignature),  // SIGNATURE
        (1040, SgxError::InvalidSignature), // Q1
        (1424, SgxError::InvalidSignature), // Q2
        (1026, SgxError::InvalidSignature), // ISVSVN
        (0, SgxError::InvalidSigStruct),    // HEADER
        (512, SgxError::InvalidSigStruct),  // EXPONENT
        (1030, SgxError::InvalidSigStruct), // reserved
    ];
    for (offset, code) in cases {
        expect(&init(&specimen, backend, &broken(offset)), code);
    }
}

/// EINIT refuses attributes that the signer did not allow.
pub fn wrong_attributes(backend: &dyn Backend) {
    let specimen = specimen(backend);
    let cases: [fn(&mut Claims); 3] = [
        |claims| claims.attributes.flags |= AttributeFlags::PROVISIONKEY,
        |claims| claims.attributes.xfrm = Xfrm::from_bits_retain(7 << 40 | 3),
        |claims| claims.misc_select = MiscSelect::empty(),
    ];
    for claims in cases {
        let wrong = Specimen { claims, ..specimen.clone() }.sign();
        expect(&init(&specimen, backend, &wrong), SgxError::InvalidAttribute);
    }
}

/// After EINIT nothing is added, and EINIT does not come twice.
pub fn initialised_once(backend: &dyn Backend) {
    let specimen = specimen(backend);
    let enclave = specimen.build(backend);
    let errno = |result: Result<(), Refused>| result.expect_err("a refusal").errno;
    let added = enclave.add_pages(0x80_0000, &SecInfo::new(RW), Source::Zero(4096), false);
    assert_eq!(errno(added), Errno::EINVAL);
    assert_eq!(errno(enclave.init(&specimen.sign())), Errno::EINVAL);
    call(&*enclave, 0);
}

/// Code that EEXTEND did not measure stays as it was added, with room behind ENCLU too, and runs: the
/// enclave may look at it before it does.
pub fn unmeasured_code(backend: &dyn Backend) {
    let unmeasured = exit(Form::Roomy);
    let bytes = unmeasured.bytes();
    // From ENCLU on.
    let looked_at = bytes.len() - 16;
    let address = UNMEASURED + u32::try_from(looked_at).expect("short code");
    let main = Code::new()
        .load(Reg::Rdi, address)
        .load(Reg::Rsi, address + 8)
        .set(Reg::Rax, UNMEASURED.into())
        .raw(&[0xff, 0xe0]); // jmp rax
    let enclave =
        Specimen { unmeasured: unmeasured.clone(), ..Specimen::new(backend, main, Code::new()) }
            .build(backend);
    for _ in 0..2 {
        let run = call(&*enclave, 0);
        let seen = [run.rdi, run.rsi].map(u64::to_le_bytes);
        assert_eq!(seen.as_flattened(), &bytes[looked_at..]);
    }
}
