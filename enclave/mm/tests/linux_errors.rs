//! The errors and corner cases of Linux, call by call.

mod common;

use common::*;
use enclave_mm::{Backing, Limits, MapRequest, MmError, Policy, Prot, VmaKind};

const A: u64 = 0x10_0000_0000;
const K4: u64 = 4096;

#[test]
fn mmap_refuses_as_linux_does() {
    let mut s = space();
    let cases = [
        (anon(0, 0, RW, 0), MmError::Invalid),
        (MapRequest { offset: 1, ..anon(0, K4, RW, 0) }, MmError::Invalid),
        (MapRequest { flags: ANON, ..anon(0, K4, RW, 0) }, MmError::Invalid),
        (MapRequest { flags: ANON | 3, ..anon(0, K4, RW, 0) }, MmError::Invalid),
        (MapRequest { flags: ANON | SHARED | 0x100, ..anon(0, K4, RW, 0) }, MmError::Invalid),
        (anon(0, u64::MAX, RW, 0), MmError::NoMemory),
        (anon(0, 1 << 47, RW, 0), MmError::NoMemory),
        (anon(A + 1, K4, RW, FIXED), MmError::Invalid),
        (anon(0x1000, K4, RW, FIXED), MmError::NotPermitted),
        (anon(0x3f00_0000_0000, K4, RW, FIXED), MmError::NoMemory),
        (anon(0, K4, RW, 0x4_0000), MmError::NoMemory),
    ];
    for (request, error) in cases {
        assert_eq!(s.mmap(request.clone()), Err(error), "{request:?}");
    }
    assert_eq!(s.vmas().count(), 0);
}

#[test]
fn file_modes_decide_about_mappings() {
    let mut s = with_file(1, 8192);
    let open = |readable, writable, executable| Backing {
        file: TestFile(1),
        readable,
        writable,
        executable,
    };
    let mut try_map = |prot, flags, backing| {
        s.mmap(MapRequest { file: Some(backing), ..file(0, 1, K4, prot, flags) })
    };
    assert_eq!(try_map(RW, SHARED, open(true, false, true)), Err(MmError::Access));
    assert_eq!(try_map(R, SHARED, open(false, true, true)), Err(MmError::Access));
    assert_eq!(try_map(R, PRIVATE, open(false, true, true)), Err(MmError::Access));
    assert_eq!(try_map(RX, PRIVATE, open(true, false, false)), Err(MmError::NotPermitted));
    assert_eq!(try_map(R, 3 | 0x10_0000, open(true, true, true)), Err(MmError::NotSupported));
    assert_eq!(try_map(R, PRIVATE | 0x100, open(true, true, true)), Err(MmError::Invalid));
    let at = try_map(R, SHARED, open(true, false, false)).unwrap();
    assert_eq!(s.mprotect(at, K4, RW), Err(MmError::Access));
    assert_eq!(s.mprotect(at, K4, RX), Err(MmError::Access));
    let far = MapRequest { offset: 1 << 63, ..file(0, 1, K4, R, PRIVATE) };
    assert_eq!(s.mmap(far), Err(MmError::Overflow));
    // A private mapping may be written whatever the file is open for.
    let backing = open(true, false, true);
    s.mmap(MapRequest { file: Some(backing), ..file(0, 1, K4, RW, PRIVATE) }).unwrap();
}

