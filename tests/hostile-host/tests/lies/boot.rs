//! Pages that are not what was measured, first entries that are not as usual, boot parameters that
//! cannot be, and those that can but are wrong.

use crate::host::{BOTH, End, SYNC, tell};
use anyhow::{Result, ensure};
use hostcall_abi::{boot, layout::tcs_block};
use measure::{Coverage, ImageOptions, image_layout};
use sgx_types::{PageType, Xfrm};

/// Places in the enclave, at its end, beyond all memory, and not aligned.
const WRONG: [&str; 8] = [
    "0",
    "0x400000",
    "0x3f8000000000",
    "0x3ffffffffff8",
    "0x800000000000",
    "-8",
    "0x7f0000000001",
    "0x8000000000000000",
];

/// What the verifier finds.
const NOT_VERIFIED: End = End::Refused("its code or data is not what it was measured to be");

fn all(index: u64, values: &[&str], end: End) -> Result<()> {
    values.iter().try_for_each(|value| tell(&format!("boot {index} {value}"), SYNC, end))
}

#[test]
fn pointers_into_the_enclave_or_nowhere() -> Result<()> {
    for index in [boot::ARENA, boot::CONTROL, boot::START] {
        all(index, &WRONG, End::Found)?;
    }
    for value in WRONG {
        tell(&format!("boot {} {value}", boot::RINGS), &["async"], End::Found)?;
        tell(&format!("enter {value}"), SYNC, End::Any)?;
    }
    Ok(())
}

#[test]
fn sizes_that_cannot_be() -> Result<()> {
    for index in [boot::ARENA_LEN, boot::XSAVE_SIZE] {
        all(index, &["-1", "-8", "0x800000000000", "0x7fffffffffffffff"], End::Found)?;
    }
    all(boot::ARENA_LEN, &["0", "8", "4096"], End::Found)?;
    all(boot::XSAVE_SIZE, &["0", "575", "4097"], End::Found)?;
    all(boot::XFRM, &["0", "1", "3", "-1", "0x60003"], End::Found)
}

/// Memory of both sides that is the same, or smaller than it is said to be.
#[test]
fn memory_that_overlaps() -> Result<()> {
    let arena = format!("={}", boot::ARENA);
    for index in [boot::CONTROL, boot::START, boot::RINGS] {
        tell(&format!("boot {index} {arena}"), &["sync", "async"], End::Any)?;
    }
    all(boot::START_LEN, &["0", "1", "0x10000", "-1", "0x800000000000"], End::Any)
}

/// The first and the last byte of each run of pages that are no TCS, and one in the midst of it.
fn places(coverage: Coverage) -> Result<Vec<u64>> {
    let options = ImageOptions { debug: true, xfrm: Xfrm::LEGACY };
    let layout = image_layout(enclave_image::IMAGE, options)?;
    let regions = layout.regions().iter().filter(|region| {
        region.coverage == coverage && region.flags.page_type() == Some(PageType::Reg)
    });
    let places: Vec<u64> = regions
        .flat_map(|region| [region.offset, region.offset + region.len() / 2, region.end() - 1])
        .collect();
    ensure!(!places.is_empty(), "there are no such pages");
    Ok(places)
}

#[test]
fn pages_that_the_enclave_verifies() -> Result<()> {
    let places = places(Coverage::Verified)?;
    assert!(places.contains(&tcs_block(0).thread_data), "{places:x?}");
    places.into_iter().try_for_each(|place| tell(&format!("page {place:#x}"), SYNC, NOT_VERIFIED))
}

/// The same of those that EEXTEND measures; in a TCS, where the thread is entered.
#[test]
fn pages_that_are_measured() -> Result<()> {
    let refused = End::Refused("SGX_INVALID_MEASUREMENT");
    for place in places(Coverage::Extended)? {
        tell(&format!("page {place:#x}"), SYNC, refused)?;
    }
    tell(&format!("page {:#x}", tcs_block(3).tcs + 32), SYNC, refused)
}

/// Nothing relies on what they hold.
#[test]
fn pages_that_are_neither() -> Result<()> {
    let block = tcs_block(0);
    [block.exception_stack, block.ssa, tcs_block(1).ssa]
        .into_iter()
        .try_for_each(|place| tell(&format!("page {place:#x}"), SYNC, End::Harmless))
}

#[test]
fn entries_while_the_enclave_verifies_itself() -> Result<()> {
    tell("enter second-first", BOTH, End::Harmless)?;
    tell("enter portable", BOTH, End::Harmless)?;
    for _ in 0..10 {
        tell("enter kicked", BOTH, End::Harmless)?;
    }
    tell("enter unreadable", SYNC, NOT_VERIFIED)
}

/// What only the host can know: believed, within limits.
#[test]
fn claims_that_are_wrong() -> Result<()> {
    let claims = [
        boot::VERSION,
        boot::THREADS,
        boot::ARGC,
        boot::ENVC,
        boot::HEAP_LIMIT,
        boot::MODE,
        boot::UIDS,
        boot::GIDS,
        boot::CPUS,
        boot::HWCAP,
        boot::HWCAP2,
        boot::IGNORED,
        boot::BLOCKED,
    ];
    all(boot::PID, &["0", "-1", "0x100000001"], End::Found)?;
    claims.into_iter().try_for_each(|index| all(index, &["0", "-1"], End::Any))
}
