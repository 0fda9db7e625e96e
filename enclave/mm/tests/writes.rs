//! Files that are written while threads of the program touch mappings of them.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::*;
use enclave_mm::{FaultOutcome, MmError};
use proptest::prelude::*;

const A: u64 = 0x10_0000_0000;
const K4: u64 = 4096;
const FILE: TestFile = TestFile(1);

/// What the host does for write(2).
fn host_write(s: &mut Space, offset: usize, bytes: &[u8]) {
    s.pages_mut().files.get_mut(&1).unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn byte(s: &Space, offset: usize) -> u8 {
    s.pages().files[&1][offset]
}

#[test]
fn what_is_read_into_a_page_during_a_write_does_not_stay() {
    let mut s = with_file(1, 4 * 4096);
    let at = s.mmap(file(A, 1, 4 * K4, RW, SHARED)).unwrap();
    assert_eq!(load(&mut s, at), Touched::Value(1));
    s.begin_write(&FILE, 0, 2 * K4).unwrap();
    assert_eq!(load(&mut s, at + K4), Touched::Value(2));
    // A mapping that was not there when it began.
    let new = s.mmap(file(0, 1, K4, R, SHARED)).unwrap();
    assert_eq!(load(&mut s, new), Touched::Value(1));
    host_write(&mut s, 0, &[50; 2 * 4096]);
    s.end_write(&FILE, 0, 2 * K4).unwrap();
    for addr in [at, at + K4, new] {
        assert_eq!(load(&mut s, addr), Touched::Value(50));
    }
    assert_eq!(load(&mut s, at + 2 * K4), Touched::Value(3));
    check_invariants(&s);
}

#[test]
fn stores_during_a_write_do_not_undo_it() {
    let mut s = with_file(1, 4 * 4096);
    let at = s.mmap(file(A, 1, 4 * K4, RW, SHARED)).unwrap();
    let twin = s.mmap(file(0, 1, 4 * K4, RW, SHARED)).unwrap();
    store(&mut s, at + 9, 60);
    s.begin_write(&FILE, 10, 100).unwrap();
    assert_eq!(byte(&s, 9), 60, "what was stored before is in the file");
    // Before and after the host has written; by either mapping.
    store(&mut s, at + 8, 61);
    host_write(&mut s, 10, &[70; 100]);
    store(&mut s, at + 120, 62);
    store(&mut s, twin + 121, 63);
    store(&mut s, at + 122, 64);
    s.end_write(&FILE, 10, 100).unwrap();
    let wanted = [(8, 61), (9, 60), (10, 70), (109, 70), (110, 1), (120, 62), (121, 63), (122, 64)];
    for (offset, value) in wanted {
        assert_eq!(load(&mut s, at + offset), Touched::Value(value), "at {offset}");
        assert_eq!(load(&mut s, twin + offset), Touched::Value(value), "at {offset}");
    }
    store(&mut s, at, 65);
    s.flush_all().unwrap();
    for (offset, value) in wanted.into_iter().chain([(0, 65)]) {
        assert_eq!(byte(&s, usize::try_from(offset).unwrap()), value, "at {offset}");
    }
    check_invariants(&s);
}

#[test]
fn pages_may_go_and_be_written_back_during_a_write() {
    type Call = fn(&mut Space, u64);
    let calls: [Call; 5] = [
        |s, _| s.flush_file(&FILE, 0, K4).unwrap(),
        |s, at| s.msync(at, K4, 6).unwrap(),
        |s, at| s.madvise(at, K4, 4).unwrap(),
        |s, at| s.mprotect(at, K4, 0).unwrap(),
        |s, at| s.munmap(at, K4).unwrap(),
    ];
    for call in calls {
        let mut s = with_file(1, 4096);
        let at = s.mmap(file(A, 1, K4, RW, SHARED)).unwrap();
        s.begin_write(&FILE, 10, 10).unwrap();
        store(&mut s, at + 1, 60);
        host_write(&mut s, 10, &[70; 10]);
        call(&mut s, at);
        check_invariants(&s);
        s.end_write(&FILE, 10, 10).unwrap();
        s.flush_all().unwrap();
        assert_eq!((byte(&s, 1), byte(&s, 10)), (60, 70));
    }
}

#[test]
fn what_cannot_be_written_back_after_a_write_undoes_it_never() {
    let mut s = with_file(1, 2 * 4096);
    let at = s.mmap(file(A, 1, 2 * K4, RW, SHARED)).unwrap();
    s.begin_write(&FILE, 0, 2 * K4 - 1).unwrap();
    load(&mut s, at);
    store(&mut s, at + 2 * K4 - 1, 60);
    host_write(&mut s, 0, &[70; 2 * 4096 - 1]);
    // The length is known, the page becomes readable and its contents are had; then the disk is full.
    s.pages_mut().fail_after = Some(3);
    assert_eq!(s.end_write(&FILE, 0, 2 * K4 - 1), Err(MmError::NoSpace));
    check_invariants(&s);
    assert_eq!(load(&mut s, at + 2 * K4 - 1), Touched::Value(60));
    s.flush_all().unwrap();
    assert_eq!((byte(&s, 4096), byte(&s, 8191)), (70, 60));
}

#[test]
fn the_length_of_a_file_is_asked_for_once_for_all_that_was_stored() {
    let mut s = with_file(1, 4 * 4096 + 5);
    let at = s.mmap(file(A, 1, 5 * K4, RW, SHARED)).unwrap();
    s.begin_write(&FILE, 0, 5 * K4).unwrap();
    for addr in (at..at + 5 * K4).step_by(100) {
        store(&mut s, addr, 251);
    }
    s.pages_mut().asked_len = 0;
    s.end_write(&FILE, 0, 5 * K4).unwrap();
    assert_eq!(s.pages().asked_len, 1);
    let stored = s.pages().files[&1].iter().filter(|&&byte| byte == 251).count();
    assert_eq!((s.pages().files[&1].len(), stored), (4 * 4096 + 5, 164));
    // Nothing is left to be written.
    s.flush_all().unwrap();
    assert_eq!(s.pages().asked_len, 1);
}

#[test]
fn a_file_that_is_cut_leaves_no_page_behind_its_end() {
    let mut s = with_file(1, 4 * 4096);
    let at = s.mmap(file(A, 1, 4 * K4, RW, SHARED)).unwrap();
    s.begin_write(&FILE, K4 + 10, u64::MAX).unwrap();
    load(&mut s, at + 3 * K4);
    store(&mut s, at + 2 * K4, 60);
    store(&mut s, at + K4 + 1, 61);
    s.pages_mut().files.get_mut(&1).unwrap().truncate(4096 + 10);
    s.end_write(&FILE, K4 + 10, u64::MAX).unwrap();
    for page in [2, 3] {
        assert_eq!(load(&mut s, at + page * K4), Touched::Failed(FaultOutcome::Bus));
    }
    assert_eq!(load(&mut s, at + K4 + 1), Touched::Value(61));
    assert_eq!(load(&mut s, at + K4 + 10), Touched::Value(0));
}

#[test]
fn as_many_pages_as_there_are_may_be_stored_to_during_a_write() {
    const PAGES: usize = 1000;
    let mut s = with_file(1, PAGES * 4096);
    let at = s.mmap(file(A, 1, 1000 * K4, RW, SHARED)).unwrap();
    s.begin_write(&FILE, 0, u64::MAX).unwrap();
    for page in 0..1000 {
        store(&mut s, at + page * K4 + 1, 251);
    }
    let left = s.pages().files[&1].iter().filter(|&&byte| byte == 251).count();
    assert!(PAGES - left <= 300, "{left} pages are written back");
    for page in 0..PAGES {
        host_write(&mut s, page * 4096, &[252]);
    }
    s.end_write(&FILE, 0, u64::MAX).unwrap();
    for page in 0..1000 {
        assert_eq!(load(&mut s, at + page * K4), Touched::Value(252));
        assert_eq!(load(&mut s, at + page * K4 + 1), Touched::Value(251));
    }
    check_invariants(&s);
}

/// Bytes of the file, all near the border of two pages.
const BYTES: usize = 8;
const FIRST: usize = 4096 - BYTES / 2;

/// Something that happens; `slot` names one of the writers, `map` one of the mappings.
#[derive(Debug, Clone)]
enum Event {
    /// The next step of a writer: it begins, the host writes, it ends.
    Write {
        slot: usize,
        offset: usize,
        len: usize,
    },
    Store {
        map: usize,
        offset: usize,
    },
    Load {
        map: usize,
        offset: usize,
    },
    Read {
        offset: usize,
    },
    Sync {
        map: usize,
        flags: u64,
    },
    Forget {
        map: usize,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let (map, offset) = (|| 0..3_usize, || 0..BYTES);
    prop_oneof![
        6 => (0..3_usize, offset(), 1..=BYTES).prop_map(|(slot, offset, len)| {
            Event::Write { slot, offset, len: len.min(BYTES - offset) }
        }),
        4 => (map(), offset()).prop_map(|(map, offset)| Event::Store { map, offset }),
        4 => (map(), offset()).prop_map(|(map, offset)| Event::Load { map, offset }),
        1 => offset().prop_map(|offset| Event::Read { offset }),
        1 => (map(), prop::sample::select(vec![1_u64, 2, 4, 6]))
            .prop_map(|(map, flags)| Event::Sync { map, flags }),
        1 => map().prop_map(|map| Event::Forget { map }),
    ]
}

/// A value of a byte, and from when to when it was being written there; no two values are equal.
#[derive(Debug, Clone, Copy)]
struct Written {
    value: u8,
    begun: usize,
    /// `usize::MAX`: it still is.
    ended: usize,
}

/// What was written to each byte.
type History = [Vec<Written>; BYTES];

/// Whether somebody who looks now may find `value`: it was written, and nothing later surely replaced it.
fn may_be_found(history: &[Written], value: u8) -> bool {
    let is_replaced = |by: Written| {
        let later = |other: &Written| other.begun > by.ended && other.ended != usize::MAX;
        history.iter().any(later)
    };
    history.iter().any(|&written| written.value == value && !is_replaced(written))
}

#[derive(Debug, Clone)]
enum Writer {
    Idle,
    Begun { offset: usize, len: usize, value: u8 },
    Written { offset: usize, len: usize, value: u8 },
}

/// The next step of a writer.
fn step(
    s: &mut Space,
    history: &mut History,
    writer: &Writer,
    next: (usize, usize, usize),
) -> Writer {
    let (now, new_offset, new_len) = next;
    let place = |offset: usize, len: usize| {
        (u64::try_from(FIRST + offset).unwrap(), u64::try_from(len).unwrap())
    };
    match *writer {
        Writer::Idle => {
            let value = u8::try_from(now).unwrap();
            let (at, len) = place(new_offset, new_len);
            s.begin_write(&FILE, at, len).unwrap();
            let written = Written { value, begun: now, ended: usize::MAX };
            history[new_offset..new_offset + new_len].iter_mut().for_each(|h| h.push(written));
            Writer::Begun { offset: new_offset, len: new_len, value }
        }
        Writer::Begun { offset, len, value } => {
            host_write(s, FIRST + offset, &[value; BYTES][..len]);
            Writer::Written { offset, len, value }
        }
        Writer::Written { offset, len, value } => {
            let (at, bytes) = place(offset, len);
            s.end_write(&FILE, at, bytes).unwrap();
            for written in history[offset..offset + len].iter_mut().flatten() {
                if written.value == value {
                    written.ended = now;
                }
            }
            Writer::Idle
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever threads do beside writers: who looks finds what may be there by the order of events.
    #[test]
    fn writes_and_stores_are_lost_to_nothing_but_later_ones(
        events in prop::collection::vec(event(), 1..100),
    ) {
        let mut s = with_file(1, 2 * 4096);
        let maps = [0, 0, 0].map(|hint| s.mmap(file(hint, 1, 2 * K4, RW, SHARED)).unwrap());
        let addr = |map: usize, offset: usize| maps[map] + u64::try_from(FIRST + offset).unwrap();
        let mut history = History::default();
        for (offset, written) in history.iter_mut().enumerate() {
            let value = if offset < BYTES / 2 { 1 } else { 2 };
            written.push(Written { value, begun: 0, ended: 0 });
        }
        let mut writers = [Writer::Idle, Writer::Idle, Writer::Idle];
        // Values begin behind those that the file has.
        for (now, event) in (3..).zip(&events) {
            match *event {
                Event::Write { slot, offset, len } => {
                    writers[slot] = step(&mut s, &mut history, &writers[slot], (now, offset, len));
                }
                Event::Store { map, offset } => {
                    let value = u8::try_from(now).unwrap();
                    prop_assert_eq!(store(&mut s, addr(map, offset), value), Touched::Value(value));
                    history[offset].push(Written { value, begun: now, ended: now });
                }
                Event::Load { map, offset } => {
                    let Touched::Value(value) = load(&mut s, addr(map, offset)) else {
                        panic!("cannot be loaded");
                    };
                    prop_assert!(may_be_found(&history[offset], value), "{} at {}", value, offset);
                }
                Event::Read { offset } => {
                    s.flush_file(&FILE, u64::try_from(FIRST + offset).unwrap(), 1).unwrap();
                    let value = byte(&s, FIRST + offset);
                    prop_assert!(may_be_found(&history[offset], value), "{} at {}", value, offset);
                }
                Event::Sync { map, flags } => s.msync(maps[map], 2 * K4, flags).unwrap(),
                Event::Forget { map } => s.madvise(maps[map], 2 * K4, 4).unwrap(),
            }
            check_invariants(&s);
        }
        let end = 3 + events.len();
        for moment in [end, end + 1] {
            for writer in &mut writers {
                if !matches!(writer, Writer::Idle) {
                    *writer = step(&mut s, &mut history, writer, (moment, 0, 0));
                }
            }
        }
        for (offset, written) in history.iter().enumerate() {
            let found = maps.map(|map| load(&mut s, map + u64::try_from(FIRST + offset).unwrap()));
            let Touched::Value(value) = found[0] else { panic!("cannot be loaded") };
            prop_assert_eq!(found, [found[0]; 3]);
            prop_assert!(may_be_found(written, value), "{} at {} in the end", value, offset);
        }
        s.flush_all().unwrap();
        for (offset, written) in history.iter().enumerate() {
            prop_assert!(may_be_found(written, byte(&s, FIRST + offset)), "at {} in the file", offset);
        }
    }
}