#[test]
fn places_are_top_down_aligned_and_hinted() {
    let mut s = space();
    let top = 0x3eff_f000_0000;
    assert_eq!(s.mmap(anon(0, K4, RW, 0)), Ok(top - K4));
    assert_eq!(s.mmap(anon(0, 2 * K4, RW, 0)), Ok(top - 3 * K4));
    assert_eq!(s.vmas().count(), 1, "neighbours merge");
    let big = s.mmap(anon(0, 4 << 20, RW, 0)).unwrap();
    assert!(big.is_multiple_of(2 << 20));
    assert_eq!(s.mmap(anon(A + 5, K4, RW, 0)), Ok(A), "a hint is rounded down");
    assert_ne!(s.mmap(anon(A, K4, RW, 0)), Ok(A), "a taken hint is ignored");
    assert_eq!(s.mmap(anon(A, K4, RW, NOREPLACE)), Err(MmError::Exists));
    assert_eq!(s.mmap(anon(0x1000, K4, RW, 0)), Ok(0x1_0000), "a low hint is raised");
    let low = s.mmap(anon(0, 1 << 20, RW, 0x40)).unwrap();
    assert!((0x4000_0000..0x8000_0000).contains(&low), "{low:#x}");
    assert_eq!(s.mmap(anon(0, 1 << 31, RW, 0x40)), Err(MmError::NoMemory));
    let last = 0x3f00_0000_0000 - K4;
    assert_eq!(s.mmap(anon(last, K4, RW, 0)), Ok(last));
    check_invariants(&s);
}

#[test]
fn munmap_and_mprotect_refuse_as_linux_does() {
    let mut s = space();
    s.mmap(anon(A, 4 * K4, RW, FIXED)).unwrap();
    s.mmap(anon(A + 5 * K4, K4, RW, FIXED)).unwrap();
    assert_eq!(s.munmap(A + 1, K4), Err(MmError::Invalid));
    assert_eq!(s.munmap(A, 0), Err(MmError::Invalid));
    assert_eq!(s.munmap(A, u64::MAX - A), Err(MmError::Invalid));
    assert_eq!(s.munmap(A + 100 * K4, K4), Ok(()), "nothing there is fine");
    assert_eq!(s.mprotect(A + 1, K4, R), Err(MmError::Invalid));
    assert_eq!(s.mprotect(A, 0, R), Ok(()));
    assert_eq!(s.mprotect(A, u64::MAX, R), Err(MmError::NoMemory));
    assert_eq!(s.mprotect(A, K4, 16), Err(MmError::Invalid));
    assert_eq!(s.mprotect(A, K4, 0x0100_0000 | R), Err(MmError::Invalid));
    assert_eq!(s.mprotect(A, K4, 0x0300_0000 | R), Err(MmError::Invalid));
    assert_eq!(s.mprotect(A - K4, 2 * K4, R), Err(MmError::NoMemory));
    assert_eq!(s.find(A).unwrap().prot(), Prot::RW, "nothing before the hole");
    assert_eq!(s.mprotect(A, 6 * K4, R), Err(MmError::NoMemory));
    assert_eq!(s.find(A).unwrap().prot(), Prot::READ, "what was before the hole has changed");
    assert_eq!(s.find(A + 5 * K4).unwrap().prot(), Prot::RW);
}

#[test]
fn mremap_refuses_as_linux_does() {
    let mut s = with_file(1, 65536);
    s.mmap(anon(A, 4 * K4, RW, FIXED)).unwrap();
    s.mmap(anon(A + 4 * K4, 4 * K4, R, FIXED)).unwrap();
    let cases = [
        ((A + 1, K4, K4, 0, 0), MmError::Invalid),
        ((A, K4, 0, 0, 0), MmError::Invalid),
        ((A, K4, K4, 8, 0), MmError::Invalid),
        ((A, K4, K4, 2, 0), MmError::Invalid),
        ((A, K4, 2 * K4, 5, 0), MmError::Invalid),
        ((A, K4, K4, 4, 0), MmError::Invalid),
        ((A, 0, K4, 1, 0), MmError::Invalid),
        ((A - K4, K4, K4, 0, 0), MmError::Fault),
        ((A, 5 * K4, 6 * K4, 1, 0), MmError::Fault),
        ((A, 4 * K4, 5 * K4, 0, 0), MmError::NoMemory),
        ((A, 2 * K4, 2 * K4, 3, A + K4), MmError::Invalid),
        ((A, 2 * K4, 2 * K4, 3, A + 64 * K4 + 1), MmError::Invalid),
        ((A, K4, K4, 3, 1 << 46), MmError::Invalid),
    ];
    for ((old, old_len, len, flags, new), error) in cases {
        let result = s.mremap(old, old_len, len, flags, new);
        assert_eq!(result, Err(error), "{old:#x} {old_len:#x} {len:#x} {flags} {new:#x}");
    }
    assert_eq!(s.mremap(A + 4 * K4, 4 * K4, 8 * K4, 0, 0), Ok(A + 4 * K4), "grows in place");
    assert_eq!(s.mremap(A + 4 * K4, 8 * K4, K4, 0, 0), Ok(A + 4 * K4), "shrinks");
    let shared = s.mmap(file(0, 1, 8 * K4, RW, SHARED)).unwrap();
    assert_eq!(store(&mut s, shared, 77), Touched::Value(77));
    let twin = s.mremap(shared, 0, 8 * K4, 1, 0).unwrap();
    assert_ne!(twin, shared);
    assert_eq!(load(&mut s, shared), Touched::Value(77), "the first mapping stays");
    s.msync(shared, K4, 4).unwrap();
    assert_eq!(load(&mut s, twin), Touched::Value(77), "coherent after msync");
    check_invariants(&s);
}

