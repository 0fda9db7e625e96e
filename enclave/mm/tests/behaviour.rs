//! What is committed when, files, special areas, formats.

mod common;

use common::*;
use enclave_mm::{
    Access, FaultOutcome, Limits, MapRequest, MmError, PageRange, Prot, SegvCode, VmaKind,
};

const A: u64 = 0x10_0000_0000;
const K4: u64 = 4096;
const K64: u64 = 64 << 10;
const M2: u64 = 2 << 20;

#[test]
fn small_mappings_are_committed_at_once_large_ones_in_growing_blocks() {
    let mut s = space();
    s.mmap(anon(A, 256 << 10, RW, FIXED)).unwrap();
    assert_eq!(s.committed().pages(), 64);
    s.munmap(A, 256 << 10).unwrap();
    s.mmap(anon(A, 16 << 20, RW, FIXED)).unwrap();
    assert_eq!(s.committed().pages(), 0);
    s.pages_mut().commits.clear();
    for at in (A..A + (16 << 20)).step_by(4096) {
        store(&mut s, at, 1);
    }
    let sizes: Vec<u64> = s.pages().commits.iter().map(|range| range.len() / K64).collect();
    assert_eq!(sizes, [1, 1, 2, 4, 8, 16, 32, 32, 32, 32, 32, 32, 32]);
    let aligned = s.pages().commits.iter().all(|r| r.start().is_multiple_of(r.len()));
    assert!(aligned, "{:?}", s.pages().commits);
}

#[test]
fn downward_faults_grow_too_and_random_ones_do_not() {
    let mut s = space();
    s.mmap(anon(A, 64 << 20, RW, FIXED)).unwrap();
    s.pages_mut().commits.clear();
    for at in (A..A + M2).rev().step_by(4096) {
        store(&mut s, at, 1);
    }
    assert!(s.pages().commits.len() <= 7, "{:?}", s.pages().commits);
    s.pages_mut().commits.clear();
    for i in 1..16 {
        store(&mut s, A + i * 4 * M2 / 2 + M2, 1);
    }
    assert!(s.pages().commits.iter().all(|range| range.len() == K64));
    check_invariants(&s);
}

#[test]
fn nothing_is_committed_without_access_and_thread_stacks_at_their_top() {
    let mut s = space();
    s.mmap(anon(A, 8 << 20, 0, FIXED | 0x2_0000)).unwrap();
    assert_eq!(s.committed().pages(), 0);
    assert_eq!(load(&mut s, A), Touched::Failed(FaultOutcome::Segv(SegvCode::AccErr)));
    assert_eq!(load(&mut s, A - 1), Touched::Failed(FaultOutcome::Segv(SegvCode::MapErr)));
    s.mprotect(A + K4, (8 << 20) - K4, RW).unwrap();
    assert_eq!(s.committed().pages(), 8);
    assert!(s.committed().contains(A + (8 << 20) - 1));
    assert_eq!(s.fault(A + K4, Access::Exec), FaultOutcome::Segv(SegvCode::AccErr));
}

#[test]
fn protection_none_and_back_keeps_contents() {
    let mut s = space();
    s.mmap(anon(A, 4 * K4, RW, FIXED)).unwrap();
    store(&mut s, A + K4, 42);
    s.mprotect(A, 4 * K4, 0).unwrap();
    assert_eq!(load(&mut s, A + K4), Touched::Failed(FaultOutcome::Segv(SegvCode::AccErr)));
    s.mprotect(A, 4 * K4, R).unwrap();
    assert_eq!(load(&mut s, A + K4), Touched::Value(42));
    assert_eq!(store(&mut s, A, 1), Touched::Failed(FaultOutcome::Segv(SegvCode::AccErr)));
    check_invariants(&s);
}

#[test]
fn private_files_are_copies_with_a_zero_tail_and_an_end() {
    let mut s = with_file(1, 2 * 4096 + 100);
    let at = s.mmap(file(A, 1, 5 * K4, RW, PRIVATE)).unwrap();
    assert_eq!(s.committed().pages(), 3, "read at once, up to the end of the file");
    assert_eq!(load(&mut s, at + 2 * K4 + 99), Touched::Value(3));
    assert_eq!(load(&mut s, at + 2 * K4 + 100), Touched::Value(0));
    assert_eq!(load(&mut s, at + 3 * K4), Touched::Failed(FaultOutcome::Bus));
    store(&mut s, at, 99);
    s.munmap(at + K4, K4).unwrap();
    assert_eq!(s.pages().files[&1][0], 1, "the file stays");
    s.madvise(at, K4, 4).unwrap();
    assert_eq!(load(&mut s, at), Touched::Value(1), "read again");
    s.pages_mut().fail_after = Some(1);
    s.madvise(at, K4, 4).unwrap();
    assert_eq!(load(&mut s, at + 2 * K4), Touched::Value(3));
    check_invariants(&s);
}

