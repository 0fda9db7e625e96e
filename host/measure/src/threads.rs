//! What belongs to threads, behind the image: per-thread data, then stacks, TCS and SSA frames.

use std::borrow::Cow;

use hostcall_abi::layout::{
    EXCEPTION_STACK_PAGES, NSSA, SSA_FRAME_PAGES, TCS_AREA, TCS_COUNT, TcsBlock, tcs_block,
    thread_data,
};
use sgx_types::{PAGE_SIZE, PageType, SecInfoFlags, Tcs};
use zerocopy::IntoBytes;

use crate::{Contents, Coverage, Layout, LayoutError, PAGE, Region};

/// FSLIMIT and GSLIMIT: EADD wants the low twelve bits set; 64-bit mode does not use them.
const SEGMENT_LIMIT: u32 = 0xfff;

/// Appends the data of all threads, measured as `coverage` says, and their TCS blocks; they enter at
/// offset `entry`.
pub(crate) fn add_threads(
    layout: &mut Layout<'_>,
    entry: u64,
    coverage: Coverage,
) -> Result<(), LayoutError> {
    let blocks = || (0..TCS_COUNT).map(tcs_block);
    layout.add(Region {
        offset: TCS_AREA,
        pages: TCS_COUNT,
        flags: read_write(),
        contents: Contents::Bytes(Cow::Owned((0..).zip(blocks()).flat_map(data_page).collect())),
        coverage,
    })?;
    blocks().try_for_each(|block| add_block(layout, &block, entry))
}

fn add_block(layout: &mut Layout<'_>, block: &TcsBlock, entry: u64) -> Result<(), LayoutError> {
    layout.add(scratch(block.exception_stack, EXCEPTION_STACK_PAGES))?;
    layout.add(Region {
        offset: block.tcs,
        pages: 1,
        flags: SecInfoFlags::of(PageType::Tcs),
        contents: Contents::Bytes(Cow::Owned(tcs(block, entry).as_bytes().to_vec())),
        coverage: Coverage::Extended,
    })?;
    layout.add(scratch(block.ssa, NSSA * SSA_FRAME_PAGES))
}

/// Memory that the enclave (or the processor) writes before it reads it: not measured.
fn scratch(offset: u64, pages: u64) -> Region<'static> {
    Region {
        offset,
        pages,
        flags: read_write(),
        contents: Contents::Zero,
        coverage: Coverage::Uncovered,
    }
}

fn read_write() -> SecInfoFlags {
    SecInfoFlags::of(PageType::Reg) | SecInfoFlags::R | SecInfoFlags::W
}

fn tcs(block: &TcsBlock, entry: u64) -> Tcs {
    Tcs {
        ossa: block.ssa,
        nssa: u32::try_from(NSSA).unwrap_or(u32::MAX),
        oentry: entry,
        ofs_base: block.thread_data,
        ogs_base: block.thread_data,
        fs_limit: SEGMENT_LIMIT,
        gs_limit: SEGMENT_LIMIT,
        ..Tcs::default()
    }
}

/// The per-thread data page: what a thread must know before it can find out anything.
fn data_page((index, block): (u64, TcsBlock)) -> [u8; PAGE_SIZE] {
    let mut page = [0; PAGE_SIZE];
    let mut put = |offset: u64, word: u64| {
        let offset = offset as usize;
        page[offset..offset + 8].copy_from_slice(&word.to_le_bytes());
    };
    put(thread_data::SELF, block.thread_data);
    put(thread_data::EXCEPTION_STACK, block.exception_stack + EXCEPTION_STACK_PAGES * PAGE);
    put(thread_data::INDEX, index);
    put(thread_data::SSA, block.ssa);
    put(thread_data::SSA_FRAME_SIZE, SSA_FRAME_PAGES * PAGE);
    page
}
