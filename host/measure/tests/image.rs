//! From ELF files, good and bad ones, to layouts.

use hostcall_abi::layout::{
    ELRANGE_SIZE, EXCEPTION_STACK_PAGES, IMAGE_BASE, NSSA, SSA_FRAME_PAGES, TCS_AREA, TCS_COUNT,
    tcs_block,
};
use measure::{Coverage, Difference, ImageError, ImageOptions, Layout, PAGE, Region, image_layout};
use sgx_types::{AttributeFlags, MiscSelect, SecInfoFlags, Tcs, Xfrm};
use zerocopy::{FromBytes, FromZeros};

mod elf;
use elf::{R, RW, RX, Segment, segment};

const INTERP: u32 = 3;
const TLS: u32 = 7;
const GNU_RELRO: u32 = 0x6474_e552;

const OPTIONS: ImageOptions = ImageOptions { debug: true, xfrm: Xfrm::LEGACY.union(Xfrm::AVX) };

/// Read-only data, code that ends in the middle of a page, and data that starts in the middle of a
/// page with `.bss` behind it.
fn segments() -> Vec<Segment> {
    vec![
        segment(R, 0, 0x1800, 0x1800),
        segment(RX, 0x2000, 0x2010, 0x2010),
        segment(RW, 0x5f00, 0x1280, 0x5000),
    ]
}

/// A program with an entry point in its second segment.
fn elf(segments: &[Segment]) -> Vec<u8> {
    elf::elf(IMAGE_BASE + 0x2040, segments)
}

fn refusal(change: impl FnOnce(&mut Vec<Segment>)) -> ImageError {
    let mut segments = segments();
    change(&mut segments);
    image_layout(&elf(&segments), OPTIONS).map(|_| ()).unwrap_err()
}

/// The bytes of `pages` pages from the one at `offset` on.
fn memory(layout: &Layout<'_>, offset: u64, pages: usize) -> Vec<u8> {
    let from = layout.pages().skip_while(|page| page.offset < offset).take(pages);
    from.flat_map(|page| *page.contents).collect()
}

fn region_at<'l>(layout: &'l Layout<'_>, offset: u64) -> &'l Region<'l> {
    layout.regions().iter().find(|region| region.offset == offset).unwrap()
}

#[test]
fn parameters() {
    let elf = elf(&segments());
    let layout = image_layout(&elf, OPTIONS).unwrap();
    let secs = layout.params().secs();
    assert_eq!((secs.base, secs.size), (0, ELRANGE_SIZE));
    assert_eq!(u64::from(secs.ssa_frame_size), SSA_FRAME_PAGES);
    assert_eq!(secs.misc_select, MiscSelect::EXINFO);
    assert_eq!(secs.attributes.flags, AttributeFlags::MODE64BIT | AttributeFlags::DEBUG);
    assert_eq!(secs.attributes.xfrm, OPTIONS.xfrm);
}

#[test]
fn segments_keep_their_place_bytes_and_permissions() {
    let segments = segments();
    let elf = elf(&segments);
    let layout = image_layout(&elf, OPTIONS).unwrap();
    let mut expected = vec![0; 0xb000];
    for Segment { address, data, .. } in &segments {
        let start = (*address - IMAGE_BASE) as usize;
        expected[start..start + data.len()].copy_from_slice(data);
    }
    assert_eq!(memory(&layout, IMAGE_BASE, 0xb), expected);

    let (r, w, x) = (SecInfoFlags::R, SecInfoFlags::W, SecInfoFlags::X);
    let image: Vec<_> = layout
        .pages()
        .take_while(|page| page.offset < TCS_AREA)
        .map(|page| ((page.offset - IMAGE_BASE) / PAGE, page.flags.permissions(), page.coverage))
        .collect();
    let extended = Coverage::Extended;
    let mut expected = vec![(0, r, extended), (1, r, extended)];
    expected.extend((2..5).map(|page| (page, r | x, extended)));
    expected.extend((5..11).map(|page| (page, r | w, extended)));
    assert_eq!(image, expected);
}

#[test]
fn nobody_writes_to_what_is_read_only_after_relocation() {
    let permissions = |end| {
        let mut segments = segments();
        let relro = Segment { kind: GNU_RELRO, memory: end, ..segment(R, 0x5f00, 0, 0) };
        segments.push(relro);
        let elf = elf(&segments);
        let layout = image_layout(&elf, OPTIONS).unwrap();
        region_at(&layout, IMAGE_BASE + 0x5000).flags.permissions()
    };
    assert_eq!(permissions(0x5000), SecInfoFlags::R);
    assert_eq!(permissions(0x4fff), SecInfoFlags::R | SecInfoFlags::W, "of another segment");
}

#[test]
fn whole_pages_of_the_file_are_borrowed() {
    let mut segments = segments();
    segments[1] = segment(RX, 0x2000, 0x3000, 0x3000);
    let elf = elf(&segments);
    let layout = image_layout(&elf, OPTIONS).unwrap();
    let code = region_at(&layout, IMAGE_BASE + 0x2000).bytes().unwrap();
    assert!(elf.as_ptr_range().contains(&code.as_ptr()));
}

