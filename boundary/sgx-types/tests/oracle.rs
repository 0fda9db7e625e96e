//! Layouts and numbers against `sgx-isa`, an independent transcription of the SDM.

use core::mem::{offset_of, size_of};

use sgx_types as ours;

/// Asserts that fields of two types of equal size stand at equal offsets.
macro_rules! same {
    ($our:ident, $their:ident: $($a:ident = $b:ident),* $(,)?) => {
        $(assert_eq!(
            offset_of!(ours::$our, $a),
            offset_of!(sgx_isa::$their, $b),
            concat!(stringify!($our), ".", stringify!($a)),
        );)*
    };
}

#[test]
fn sizes() {
    assert_eq!(size_of::<ours::Secs>(), sgx_isa::Secs::UNPADDED_SIZE);
    assert_eq!(size_of::<ours::Tcs>(), sgx_isa::Tcs::UNPADDED_SIZE);
    assert_eq!(size_of::<ours::SecInfo>(), sgx_isa::Secinfo::UNPADDED_SIZE);
    assert_eq!(size_of::<ours::PageInfo>(), sgx_isa::Pageinfo::UNPADDED_SIZE);
    assert_eq!(size_of::<ours::Sigstruct>(), sgx_isa::Sigstruct::UNPADDED_SIZE);
    assert_eq!(size_of::<ours::EinitToken>(), sgx_isa::Einittoken::UNPADDED_SIZE);
    assert_eq!(size_of::<ours::Report>(), sgx_isa::Report::UNPADDED_SIZE);
    assert_eq!(size_of::<ours::ReportBody>(), sgx_isa::Report::TRUNCATED_SIZE);
    assert_eq!(size_of::<ours::TargetInfo>(), sgx_isa::Targetinfo::UNPADDED_SIZE);
    assert_eq!(size_of::<ours::KeyRequest>(), sgx_isa::Keyrequest::UNPADDED_SIZE);
}

#[test]
fn control_structures() {
    same!(Secs, Secs: size = size, base = baseaddr, ssa_frame_size = ssaframesize,
        misc_select = miscselect, attributes = attributes, mrenclave = mrenclave,
        mrsigner = mrsigner, isv_prod_id = isvprodid, isv_svn = isvsvn);
    same!(Tcs, Tcs: flags = flags, ossa = ossa, cssa = cssa, nssa = nssa, oentry = oentry,
        ofs_base = ofsbasgx, ogs_base = ogsbasgx, fs_limit = fslimit, gs_limit = gslimit);
    same!(PageInfo, Pageinfo: linaddr = linaddr, srcpge = srcpge, secinfo = secinfo, secs = secs);
}

#[test]
fn signatures_and_reports() {
    same!(Sigstruct, Sigstruct: header = header, vendor = vendor, date = date, header2 = header2,
        sw_defined = swdefined, modulus = modulus, exponent = exponent, signature = signature,
        misc_select = miscselect, misc_mask = miscmask, cet_attributes = cet_attributes,
        cet_attributes_mask = cet_attributes_mask, isv_family_id = isvfamilyid,
        attributes = attributes, attribute_mask = attributemask, enclave_hash = enclavehash,
        isv_ext_prod_id = isvextprodid, isv_prod_id = isvprodid, isv_svn = isvsvn, q1 = q1,
        q2 = q2);
    same!(EinitToken, Einittoken: valid = valid, attributes = attributes, mrenclave = mrenclave,
        mrsigner = mrsigner, cpu_svn_le = cpusvnle, isv_prod_id_le = isvprodidle,
        isv_svn_le = isvsvnle, masked_misc_select_le = maskedmiscselectle,
        masked_attributes_le = maskedattributesle, key_id = keyid, mac = mac);
    same!(ReportBody, Report: cpu_svn = cpusvn, misc_select = miscselect,
        cet_attributes = cet_attributes, isv_ext_prod_id = isvextnprodid, attributes = attributes,
        mrenclave = mrenclave, mrsigner = mrsigner, config_id = configid, isv_prod_id = isvprodid,
        isv_svn = isvsvn, config_svn = configsvn, isv_family_id = isvfamilyid,
        report_data = reportdata);
    same!(Report, Report: key_id = keyid, mac = mac);
    same!(TargetInfo, Targetinfo: measurement = measurement, attributes = attributes,
        misc_select = miscselect);
    same!(KeyRequest, Keyrequest: key_name = keyname, key_policy = keypolicy, isv_svn = isvsvn,
        cpu_svn = cpusvn, attribute_mask = attributemask, key_id = keyid, misc_mask = miscmask);
    assert_eq!(ours::SIGSTRUCT_HEADER, sgx_isa::SIGSTRUCT_HEADER1);
    assert_eq!(ours::SIGSTRUCT_HEADER2, sgx_isa::SIGSTRUCT_HEADER2);
    assert_eq!(u64::from_le_bytes(ours::MEASURE_ECREATE), sgx_isa::MEAS_ECREATE);
    assert_eq!(u64::from_le_bytes(ours::MEASURE_EADD), sgx_isa::MEAS_EADD);
    assert_eq!(u64::from_le_bytes(ours::MEASURE_EEXTEND), sgx_isa::MEAS_EEXTEND);
}