#[test]
fn large_files_are_read_in_blocks() {
    let mut s = with_file(1, 4 << 20);
    let at = s.mmap(file(A, 1, 4 << 20, R, PRIVATE)).unwrap();
    assert_eq!(s.committed().pages(), 0);
    for page in (at..at + (1 << 20)).step_by(4096) {
        let expected = u8::try_from((page - at) / K4 % 250 + 1).unwrap();
        assert_eq!(load(&mut s, page), Touched::Value(expected));
    }
    let sizes: Vec<u64> = s.pages().commits.iter().map(|range| range.len() / K64).collect();
    assert_eq!(sizes, [1, 1, 2, 4, 4, 4]);
    s.pages_mut().fail_after = Some(0);
    assert_eq!(load(&mut s, at + (2 << 20)), Touched::Value(13), "a page alone may still be had");
}

#[test]
fn shared_files_are_written_back_where_they_were_written() {
    let mut s = with_file(1, 16 * 4096);
    let at = s.mmap(file(A, 1, 16 * K4, RW, SHARED)).unwrap();
    assert_eq!(load(&mut s, at + 8 * K4), Touched::Value(9));
    store(&mut s, at + 2 * K4, 200);
    // What others do to pages that this program has only read stays.
    s.pages_mut().files.get_mut(&1).unwrap()[8 * 4096] = 111;
    s.msync(at, 16 * K4, 4).unwrap();
    assert_eq!(s.pages().files[&1][2 * 4096], 200);
    assert_eq!(s.pages().files[&1][8 * 4096], 111);
    assert_eq!(s.pages().synced, [1]);
    assert_eq!(load(&mut s, at + 8 * K4), Touched::Value(9), "stale, as documented");
    s.msync(at, 16 * K4, 2).unwrap();
    assert_eq!(load(&mut s, at + 8 * K4), Touched::Value(111), "MS_INVALIDATE reads again");
    store(&mut s, at + 2 * K4, 201);
    s.mprotect(at, 16 * K4, 0).unwrap();
    s.munmap(at, 16 * K4).unwrap();
    assert_eq!(s.pages().files[&1][2 * 4096], 201, "munmap writes back what cannot be read");
    check_invariants(&s);
}

#[test]
fn read_and_write_calls_are_coherent_with_mappings() {
    let mut s = with_file(1, 4 * 4096);
    assert!(!s.has_shared_files());
    let at = s.mmap(file(A, 1, 4 * K4, RW, SHARED)).unwrap();
    assert!(s.has_shared_files());
    store(&mut s, at + K4 + 7, 50);
    s.flush_file(&TestFile(2), 0, u64::MAX).unwrap();
    assert_eq!(s.pages().files[&1][4096 + 7], 2, "another file");
    s.flush_file(&TestFile(1), 4096, 100).unwrap();
    assert_eq!(s.pages().files[&1][4096 + 7], 50, "read(2) sees the store");
    store(&mut s, at + K4 + 9, 51);
    s.drop_file(&TestFile(1), 4096 + 8, 1).unwrap();
    s.pages_mut().files.get_mut(&1).unwrap()[4096 + 8] = 60;
    assert_eq!(load(&mut s, at + K4 + 8), Touched::Value(60), "the mapping sees write(2)");
    assert_eq!(load(&mut s, at + K4 + 9), Touched::Value(51));
    // ftruncate
    s.drop_file(&TestFile(1), 4096, u64::MAX).unwrap();
    s.pages_mut().files.get_mut(&1).unwrap().truncate(4096 + 8);
    assert_eq!(load(&mut s, at + 2 * K4), Touched::Failed(FaultOutcome::Bus));
    assert_eq!(load(&mut s, at + K4 + 8), Touched::Value(0));
    store(&mut s, at, 70);
    s.flush_all().unwrap();
    assert_eq!(s.pages().files[&1][0], 70);
    s.munmap(at, 4 * K4).unwrap();
    assert!(!s.has_shared_files());
}