#[test]
fn madvise_msync_mincore_mlock_refuse_as_linux_does() {
    let mut s = with_file(1, 65536);
    s.mmap(anon(A, 4 * K4, RW, FIXED)).unwrap();
    let shared = s.mmap(file(0, 1, K4, R, SHARED)).unwrap();
    assert_eq!(s.madvise(A, K4, 99), Err(MmError::Invalid));
    assert_eq!(s.madvise(A + 1, K4, 4), Err(MmError::Invalid));
    assert_eq!(s.madvise(A, u64::MAX, 4), Err(MmError::Invalid));
    assert_eq!(s.madvise(A, 0, 4), Ok(()));
    assert_eq!(s.madvise(A - K4, 2 * K4, 4), Err(MmError::NoMemory));
    assert_eq!(s.madvise(shared, K4, 8), Err(MmError::Invalid));
    assert_eq!(s.madvise(A, K4, 9), Err(MmError::Invalid));
    for advice in [0, 1, 2, 3, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 25] {
        assert_eq!(s.madvise(A, K4, advice), Ok(()), "advice {advice}");
    }
    assert_eq!(s.madvise(shared, K4, 23), Err(MmError::Fault));
    assert_eq!(s.msync(A, K4, 8), Err(MmError::Invalid));
    assert_eq!(s.msync(A, K4, 5), Err(MmError::Invalid));
    assert_eq!(s.msync(A + 1, K4, 4), Err(MmError::Invalid));
    assert_eq!(s.msync(A, 5 * K4, 4), Err(MmError::NoMemory));
    assert_eq!(s.msync(A, 4 * K4, 4), Ok(()));
    assert_eq!(s.mincore(A + 1, K4), Err(MmError::Invalid));
    assert_eq!(s.mincore(A, 5 * K4), Err(MmError::NoMemory));
    assert_eq!(s.mincore(A, 3 * K4 + 1).unwrap(), [1, 1, 1, 1]);
    assert_eq!(s.mlock(A, 5 * K4), Err(MmError::NoMemory));
    assert_eq!(s.mlock(A + 5, 10), Ok(()));
    assert_eq!(s.madvise(A, K4, 4), Err(MmError::Invalid), "locked");
    assert_eq!(s.madvise(A, K4, 24), Ok(()), "DONTNEED_LOCKED");
    assert_eq!(s.msync(A, K4, 2), Err(MmError::Busy));
    assert_eq!(s.munlock(A, 4 * K4), Ok(()));
    assert_eq!(s.madvise(A, K4, 4), Ok(()));
}

