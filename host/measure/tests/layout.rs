//! What is no enclave must not become a layout.

use std::borrow::Cow;

use measure::{Contents, Coverage, EnclaveParams, Layout, LayoutError, PAGE, Region};
use sgx_types::{Attributes, MiscSelect, SecInfoFlags};

const PARAMS: EnclaveParams = EnclaveParams {
    base: 0x40_0000,
    size: 0x10_0000,
    ssa_frame_pages: 1,
    attributes: Attributes {
        flags: sgx_types::AttributeFlags::MODE64BIT,
        xfrm: sgx_types::Xfrm::LEGACY,
    },
    misc_select: MiscSelect::EXINFO,
};

fn region(offset: u64, pages: u64) -> Region<'static> {
    let flags = SecInfoFlags::PT_REG | SecInfoFlags::R;
    Region { offset, pages, flags, contents: Contents::Zero, coverage: Coverage::Extended }
}

#[test]
fn bad_parameters() {
    let error = |params: EnclaveParams| Layout::new(params).unwrap_err();
    for size in [0, PAGE, 3 * PAGE, 0x10_0001] {
        assert_eq!(error(EnclaveParams { size, ..PARAMS }), LayoutError::Size(size));
    }
    assert_eq!(error(EnclaveParams { base: 0x8_0000, ..PARAMS }), LayoutError::Base(0x8_0000));
    assert_eq!(error(EnclaveParams { ssa_frame_pages: 0, ..PARAMS }), LayoutError::SsaFrame);
}

#[test]
fn bad_regions() {
    let mut layout = Layout::new(PARAMS).unwrap();
    layout.add(region(2 * PAGE, 2)).unwrap();
    let before = layout.clone();
    let mut refused = |region: Region<'static>, error: LayoutError| {
        assert_eq!(layout.add(region), Err(error));
        assert_eq!(layout, before);
    };
    refused(region(0x5001, 1), LayoutError::Unaligned(0x5001));
    for (offset, pages) in [(0x10_0000, 1), (0xf_f000, 2), (0, u64::MAX), (u64::MAX - 0xfff, 1)] {
        refused(region(offset, pages), LayoutError::OutOfRange { offset, pages });
    }
    for offset in [0, 2 * PAGE, 3 * PAGE] {
        refused(region(offset, 1), LayoutError::Order(offset));
    }
    for len in [0, 4096, 8191, 8193] {
        let contents = Contents::Bytes(Cow::Owned(vec![0; len]));
        let error = LayoutError::Contents { offset: 0x8000, pages: 2, len };
        refused(Region { contents, ..region(0x8000, 2) }, error);
    }
    use SecInfoFlags as F;
    for flags in [
        F::PT_TCS | F::R,
        F::PT_REG | F::W,
        F::PT_REG | F::R | F::PENDING,
        F::PT_REG | F::R | F::from_bits_retain(1 << 40),
        F::PT_VA,
        F::PT_TRIM,
        F::from_bits_retain(0xff00),
        F::empty(),
    ] {
        let error = LayoutError::Flags { offset: 0x8000, flags };
        refused(Region { flags, ..region(0x8000, 1) }, error);
    }
}

#[test]
fn pages_follow_the_regions() {
    let mut layout = Layout::new(PARAMS).unwrap();
    let bytes: Vec<u8> = (0..3 * PAGE).map(|i| (i / PAGE + 1) as u8).collect();
    layout.add(region(0, 2)).unwrap();
    layout.add(region(2 * PAGE, 0)).unwrap();
    let contents = Contents::Bytes(Cow::Borrowed(&bytes));
    layout.add(Region { contents, coverage: Coverage::Uncovered, ..region(4 * PAGE, 3) }).unwrap();
    let pages: Vec<_> =
        layout.pages().map(|page| (page.offset / PAGE, page.contents[9], page.coverage)).collect();
    let (extended, uncovered) = (Coverage::Extended, Coverage::Uncovered);
    let expected = [
        (0, 0, extended),
        (1, 0, extended),
        (4, 1, uncovered),
        (5, 2, uncovered),
        (6, 3, uncovered),
    ];
    assert_eq!(pages, expected);
    assert_eq!((layout.regions().len(), layout.page_count()), (2, 5));
}
