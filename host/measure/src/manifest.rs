//! The manifest: what the enclave is to find in the pages that EEXTEND did not measure.

use hostcall_abi::manifest::{DIGEST_WORDS, DIGESTS, ENTRY, LANES, RANGES, WORDS};
use sgx_types::PAGE_SIZE;
use sha2::{Digest, Sha256};

use crate::{Coverage, ImageError, Layout, PAGE, Region};

const _: () = assert!(WORDS * 8 == PAGE_SIZE);

/// A manifest, as the bytes of its page.
pub(crate) type Manifest = [u8; PAGE_SIZE];

/// The manifest for the verified pages of `layout`, and a runtime that is entered at `entry`.
///
/// # Errors
/// When they are in more pieces than a manifest has room for.
pub(crate) fn manifest(layout: &Layout<'_>, entry: u64) -> Result<Manifest, ImageError> {
    let verified =
        || layout.regions().iter().filter(|region| region.coverage == Coverage::Verified);
    let mut lanes = [(); LANES].map(|()| Sha256::new());
    for (index, page) in verified().flat_map(Region::pages).enumerate() {
        lanes[index % LANES].update(page.contents);
    }
    let ranges = ranges(verified());
    // A range of no pages ends them.
    if RANGES + 2 * ranges.len() + 2 > WORDS {
        return Err(ImageError::Pieces(ranges.len()));
    }
    let mut manifest = [0; PAGE_SIZE];
    put(&mut manifest, ENTRY, &entry.to_le_bytes());
    for (lane, at) in lanes.into_iter().zip((DIGESTS..).step_by(DIGEST_WORDS)) {
        put(&mut manifest, at, &lane.finalize());
    }
    for ((start, pages), at) in ranges.into_iter().zip((RANGES..).step_by(2)) {
        put(&mut manifest, at, &start.to_le_bytes());
        put(&mut manifest, at + 1, &pages.to_le_bytes());
    }
    Ok(manifest)
}

/// Checks what the enclave checks when it starts: that the verified pages hold what the manifest says.
///
/// # Errors
/// When they do not, or when there are such pages and no manifest.
pub fn check_manifest(layout: &Layout<'_>) -> Result<(), ImageError> {
    if layout.regions().iter().all(|region| region.coverage != Coverage::Verified) {
        return Ok(());
    }
    let measured = layout.pages().find(|page| page.offset == hostcall_abi::layout::MANIFEST);
    let measured = measured.filter(|page| page.coverage == Coverage::Extended);
    let measured = measured.ok_or(ImageError::Manifest)?.contents;
    let entry = measured.as_chunks::<8>().0[ENTRY];
    if manifest(layout, u64::from_le_bytes(entry))? == *measured {
        Ok(())
    } else {
        Err(ImageError::Manifest)
    }
}

/// First addresses and numbers of pages of `regions`, those that follow each other as one.
fn ranges<'r>(regions: impl Iterator<Item = &'r Region<'r>>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for region in regions {
        match ranges.last_mut() {
            Some((start, pages)) if *start + *pages * PAGE == region.offset => {
                *pages += region.pages;
            }
            _ => ranges.push((region.offset, region.pages)),
        }
    }
    ranges
}

fn put(manifest: &mut Manifest, word: usize, bytes: &[u8]) {
    manifest[word * 8..][..bytes.len()].copy_from_slice(bytes);
}
