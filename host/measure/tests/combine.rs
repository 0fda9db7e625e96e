//! One image of two programs, and its manifest.

use hostcall_abi::layout::{IMAGE_BASE, MANIFEST, TCS_AREA, TCS_COUNT, VERIFIER_BASE};
use measure::{
    Coverage, ImageError, ImageOptions, Layout, PAGE, Page, check_manifest, combine, image_layout,
};
use sgx_types::{ENCLU_SITE, SecInfoFlags, Xfrm};
use sha2::{Digest, Sha256};

mod elf;
use elf::{R, RW, RX, Segment, elf, segment};

const OPTIONS: ImageOptions = ImageOptions { debug: true, xfrm: Xfrm::LEGACY };
const ENTRY: u64 = IMAGE_BASE + 0x2040;
const VERIFIER_ENTRY: u64 = VERIFIER_BASE + 0x2040;

/// Read-only data, five pages of code, data, and far from them more data with `.bss` behind it.
fn runtime() -> Vec<Segment> {
    vec![
        segment(R, 0, 0x1800, 0x1800),
        segment(RX, 0x2000, 0x4010, 0x4010),
        segment(RW, 0x7f00, 0x1280, 0x1280),
        segment(RW, 0x4_0000, 0x100, 0x2800),
    ]
}

/// Headers, a page for the manifest, code, and data.
fn verifier() -> Vec<Segment> {
    let at = VERIFIER_BASE - IMAGE_BASE;
    let mut segments = vec![segment(R, at, 0x2000, 0x2000), segment(RX, at + 0x2000, 0x500, 0x500)];
    segments.push(segment(RW, at + 0x4000, 8, 8));
    segments[0].data[0x1000..].fill(0);
    segments
}

fn combined(runtime: &[Segment]) -> Vec<u8> {
    combine(&elf(ENTRY, runtime), &elf(VERIFIER_ENTRY, &verifier())).unwrap()
}

/// The words of the manifest.
fn manifest(layout: &Layout<'_>) -> Vec<u64> {
    let page = layout.pages().find(|page| page.offset == MANIFEST).unwrap();
    assert_eq!(page.coverage, Coverage::Extended);
    page.contents.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

#[test]
fn both_parts_keep_their_places_bytes_and_permissions() {
    let file = combined(&runtime());
    let layout = image_layout(&file, OPTIONS).unwrap();
    let apart = [(ENTRY, runtime()), (VERIFIER_ENTRY, verifier())].map(|(at, part)| elf(at, &part));
    let pages = |layout: &Layout<'_>| -> Vec<_> {
        let pages = layout.pages().take_while(|page| page.offset < TCS_AREA);
        let contents = |page: Page<'_>| (page.offset != MANIFEST).then(|| page.contents.to_vec());
        pages.map(|page| (page.offset, page.flags, contents(page))).collect()
    };
    let apart = apart.iter().map(|part| pages(&image_layout(part, OPTIONS).unwrap()));
    assert_eq!(apart.collect::<Vec<_>>().concat(), pages(&layout));
    let entry = layout.pages().find(|page| page.flags == SecInfoFlags::PT_TCS).unwrap();
    assert_eq!(entry.contents[32..40], VERIFIER_ENTRY.to_le_bytes());
}

#[test]
fn the_manifest_says_what_eextend_does_not_measure() {
    let file = combined(&runtime());
    let layout = image_layout(&file, OPTIONS).unwrap();
    let mut expected = vec![0; 512];
    expected[0] = ENTRY;
    let pages: Vec<_> = layout.pages().filter(|page| page.coverage == Coverage::Verified).collect();
    for lane in 0..3 {
        let message = pages.iter().skip(lane).step_by(3).flat_map(|page| page.contents);
        let digest = Sha256::digest(message.copied().collect::<Vec<u8>>());
        for (word, bytes) in expected[1 + 4 * lane..].iter_mut().zip(digest.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
    }
    let pieces = [
        (IMAGE_BASE, 2),
        (IMAGE_BASE + 0x2000, 5),
        (IMAGE_BASE + 0x7000, 3),
        (IMAGE_BASE + 0x4_0000, 3),
        (TCS_AREA, TCS_COUNT),
    ];
    // The first three follow each other.
    for (at, word) in [pieces[0].0, 10, pieces[3].0, 3, TCS_AREA, TCS_COUNT].iter().enumerate() {
        expected[13 + at] = *word;
    }
    assert_eq!(manifest(&layout), expected);
    assert_eq!(pages.len() as u64, pieces.iter().map(|piece| piece.1).sum());
    assert_eq!(check_manifest(&layout), Ok(()));
}

#[test]
fn pages_with_enclu_are_measured_by_eextend() {
    let mut segments = runtime();
    segments[1].data[0x1ff8..][..16].copy_from_slice(&ENCLU_SITE);
    segments[1].data[0x3800..][..15].copy_from_slice(&ENCLU_SITE[..15]);
    segments[2].data[0x200..][..16].copy_from_slice(&ENCLU_SITE);
    let file = combined(&segments);
    let layout = image_layout(&file, OPTIONS).unwrap();
    let extended: Vec<u64> = layout
        .pages()
        .filter(|page| page.offset < VERIFIER_BASE && page.coverage == Coverage::Extended)
        .map(|page| page.offset)
        .collect();
    assert_eq!(extended, [IMAGE_BASE + 0x3000, IMAGE_BASE + 0x4000]);
    assert_eq!(check_manifest(&layout), Ok(()));
}

#[test]
fn a_changed_page_is_found() {
    let file = combined(&runtime());
    let layout = image_layout(&file, OPTIONS).unwrap();
    // Within the data of each segment of the runtime, and within the manifest.
    for place in [IMAGE_BASE, IMAGE_BASE + 0x5fff, IMAGE_BASE + 0x8000, MANIFEST + 8] {
        let contents =
            layout.pages().find(|page| page.offset == place & !(PAGE - 1)).unwrap().contents;
        let at = file.windows(contents.len()).position(|bytes| bytes == contents).unwrap();
        let mut changed = file.clone();
        changed[at + (place % PAGE) as usize] ^= 4;
        let layout = image_layout(&changed, OPTIONS).unwrap();
        assert_eq!(check_manifest(&layout), Err(ImageError::Manifest), "{place:#x}");
    }
}

#[test]
fn an_image_without_a_manifest_has_nothing_to_check() {
    let file = elf(ENTRY, &runtime());
    assert_eq!(check_manifest(&image_layout(&file, OPTIONS).unwrap()), Ok(()));
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let good = elf(VERIFIER_ENTRY, &verifier());
    let beyond = [runtime(), vec![segment(R, VERIFIER_BASE - IMAGE_BASE - 0x1000, 0x1001, 0x1001)]];
    let refused = |runtime: &[u8], verifier: &[u8]| combine(runtime, verifier).unwrap_err();
    assert!(matches!(refused(&elf(ENTRY, &beyond.concat()), &good), ImageError::Overlap(_)));
    let mut filled = verifier();
    filled[0].data[0x1fff] = 1;
    assert_eq!(refused(&elf(ENTRY, &runtime()), &elf(VERIFIER_ENTRY, &filled)), ImageError::NoRoom);
    let mut pieces = runtime();
    pieces.extend((1..250).map(|index| segment(R, 0x10_0000 + index * 0x2000, 1, 1)));
    assert_eq!(refused(&elf(ENTRY, &pieces), &good), ImageError::Pieces(252));
    assert!(matches!(refused(b"#!/bin/sh", &good), ImageError::NotElf(_)));
}
