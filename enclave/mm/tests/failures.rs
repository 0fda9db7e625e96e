//! Random sequences of all calls while the machine below fails now and then.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::naive::FILE_PAGES;
use common::ops::{Op, addr, bytes, config, op, small_space};
use common::*;
use enclave_mm::{Backing, MapRequest, MmError, PageRange, Prot, VmaKind};
use proptest::prelude::*;

const FILE: u32 = 1;

/// Does one call.
fn apply(s: &mut Space, op: &Op) -> Result<(), MmError> {
    match *op {
        Op::Map { at, len, prot, what, offset, mode } => {
            let open = |id| Backing {
                file: TestFile(id),
                readable: true,
                writable: true,
                executable: true,
            };
            let file = (what >= 3).then(|| open(FILE));
            let shared = if what % 2 == 0 { SHARED } else { PRIVATE };
            let flags = shared | if mode == 1 { FIXED } else { 0 };
            let flags = flags | if file.is_none() { ANON } else { 0 };
            let (hint, len, offset) = (addr(at), bytes(len), bytes(offset));
            s.mmap(MapRequest { hint, len, prot, flags, offset, file }).map(drop)
        }
        Op::Unmap { at, len } => s.munmap(addr(at), bytes(len)),
        Op::Protect { at, len, prot } => s.mprotect(addr(at), bytes(len), prot),
        Op::Remap { old, old_len, len, flags, new } => {
            s.mremap(addr(old), bytes(old_len), bytes(len), flags, addr(new)).map(drop)
        }
        Op::Advise { at, len, advice } => s.madvise(addr(at), bytes(len), advice),
        Op::Lock { at, len, .. } => s.mlock(addr(at), bytes(len)),
        Op::Brk { to } => {
            s.brk(addr(to));
            Ok(())
        }
        Op::Sync { at, len, flags } => s.msync(addr(at), bytes(len), flags),
        Op::Load { at } => {
            load(s, addr(at));
            Ok(())
        }
        Op::ReadThrough { at } => {
            s.read_through(addr(at), 1);
            Ok(())
        }
        Op::Store { at, value } => {
            store(s, addr(at), value);
            Ok(())
        }
        Op::FileRead { page, .. } => s.flush_file(&TestFile(FILE), bytes(page), 1),
        Op::FileWrite { page, .. } => s
            .begin_write(&TestFile(FILE), bytes(page), 1)
            .and_then(|()| s.end_write(&TestFile(FILE), bytes(page), 1)),
        Op::MapSpecial { at, len } => {
            let range = PageRange::from_len(addr(at), bytes(len)).unwrap();
            s.map_runtime(range, Prot::READ, VmaKind::Special("own"))
        }
        Op::UnmapSpecial { at, len } => {
            s.unmap_runtime(PageRange::from_len(addr(at), bytes(len)).unwrap())
        }
    }
}
proptest! {
    #![proptest_config(config())]

    /// Whatever fails below, mappings and pages still fit together and nothing that was read or written breaks
    /// the contract with the machine.
    #[test]
    fn failures_below_leave_a_consistent_state(
        ops in prop::collection::vec((op(), prop::option::weighted(0.3, 0..4_u32)), 1..80),
    ) {
        let mut space = small_space();
        space.pages_mut().files.insert(FILE, vec![7; 4096 * FILE_PAGES]);
        for (op, fail_after) in &ops {
            space.pages_mut().fail_after = *fail_after;
            if apply(&mut space, op) == Err(MmError::Lost) {
                return Ok(());
            }
            space.pages_mut().fail_after = None;
            check_invariants(&space);
        }
    }
}