#[test]
fn flags() {
    use ours::{AttributeFlags as A, KeyPolicy, MiscSelect, PageType, SecInfoFlags as S};
    use sgx_isa::{AttributesFlags as B, SecinfoFlags as T};
    for (a, b) in [
        (A::INIT, B::INIT),
        (A::DEBUG, B::DEBUG),
        (A::MODE64BIT, B::MODE64BIT),
        (A::PROVISIONKEY, B::PROVISIONKEY),
        (A::EINITTOKENKEY, B::EINITTOKENKEY),
        (A::CET, B::CET),
        (A::KSS, B::KSS),
    ] {
        assert_eq!(a.bits(), b.bits());
    }
    for (a, b) in [
        (S::R, T::R),
        (S::W, T::W),
        (S::X, T::X),
        (S::PENDING, T::PENDING),
        (S::MODIFIED, T::MODIFIED),
        (S::PR, T::PR),
        (S::of(PageType::Secs), T::from(sgx_isa::PageType::Secs)),
        (S::of(PageType::Tcs), T::from(sgx_isa::PageType::Tcs)),
        (S::of(PageType::Reg), T::from(sgx_isa::PageType::Reg)),
        (S::of(PageType::Va), T::from(sgx_isa::PageType::Va)),
        (S::of(PageType::Trim), T::from(sgx_isa::PageType::Trim)),
    ] {
        assert_eq!(a.bits(), b.bits());
        assert_eq!(a.page_type().map(|t| t as u8), Some(b.page_type()));
    }
    assert_eq!(S::PT_MASK.bits(), T::PT_MASK.bits());
    assert_eq!(S::PT_MASK.page_type(), None);
    assert_eq!(KeyPolicy::MRENCLAVE.bits(), sgx_isa::Keypolicy::MRENCLAVE.bits());
    assert_eq!(KeyPolicy::MRSIGNER.bits(), sgx_isa::Keypolicy::MRSIGNER.bits());
    assert_eq!(MiscSelect::EXINFO.bits(), sgx_isa::Miscselect::EXINFO.bits());
}

#[test]
fn error_codes() {
    for error in ours::SgxError::ALL {
        assert_eq!(ours::SgxError::from_bits(error as u32), Some(error));
    }
    // sgx-isa lacks the codes that came with later SGX extensions.
    let later = [25, 26, 27];
    for code in 1..=300u32 {
        let theirs = sgx_isa::ErrorCode::try_from(code).is_ok() || later.contains(&code);
        assert_eq!(ours::SgxError::from_bits(code).is_some(), theirs, "error code {code}");
    }
    assert_eq!(ours::SgxError::from_bits(0), None);
}

#[test]
fn exit_information() {
    use ours::{ExitInfo, ExitType, Vector};
    let info = ExitInfo::new(Vector::PageFault, ExitType::Hardware);
    assert_eq!(info.0, 0x8000_030e);
    assert_eq!(info.vector(), Some(Vector::PageFault));
    assert_eq!(info.exit_type(), Some(ExitType::Hardware));
    assert_eq!(ExitInfo::new(Vector::Breakpoint, ExitType::Software).0, 0x8000_0603);
    assert_eq!(ExitInfo(0x30e).vector(), None);
    assert_eq!(ExitInfo::NONE.exit_type(), None);
    assert_eq!(ExitInfo(0x8000_0302).vector(), None);
    assert_eq!(ours::gprsgx_offset(16384), 16384 - 184);
    assert_eq!(ours::exinfo_offset(16384), 16384 - 200);
}
