//! What those who load programs map.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::*;
use enclave_mm::{Backing, MapRequest};

const DENYWRITE: u64 = 0x800;
const HALF: u64 = 32 << 10;

/// Maps `len` bytes of a file of 2 MiB.
fn map(s: &mut Space, hint: u64, len: u64, prot: u64, flags: u64) -> u64 {
    let file = Backing { file: TestFile(1), readable: true, writable: true, executable: true };
    let flags = flags | PRIVATE | DENYWRITE;
    s.mmap(MapRequest { hint, len, prot, flags, offset: 0, file: Some(file) }).unwrap()
}

fn space_with_file() -> Space {
    let mut space = space();
    space.pages_mut().files.insert(1, vec![1; 2 << 20]);
    space
}

#[test]
fn data_is_read_at_once() {
    let mut s = space_with_file();
    let at = map(&mut s, 0, 2 << 20, RW, 0);
    assert!(s.committed().contains(at) && s.committed().contains(at + (2 << 20) - 1));
}

#[test]
fn room_for_a_library_is_not_read_but_its_parts_are() {
    let mut s = space_with_file();
    let at = map(&mut s, 0, 2 * HALF, R, 0);
    assert_eq!(s.committed().pages(), 0, "the other parts will come over it");
    map(&mut s, at + HALF, HALF, R, FIXED);
    assert_eq!(s.committed().pages(), 8);
    assert_eq!(load(&mut s, at), Touched::Value(1), "the first part is read when it is touched");
}
