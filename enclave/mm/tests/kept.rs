//! What the program has written is not lost, whatever becomes of its pages.

mod common;

use common::*;
use enclave_mm::MmError;

const A: u64 = 0x10_0000_0000;
const K4: u64 = 4096;

#[test]
fn what_was_written_to_a_copy_stays_when_its_file_is_cut() {
    let mut s = with_file(101, 4 * 4096);
    let at = s.mmap(file(A, 101, 4 * K4, RW, PRIVATE)).unwrap();
    for page in 0..4 {
        store(&mut s, at + page * K4, 70);
    }
    s.mprotect(at, 4 * K4, R).unwrap();
    let at = s.mremap(at, 4 * K4, 4 * K4, 3, at + (1 << 30)).unwrap();
    s.cut_file(&TestFile(101), 0).unwrap();
    for page in 0..4 {
        assert_eq!(load(&mut s, at + page * K4), Touched::Value(70));
    }
    // One that is made writable later.
    let other = s.mmap(file(A, 101, K4, R, PRIVATE)).unwrap();
    load(&mut s, other);
    s.mprotect(other, K4, RW).unwrap();
    store(&mut s, other, 71);
    s.cut_file(&TestFile(101), 0).unwrap();
    assert_eq!(load(&mut s, other), Touched::Value(71));
    // What was given up is read again.
    s.madvise(at, K4, 4).unwrap();
    s.cut_file(&TestFile(101), 0).unwrap();
    assert_ne!(load(&mut s, at), Touched::Value(70));
}

#[test]
fn nothing_is_stored_between_writing_pages_back_and_their_end() {
    let mut s = with_file(1, 4 * 4096);
    let at = s.mmap(file(A, 1, 4 * K4, RW, SHARED)).unwrap();
    for end in [|s: &mut Space, at| s.madvise(at, K4, 4), |s: &mut Space, at| s.munmap(at, K4)] {
        store(&mut s, at, 70);
        // The page cannot be given back.
        s.pages_mut().fail_after = Some(3);
        assert_eq!(end(&mut s, at), Err(MmError::NoMemory));
        assert_eq!(s.pages_mut().store(at, 71), None, "the store is lost");
        check_invariants(&s);
        end(&mut s, at).unwrap();
        assert_eq!(s.pages().files[&1][0], 70);
    }
}