#[test]
fn thread_blocks() {
    let elf = elf(&segments());
    let layout = image_layout(&elf, OPTIONS).unwrap();
    for index in 0..TCS_COUNT {
        let block = tcs_block(index);
        let stack = region_at(&layout, block.exception_stack);
        let guard = |offset| layout.pages().all(|page| page.offset != offset);
        assert!(guard(block.exception_stack - PAGE) && guard(stack.end()));
        let frames = region_at(&layout, block.ssa);
        assert_eq!([stack.coverage, frames.coverage], [Coverage::Uncovered; 2]);
        assert_eq!(region_at(&layout, block.ssa).pages, NSSA * SSA_FRAME_PAGES);

        let page = region_at(&layout, block.tcs);
        assert_eq!((page.flags, page.coverage), (SecInfoFlags::PT_TCS, Coverage::Extended));
        let expected = Tcs {
            ossa: block.ssa,
            nssa: u32::try_from(NSSA).unwrap(),
            oentry: IMAGE_BASE + 0x2040,
            ofs_base: block.thread_data,
            ogs_base: block.thread_data,
            fs_limit: 0xfff,
            gs_limit: 0xfff,
            ..Tcs::new_zeroed()
        };
        assert_eq!(Tcs::read_from_bytes(page.bytes().unwrap()).unwrap(), expected);

        let page = layout.pages().find(|page| page.offset == block.thread_data).unwrap();
        assert_eq!(page.coverage, Coverage::Extended);
        let (words, _) = page.contents.as_chunks::<8>();
        let words: Vec<_> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let expected = [
            block.thread_data,
            block.exception_stack + EXCEPTION_STACK_PAGES * PAGE,
            index,
            block.ssa,
            SSA_FRAME_PAGES * PAGE,
        ];
        assert_eq!(words[..5], expected);
        assert!(words[5..].iter().all(|&word| word == 0));
    }
}

#[test]
fn options_do_not_change_the_measurement() {
    let elf = elf(&segments());
    let production = ImageOptions { debug: false, xfrm: Xfrm::LEGACY };
    let (a, b) = (image_layout(&elf, OPTIONS).unwrap(), image_layout(&elf, production).unwrap());
    assert_eq!(a.measure(), b.measure());
    assert_eq!(a.first_difference(&b), None);
}

#[test]
fn differences_are_found() {
    let other = |change: fn(&mut Vec<Segment>)| {
        let mut changed = segments();
        change(&mut changed);
        let (a, b) = (elf(&segments()), elf(&changed));
        let (a, b) = (image_layout(&a, OPTIONS).unwrap(), image_layout(&b, OPTIONS).unwrap());
        assert_ne!(a.measure(), b.measure());
        a.first_difference(&b)
    };
    assert_eq!(other(|s| s[1].data[0x1234] ^= 1), Some(Difference::Contents(IMAGE_BASE + 0x3234)));
    assert_eq!(other(|s| s[0].flags = RX), Some(Difference::Flags(IMAGE_BASE)));
    assert_eq!(other(|s| s[2].memory += PAGE), Some(Difference::Missing(IMAGE_BASE + 0xb000)));
}

#[test]
fn bad_segments() {
    assert_eq!(refusal(|s| s[0].kind = INTERP), ImageError::Dynamic);
    assert_eq!(refusal(|s| s[2].kind = TLS), ImageError::ThreadLocal);
    let overlap = ImageError::Overlap(IMAGE_BASE + 0x1900);
    assert_eq!(refusal(|s| s[1].address -= 0x700), overlap);
    assert_eq!(refusal(|s| s.swap(0, 1)), ImageError::Overlap(IMAGE_BASE));
    assert_eq!(refusal(|s| s[1].flags = R), ImageError::Entry(IMAGE_BASE + 0x2040));
    let address = IMAGE_BASE + 0x5f00;
    for size in [0x127f, u64::MAX, 1 << 30] {
        assert_eq!(refusal(|s| s[2].memory = size), ImageError::Extent { address, size });
    }
    let (address, size) = (0, 0x1800);
    assert_eq!(refusal(|s| s[0].address = 0), ImageError::Extent { address, size });
    let address = IMAGE_BASE + 0x5f00;
    for flags in [7, 2, 1, 0] {
        let refused = refusal(|s| s[2].flags = flags);
        assert!(
            matches!(refused, ImageError::Permissions { address: at, .. } if at == address),
            "{flags}"
        );
    }
}

#[test]
fn bad_files() {
    let good = elf(&segments());
    let error = |bytes: &[u8]| image_layout(bytes, OPTIONS).map(|_| ()).unwrap_err();
    let truncated = ImageError::Truncated { address: IMAGE_BASE + 0x5f00 };
    assert_eq!(error(&good[..good.len() - 1]), truncated);
    for bad in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &good[..63], &good[..100]] {
        assert!(matches!(error(bad), ImageError::NotElf(_)), "{} bytes", bad.len());
    }
    for (offset, value) in [(16, 3), (18, 0xb7)] {
        let mut bad = good.clone();
        bad[offset] = value;
        assert_eq!(error(&bad), ImageError::NotFixed);
    }
}
