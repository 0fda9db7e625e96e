//! Random calls on a small address space.

use enclave_mm::{Layout, PAGE_SIZE, PageRange, Policy};
use proptest::prelude::*;

use super::naive::{FILE_PAGES, PAGES};
use super::{Machine, Space};

const BASE: u64 = 0x1_0000;
/// The page where the heap begins.
pub(crate) const HEAP: usize = 8;

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Map { at: usize, len: usize, prot: u64, what: u8, offset: usize, mode: u8 },
    Unmap { at: usize, len: usize },
    Protect { at: usize, len: usize, prot: u64 },
    Remap { old: usize, old_len: usize, len: usize, flags: u64, new: usize },
    Advise { at: usize, len: usize, advice: u64 },
    Lock { at: usize, len: usize, on: bool },
    Brk { to: usize },
    Sync { at: usize, len: usize, flags: u64 },
    Load { at: usize },
    ReadThrough { at: usize },
    Store { at: usize, value: u8 },
    FileRead { index: usize, page: usize },
    FileWrite { index: usize, page: usize, value: u8 },
    MapSpecial { at: usize, len: usize },
    UnmapSpecial { at: usize, len: usize },
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let at = || 0..PAGES + 2;
    let len = || 0..24_usize;
    let prot = || prop_oneof![Just(0_u64), Just(1), Just(2), Just(3), Just(3), Just(3), Just(5)];
    prop_oneof![
        4 => (at(), len(), prot(), 0..6_u8, 0..FILE_PAGES, 0..5_u8)
            .prop_map(|(at, len, prot, what, offset, mode)| Op::Map { at, len, prot, what, offset, mode }),
        2 => (at(), len()).prop_map(|(at, len)| Op::Unmap { at, len }),
        3 => (at(), len(), prot()).prop_map(|(at, len, prot)| Op::Protect { at, len, prot }),
        3 => (at(), 0..12_usize, len(), 0..8_u64, at())
            .prop_map(|(old, old_len, len, flags, new)| Op::Remap { old, old_len, len, flags, new }),
        2 => (at(), len(), prop::sample::select(vec![0_u64, 4, 4, 4, 8, 10, 11, 14, 15, 21]))
            .prop_map(|(at, len, advice)| Op::Advise { at, len, advice }),
        1 => (at(), len(), any::<bool>()).prop_map(|(at, len, on)| Op::Lock { at, len, on }),
        1 => (HEAP..HEAP + 24).prop_map(|to| Op::Brk { to }),
        1 => (at(), len(), prop::sample::select(vec![1_u64, 2, 4, 6]))
            .prop_map(|(at, len, flags)| Op::Sync { at, len, flags }),
        5 => (0..PAGES).prop_map(|at| Op::Load { at }),
        2 => (0..PAGES).prop_map(|at| Op::ReadThrough { at }),
        8 => (0..PAGES, 1..=u8::MAX).prop_map(|(at, value)| Op::Store { at, value }),
        1 => (0..8_usize, 0..FILE_PAGES).prop_map(|(index, page)| Op::FileRead { index, page }),
        1 => (0..8_usize, 0..FILE_PAGES, 1..=u8::MAX)
            .prop_map(|(index, page, value)| Op::FileWrite { index, page, value }),
        1 => (at(), 1..4_usize).prop_map(|(at, len)| Op::MapSpecial { at, len }),
        1 => (at(), 1..4_usize).prop_map(|(at, len)| Op::UnmapSpecial { at, len }),
    ]
}

pub(crate) fn addr(page: usize) -> u64 {
    BASE + bytes(page)
}

pub(crate) fn bytes(pages: usize) -> u64 {
    u64::try_from(pages).unwrap() * PAGE_SIZE
}

pub(crate) fn page(addr: u64) -> usize {
    usize::try_from((addr - BASE) / PAGE_SIZE).unwrap()
}

/// An address space of [`PAGES`] pages, with a policy as small.
pub(crate) fn small_space() -> Space {
    let k = bytes;
    let area = PageRange::new(BASE, addr(PAGES)).unwrap();
    let policy = Policy {
        eager_anon: k(2),
        eager_file: k(2),
        eager_data: k(4),
        eager_stack: k(1),
        anon_block_min: k(2),
        anon_block_max: k(8),
        file_block_min: k(2),
        file_block_max: k(4),
        dirty_block_max: k(2),
        zero_limit: k(3),
        huge_page: k(16),
        remap_slack: k(8),
        stack_gap: 1 << 20,
        brk_reserve: k(4),
        max_map_count: 1000,
    };
    let layout = Layout { area, mmap_top: addr(PAGES - 16) };
    let mut space = Space::new(layout, policy, Machine::default());
    space.set_brk_start(addr(HEAP));
    space
}

/// Debug builds of this are slow; `PROPTEST_CASES` asks for more.
pub(crate) fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 400 };
    ProptestConfig { cases, failure_persistence: None, ..default }
}