#[test]
fn mappings_of_one_part_of_a_file_have_one_page_that_may_be_written() {
    let mut s = with_file(1, 8 * 4096);
    let a = s.mmap(file(A, 1, 4 * K4, RW, SHARED)).unwrap();
    let b = s.mremap(a + K4, 0, 2 * K4, 1, 0).unwrap();
    let c = s.mmap(file(A, 1, K4, RW, SHARED)).unwrap();
    assert!(s.are_twins(a + K4 + 5, b + 9) && s.are_twins(b, a + K4));
    assert!(!s.are_twins(a, b) && !s.are_twins(a, a) && s.are_twins(a, c));
    assert_eq!([b + 4, a + K4 + 4].map(|at| s.first_twin(at)), [b.min(a + K4) + 4; 2]);
    assert_eq!(s.first_twin(a + 3 * K4), a + 3 * K4);
    // Copies for those that read.
    assert_eq!(load(&mut s, a + K4), load(&mut s, b));
    assert!(s.committed().contains(a + K4) && s.committed().contains(b));
    store(&mut s, b, 50);
    assert!(!s.committed().contains(a + K4), "a copy of what was there before");
    assert_eq!(s.pages().files[&1][4096], 2, "nobody has asked for it");
    assert_eq!(load(&mut s, a + K4), Touched::Value(50));
    assert_eq!(s.pages().files[&1][4096], 50);
    assert!(s.committed().contains(b), "it may be read still");
    store(&mut s, a + K4, 51);
    assert_eq!(load(&mut s, b), Touched::Value(51));
    // Nothing can be read there.
    s.mprotect(b.min(a + K4), K4, 0).unwrap();
    assert_eq!(s.first_twin(b.max(a + K4)), b.max(a + K4));
}

#[test]
fn no_mapping_shows_what_is_behind_the_end_of_its_file() {
    let mut s = with_file(1, 4 * 4096);
    let at = s.mmap(file(A, 1, 4 * K4, RW, PRIVATE)).unwrap();
    let other = s.mmap(anon(0, K4, RW, 0)).unwrap();
    for page in 0..4 {
        store(&mut s, at + page * K4 + 1, 70);
    }
    store(&mut s, other, 71);
    s.pages_mut().files.get_mut(&1).unwrap().truncate(4096 + 8);
    s.cut_file(&TestFile(2), 0).unwrap();
    assert_eq!(load(&mut s, at + 3 * K4 + 1), Touched::Value(70), "another file");
    s.cut_file(&TestFile(1), 4096 + 8).unwrap();
    assert_eq!(load(&mut s, at + K4 + 1), Touched::Value(70), "the last page is a copy still");
    assert_eq!(load(&mut s, at + 2 * K4 + 1), Touched::Failed(FaultOutcome::Bus));
    s.pages_mut().files.get_mut(&1).unwrap().resize(4 * 4096, 0);
    s.cut_file(&TestFile(1), 4 * 4096).unwrap();
    assert_eq!(load(&mut s, at + 2 * K4 + 1), Touched::Value(0));
    assert_eq!(
        (load(&mut s, at + 1), load(&mut s, other)),
        (Touched::Value(70), Touched::Value(71))
    );
}

#[test]
fn a_failed_write_back_is_told_and_tried_again() {
    let mut s = with_file(1, 4 * 4096);
    let at = s.mmap(file(A, 1, 4 * K4, RW, SHARED)).unwrap();
    store(&mut s, at, 70);
    s.pages_mut().fail_after = Some(2);
    assert_eq!(s.msync(at, K4, 4), Err(MmError::NoSpace));
    check_invariants(&s);
    assert_eq!(s.msync(at, K4, 4), Ok(()));
    assert_eq!(s.pages().files[&1][0], 70);
}

#[test]
fn mremap_moves_contents_and_leaves_room_to_grow() {
    let mut s = space();
    s.mmap(anon(A, 4 << 20, RW, FIXED)).unwrap();
    s.mmap(anon(A + (4 << 20), K4, R, FIXED)).unwrap();
    for i in 0..1024 {
        store(&mut s, A + i * K4, u8::try_from(i % 251).unwrap());
    }
    let moved = s.mremap(A, 4 << 20, 6 << 20, 1, 0).unwrap();
    assert_ne!(moved, A);
    assert!(s.find(A).is_none());
    for i in 0..1024 {
        assert_eq!(load(&mut s, moved + i * K4), Touched::Value(u8::try_from(i % 251).unwrap()));
    }
    assert_eq!(s.mremap(moved, 6 << 20, 8 << 20, 1, 0), Ok(moved), "grows in place now");
    let kept = s.mremap(moved, 8 << 20, 8 << 20, 5, 0).unwrap();
    assert_eq!(load(&mut s, moved + K4), Touched::Value(0), "DONTUNMAP leaves zeroes");
    assert_eq!(load(&mut s, kept + K4), Touched::Value(1));
    check_invariants(&s);
}

