//! The TCS blocks behind the image: stacks, TCS, SSA frames and per-thread data.

use std::borrow::Cow;

use hostcall_abi::layout::{
    EXCEPTION_STACK_PAGES, IMAGE_BASE, NSSA, SSA_FRAME_PAGES, TCS_COUNT, TcsBlock, tcs_block,
    thread_data,
};
use sgx_types::{PageType, SecInfoFlags, Tcs};
use zerocopy::IntoBytes;

use crate::{Contents, Layout, LayoutError, PAGE, Region};

/// FSLIMIT and GSLIMIT: EADD wants the low twelve bits set; 64-bit mode does not use them.
const SEGMENT_LIMIT: u32 = 0xfff;

/// Appends all TCS blocks, whose threads enter at offset `entry`.
pub(crate) fn add_thread_blocks(layout: &mut Layout<'_>, entry: u64) -> Result<(), LayoutError> {
    (0..TCS_COUNT).try_for_each(|index| add_thread_block(layout, index, entry))
}

fn add_thread_block(layout: &mut Layout<'_>, index: u64, entry: u64) -> Result<(), LayoutError> {
    let block = tcs_block(index);
    layout.add(scratch(block.exception_stack, EXCEPTION_STACK_PAGES))?;
    layout.add(Region {
        offset: block.tcs,
        pages: 1,
        flags: SecInfoFlags::of(PageType::Tcs),
        contents: Contents::Bytes(Cow::Owned(tcs(&block, entry).as_bytes().to_vec())),
        measured: true,
    })?;
    layout.add(scratch(block.ssa, NSSA * SSA_FRAME_PAGES))?;
    layout.add(Region {
        offset: block.thread_data,
        pages: 1,
        flags: read_write(),
        contents: Contents::Bytes(Cow::Owned(data_page(&block, index))),
        measured: true,
    })
}

/// Memory that the enclave (or the processor) writes before it reads it: not measured.
fn scratch(offset: u64, pages: u64) -> Region<'static> {
    Region { offset, pages, flags: read_write(), contents: Contents::Zero, measured: false }
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
fn data_page(block: &TcsBlock, index: u64) -> Vec<u8> {
    let mut page = vec![0; sgx_types::PAGE_SIZE];
    let mut put = |offset: u64, word: u64| {
        let offset = offset as usize;
        page[offset..offset + 8].copy_from_slice(&word.to_le_bytes());
    };
    put(thread_data::SELF, block.thread_data);
    put(thread_data::EXCEPTION_STACK, block.exception_stack + EXCEPTION_STACK_PAGES * PAGE);
    put(thread_data::INDEX, index);
    put(thread_data::IMAGE_BASE, IMAGE_BASE);
    put(thread_data::SSA, block.ssa);
    put(thread_data::SSA_FRAME_SIZE, SSA_FRAME_PAGES * PAGE);
    page
}
