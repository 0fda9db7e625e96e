//! What the processor says of SGX (SDM volume 3D, 36.7: CPUID leaf 12H).

use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv, CpuidResult};

use sgx_types::{AttributeFlags, MiscSelect, Xfrm};

/// Leaf 12H and what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) sgx2: bool,
    pub(crate) misc_select: MiscSelect,
    pub(crate) attributes: AttributeFlags,
    pub(crate) xfrm: Xfrm,
    pub(crate) max_size: u64,
    pub(crate) epc: u64,
}

/// The features of this processor; `None` if it has no SGX, or it is disabled.
pub(crate) fn features() -> Option<Features> {
    if __cpuid(0).eax < 0x12 || __cpuid_count(7, 0).ebx & 1 << 2 == 0 {
        return None;
    }
    // SAFETY: processors with SGX have XSAVE, which Linux enables.
    let xcr0 = unsafe { _xgetbv(0) };
    parse(|subleaf| __cpuid_count(0x12, subleaf), xcr0)
}

/// Interprets the sub-leaves of leaf 12H.
fn parse(subleaf: impl Fn(u32) -> CpuidResult, xcr0: u64) -> Option<Features> {
    let (first, second) = (subleaf(0), subleaf(1));
    if first.eax & 1 == 0 {
        return None;
    }
    let wide = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let sections = (2..16).map(subleaf).take_while(|section| section.eax & 0xf != 0);
    let epc = sections
        .filter(|section| section.eax & 0xf == 1)
        .map(|section| wide(section.ecx & 0xffff_f000, section.edx & 0xf_ffff));
    Some(Features {
        sgx2: first.eax & 2 != 0,
        misc_select: MiscSelect::from_bits_truncate(first.ebx),
        attributes: AttributeFlags::from_bits_truncate(wide(second.eax, second.ebx)),
        // Linux gives tiles only to processes that ask for them, and nobody inside keeps them.
        xfrm: Xfrm::from_bits_truncate(wide(second.ecx, second.edx) & xcr0)
            - (Xfrm::TILECFG | Xfrm::TILEDATA),
        max_size: 1 << (first.edx >> 8 & 0x3f),
        epc: epc.sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regs(eax: u32, ebx: u32, ecx: u32, edx: u32) -> CpuidResult {
        CpuidResult { eax, ebx, ecx, edx }
    }

    #[test]
    fn sub_leaves_are_understood() {
        let leaf = |subleaf| match subleaf {
            0 => regs(3, 1, 0, 0x381f),
            1 => regs(0xb6, 0, 0xe7, 0),
            2 => regs(0x1000_0001, 0, 0x4000_0001, 2),
            3 => regs(0x1000_0002, 0, 0x4000_0000, 0),
            _ => regs(0, 0, 0, 0),
        };
        let features = parse(leaf, 7).expect("SGX1 is there");
        assert_eq!(
            features,
            Features {
                sgx2: true,
                misc_select: MiscSelect::EXINFO,
                attributes: AttributeFlags::from_bits_truncate(0xb6),
                xfrm: Xfrm::LEGACY | Xfrm::AVX,
                max_size: 1 << 56,
                epc: 0x2_4000_0000,
            }
        );
        assert_eq!(parse(|_| regs(0, 0, 0, 0), 7), None);
    }
}