#[test]
fn brk_moves_and_refuses() {
    let mut s = space();
    s.set_brk_start(A + 100);
    assert_eq!(s.brk(0), A + 100);
    assert_eq!(s.brk(A + 3 * K4), A + 3 * K4);
    assert_eq!(store(&mut s, A + 3 * K4 - 1, 9), Touched::Value(9));
    assert_eq!(s.find(A + K4).map(|v| v.kind().clone()), Some(VmaKind::Heap));
    s.mmap(anon(A + 6 * K4, K4, RW, FIXED)).unwrap();
    assert_eq!(s.brk(A + 6 * K4), A + 3 * K4, "a page stays free");
    assert_eq!(s.brk(A + 5 * K4), A + 5 * K4);
    assert_eq!(s.brk(A + 100), A + 100);
    assert!(s.find(A + K4).is_none());
    s.brk(A + 3 * K4);
    assert_eq!(load(&mut s, A + 3 * K4 - 1), Touched::Value(0), "zero again");
    s.set_limits(Limits { data: 4 * K4, ..Limits::default() });
    assert_eq!(s.brk(A + 5 * K4), A + 3 * K4, "RLIMIT_DATA");
}

#[test]
fn data_is_private_memory_that_may_be_written() {
    let mut s = space();
    s.set_limits(Limits { data: 4 * K4, ..Limits::default() });
    assert_eq!(s.mmap(anon(A, 5 * K4, RW, 0)), Err(MmError::NoMemory));
    s.mmap(anon(A, 5 * K4, R, FIXED)).unwrap();
    s.mmap(MapRequest { flags: ANON | SHARED | FIXED, ..anon(A + 8 * K4, 5 * K4, RW, 0) }).unwrap();
    assert_eq!(s.mprotect(A, 5 * K4, RW), Err(MmError::NoMemory));
    s.mprotect(A, 3 * K4, RW).unwrap();
    s.mprotect(A, 2 * K4, RW | 4).unwrap();
    assert_eq!(s.mmap(anon(0, 2 * K4, RW, 0)), Err(MmError::NoMemory));
    s.mmap(anon(A + K4, 3 * K4, RW, FIXED)).unwrap();
    assert_eq!(s.mremap(A + K4, 3 * K4, 4 * K4, 1, 0), Err(MmError::NoMemory));
    s.mprotect(A, K4, R).unwrap();
    s.mmap(anon(0, K4, RW, 0)).unwrap();
}

#[test]
fn limits_hold() {
    let mut s = space();
    s.set_limits(Limits { committed: 1 << 20, address_space: 4 << 20, ..Limits::default() });
    assert_eq!(s.mmap(anon(0, 5 << 20, 0, 0)), Err(MmError::NoMemory), "RLIMIT_AS");
    assert_eq!(s.mmap(anon(0, 2 << 20, RW, 0)), Err(MmError::NoMemory), "overcommit");
    assert_eq!(s.mmap(anon(0, 2 << 20, RW, POPULATE | 0x4000)), Err(MmError::NoMemory));
    assert_eq!(s.usage().mapped, 0, "a refused mapping is gone");
    let at = s.mmap(anon(0, 2 << 20, RW, 0x4000)).unwrap();
    let mut touched = 0;
    let failed = loop {
        match store(&mut s, at + touched * K4, 1) {
            Touched::Value(_) => touched += 1,
            Touched::Failed(outcome) => break outcome,
        }
    };
    assert_eq!((failed, touched), (enclave_mm::FaultOutcome::OutOfMemory, 256));
    check_invariants(&s);
}

#[test]
fn max_map_count_holds() {
    let policy = Policy { max_map_count: 10, ..Policy::default() };
    let mut s = Space::new(enclave_mm::Layout::default(), policy, Machine::default());
    for i in 0..9 {
        s.mmap(anon(A + i * 8 * K4, 4 * K4, RW, FIXED)).unwrap();
    }
    assert_eq!(s.munmap(A + K4, K4), Ok(()), "one split is left");
    assert_eq!(s.munmap(A + 9 * K4, K4), Err(MmError::NoMemory));
    assert_eq!(s.mprotect(A + 9 * K4, K4, R), Err(MmError::NoMemory));
    assert_eq!(s.mmap(anon(0, K4, RW, 0)), Err(MmError::NoMemory));
    assert_eq!(s.munmap(A + 8 * K4, K4), Ok(()), "an end needs no split");
    check_invariants(&s);
    assert_eq!(s.vmas().count(), 10);
}