#[test]
fn a_move_that_fails_half_way_is_undone() {
    for after in 0..6 {
        let mut s = space();
        s.mmap(anon(A, 8 << 20, RW, FIXED)).unwrap();
        for i in 0..2048 {
            store(&mut s, A + i * K4, u8::try_from(i % 251).unwrap());
        }
        s.pages_mut().fail_after = Some(after);
        let moved = s.mremap(A, 8 << 20, 8 << 20, 3, A + (64 << 20));
        // The decommit of a step cannot be undone; the copy can.
        let expected = if after % 2 == 0 { MmError::NoMemory } else { MmError::Lost };
        assert_eq!(moved, Err(expected), "failure after {after} calls");
        if after % 2 == 0 {
            check_invariants(&s);
            assert!((0..2048).all(|i| {
                load(&mut s, A + i * K4) == Touched::Value(u8::try_from(i % 251).unwrap())
            }));
        }
    }
}

#[test]
fn special_areas_are_out_of_the_programs_reach() {
    let mut s = space();
    let code = s.mmap(anon(A, 16 * K4, RX, FIXED)).unwrap();
    let at = s.find_free_near(code, 2 * K4, 1 << 31).unwrap();
    assert!(at.abs_diff(code) <= 16 * K4, "{at:#x}");
    let range = page_range(at, 2);
    s.map_runtime(range, Prot::RW, VmaKind::Special("trampolines")).unwrap();
    assert_eq!(s.committed().runs_in(range).next(), Some(range));
    s.protect_runtime(range, Prot::RX).unwrap();
    assert_eq!(s.map_runtime(range, Prot::RW, VmaKind::Anon), Err(MmError::Exists));
    assert_eq!(s.mmap(anon(at, K4, RW, FIXED)), Err(MmError::NoMemory));
    assert_eq!(s.mmap(anon(at, K4, RW, NOREPLACE)), Err(MmError::Exists));
    assert_eq!(s.mprotect(at, K4, RW), Err(MmError::NoMemory));
    assert_eq!(s.mremap(at, K4, 2 * K4, 1, 0), Err(MmError::Fault));
    assert_eq!(s.madvise(at, K4, 4), Err(MmError::NoMemory));
    assert_eq!(s.munmap(A - 64 * K4, 128 * K4), Ok(()));
    assert_eq!(s.find(at).map(enclave_mm::Vma::prot), Some(Prot::RX));
    assert!(s.find(code).is_none());
    assert_eq!(s.unmap_runtime(page_range(code, 1)), Err(MmError::Invalid));
    s.unmap_runtime(page_range(at + K4, 1)).unwrap();
    s.unmap_runtime(page_range(at, 1)).unwrap();
    assert_eq!(s.usage().mapped, 0);
    check_invariants(&s);
}

#[test]
fn free_places_near_code_spare_the_heap() {
    let mut s = space();
    s.mmap(anon(0x40_0000, M2, RX, FIXED)).unwrap();
    s.set_brk_start(0x60_0000);
    let below = s.find_free_near(0x60_0000, K64, 1 << 31).unwrap();
    assert_eq!(below, 0x40_0000 - K64, "not where the heap grows");
    assert_eq!(s.find_free_near(0x60_0000, 8 << 20, 1 << 31), Some(0x60_0000 + (1 << 30)));
    assert_eq!(s.find_free_near(0x60_0000, 8 << 20, 1 << 29), None);
    assert_eq!(s.find_free_near(A, 0, 1 << 29), None);
    assert_eq!(s.find_free_near(0, K4, 1 << 29), Some(0x1_0000));
}

#[test]
fn maps_lines_are_those_of_linux() {
    let mut s = with_file(7, 8 * 4096);
    s.set_brk_start(0x40_0000);
    s.brk(0x40_2000);
    s.mmap(MapRequest { offset: 0x2000, ..file(A, 7, 2 * K4, RX, PRIVATE) }).unwrap();
    s.mmap(anon(A + 2 * K4, K4, 0, FIXED)).unwrap();
    s.mmap(MapRequest { flags: SHARED | ANON, ..anon(A + 4 * K4, K4, RW, 0) }).unwrap();
    let stack = PageRange::new(0x3eff_fff0_0000, 0x3f00_0000_0000).unwrap();
    s.map_runtime(stack, Prot::RW, VmaKind::Stack).unwrap();
    s.map_runtime(page_range(0x3eff_ffe0_0000, 1), Prot::RX, VmaKind::Vdso).unwrap();
    let mut out = Vec::new();
    s.write_maps(&mut out);
    let expected = "\
00400000-00402000 rw-p 00000000 00:00 0                                  [heap]
1000000000-1000002000 r-xp 00002000 08:02 7                              /tmp/file7
1000002000-1000003000 ---p 00000000 00:00 0 
1000004000-1000005000 rw-s 00000000 00:01 16777220                       /dev/zero (deleted)
3effffe00000-3effffe01000 r-xp 00000000 00:00 0                          [vdso]
3efffff00000-3f0000000000 rw-p 00000000 00:00 0                          [stack]
";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let usage = s.usage();
    assert_eq!((usage.mapped, usage.stack, usage.data, usage.exec), (263, 256, 2, 3));
    assert_eq!((usage.resident, usage.resident_shared), (6, 3));
}

#[test]
fn stacks_grow_down_to_their_limit() {
    let mut s = space();
    let top = 0x3eff_0000_0000;
    let range = PageRange::new(top - 4 * K4, top).unwrap();
    s.map_runtime(range, Prot::RW, VmaKind::Stack).unwrap();
    s.set_limits(Limits { stack: 8 << 20, ..Limits::default() });
    for at in (top - (8 << 20)..top).rev().step_by(4096) {
        assert_eq!(store(&mut s, at, 1), Touched::Value(1), "{at:#x}");
    }
    assert!(s.pages().commits.len() <= 16, "{:?}", s.pages().commits);
    let below = top - (8 << 20) - 1;
    let nothing = FaultOutcome::Segv(SegvCode::MapErr);
    assert_eq!(s.fault(below, Access::Write), nothing, "RLIMIT_STACK");
    s.set_limits(Limits { stack: 1 << 20, ..Limits::default() });
    assert_eq!(store(&mut s, below + 1, 2), Touched::Value(2), "what is there stays");
    s.set_limits(Limits { stack: 64 << 20, address_space: 9 << 20, ..Limits::default() });
    assert_eq!(s.fault(top - (10 << 20), Access::Read), nothing, "RLIMIT_AS");
    s.set_limits(Limits::default());
    s.mmap(anon(top - (16 << 20), K4, RW, FIXED)).unwrap();
    assert_eq!(s.fault(top - (15 << 20), Access::Read), nothing, "a gap stays free");
    let room = top - (15 << 20) + K4;
    assert_eq!(s.fault(room, Access::Read), FaultOutcome::Resolved);
    assert_eq!(s.find(top - 1).map(|vma| vma.range().start()), Some(room));
    assert_eq!(s.vmas().count(), 2);
    s.mprotect(top - (16 << 20), K4, 0).unwrap();
    let last = top - (16 << 20) + K4;
    assert_eq!(s.fault(last, Access::Write), FaultOutcome::Resolved, "up to a guard");
    let guarded = FaultOutcome::Segv(SegvCode::AccErr);
    assert_eq!(s.fault(last - 1, Access::Write), guarded, "not over it");
}

#[test]
fn a_hundred_thousand_mappings_are_fast() {
    let policy = enclave_mm::Policy { max_map_count: 1 << 20, ..Default::default() };
    let mut s = Space::new(enclave_mm::Layout::default(), policy, Machine::default());
    let start = std::time::Instant::now();
    for i in 0..100_000 {
        s.mmap(anon(A + i * 2 * K4, K4, 0, FIXED)).unwrap();
    }
    for i in (0..100_000).step_by(10) {
        s.mprotect(A + i * 2 * K4, K4, R).unwrap();
        let at = s.mmap(anon(0, 2 * K4, 0, 0)).unwrap();
        s.munmap(at, 2 * K4).unwrap();
        s.find_free_near(A + i * 2 * K4, K4, 1 << 31).unwrap();
    }
    for i in 0..100_000 {
        s.munmap(A + i * 2 * K4, K4).unwrap();
    }
    assert_eq!(s.vmas().count(), 0);
    // Quadratic would be minutes.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
