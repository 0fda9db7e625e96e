//! What is planned from headers, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod invariants;

use enclave_loader::{ElfError, ElfKind, ElfPlan, Limits, Prot};
use invariants::{HIGH, LOW, read};
use proptest::prelude::*;

/// (type, flags, offset, vaddr, filesz, memsz, align)
type Ph = (u32, u32, u64, u64, u64, u64, u64);

const CODE: Ph = (1, 5, 0, 0x40_0000, 0x1234, 0x1234, 0x1000);
const DATA: Ph = (1, 6, 0x1ff0, 0x40_2ff0, 0x10, 0x3000, 0x1000);

fn elf_file(kind: u16, entry: u64, headers: &[Ph]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(kind.to_le_bytes());
    file.extend(62u16.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend(entry.to_le_bytes());
    file.extend(64u64.to_le_bytes());
    file.extend(0u64.to_le_bytes());
    file.extend(0u32.to_le_bytes());
    for half in [64u16, 56, u16::try_from(headers.len()).unwrap(), 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for &(kind, flags, offset, vaddr, filesz, memsz, align) in headers {
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        for word in [offset, vaddr, vaddr, filesz, memsz, align] {
            file.extend(word.to_le_bytes());
        }
    }
    let len = file.len().max(0x3000);
    file.resize(len, 0);
    file
}

fn error(headers: &[Ph]) -> ElfError<&'static str> {
    read(&elf_file(2, 0x40_1000, headers)).unwrap_err()
}

#[test]
fn a_static_program_is_planned() {
    let stack = (0x6474_e551, 6, 0, 0, 0, 0, 16);
    let plan = read(&elf_file(2, 0x40_1000, &[CODE, DATA, stack])).unwrap();
    assert_eq!(plan.kind, ElfKind::Exec);
    assert_eq!(plan.entry, 0x40_1000);
    assert_eq!(plan.span, (0x40_0000, 0x40_6000));
    assert_eq!(plan.phdr_vaddr, 0x40_0040);
    assert_eq!((plan.phnum, plan.phent, plan.align), (3, 56, 4096));
    assert!(!plan.stack_exec);
    assert_eq!(plan.interp, None);
    let data = plan.segments[1];
    assert_eq!(data.prot, Prot { read: true, write: true, exec: false });
    assert_eq!((data.page_start(), data.page_offset()), (0x40_2000, 0x1000));
    assert_eq!((data.file_page_end(), data.page_end()), (0x40_3000, 0x40_6000));
    assert_eq!(data.zero_tail(), (0x40_3000, 0x40_3000));
    assert_eq!(plan.segments[0].zero_tail(), (0x40_1234, 0x40_1234));
}

#[test]
fn a_tail_of_zeroes_ends_with_its_page() {
    let plan = read(&elf_file(2, 0x40_1000, &[(1, 6, 0, 0x40_0000, 0x234, 0x5000, 1)])).unwrap();
    assert_eq!(plan.segments[0].zero_tail(), (0x40_0234, 0x40_1000));
    let plan = read(&elf_file(2, 0x40_1000, &[(1, 6, 9, 0x40_0010, 0, 0x5000, 1)])).unwrap();
    let zeroes = plan.segments[0];
    assert_eq!(zeroes.zero_tail(), (0x40_0010, 0x40_0010));
    assert_eq!((zeroes.file_page_end(), zeroes.page_end()), (0x40_0000, 0x40_6000));
}

#[test]
fn a_relocatable_program_names_its_interpreter() {
    let mut file = elf_file(
        3,
        0x1000,
        &[
            (1, 5, 0, 0, 0x2000, 0x2000, 0x20_0000),
            (3, 4, 0x500, 0x500, 8, 8, 1),
            (0x6474_e551, 7, 0, 0, 0, 0, 16),
        ],
    );
    file[0x500..0x508].copy_from_slice(b"/lib/ld\0");
    let plan = read(&file).unwrap();
    assert_eq!(plan.kind, ElfKind::Dyn);
    assert_eq!(plan.interp.as_deref(), Some(&b"/lib/ld"[..]));
    assert_eq!((plan.align, plan.stack_exec), (0x20_0000, true));

    file[0x507] = b'x';
    assert_eq!(read(&file).unwrap_err(), ElfError::InterpNul);
}

#[test]
fn headers_may_lie_anywhere() {
    let mut file = elf_file(2, 0x40_1000, &[CODE, DATA]);
    let headers = file[64..64 + 112].to_vec();
    let end = file.len() as u64;
    file.extend(headers);
    file[32..40].copy_from_slice(&end.to_le_bytes());
    let plan = read(&file).unwrap();
    assert_eq!((plan.segments.len(), plan.phdr_vaddr), (2, 0));
    file.pop();
    assert_eq!(read(&file).unwrap_err(), ElfError::Truncated(end + 112, end + 111));
}

#[test]
fn a_wrong_header_is_named() {
    let good = elf_file(2, 0x40_1000, &[CODE]);
    let with = |at: usize, byte: u8| {
        let mut file = good.clone();
        file[at] = byte;
        read(&file).unwrap_err()
    };
    assert_eq!(read(b"").unwrap_err(), ElfError::NotElf);
    assert_eq!(read(b"#!/bin/sh\n").unwrap_err(), ElfError::NotElf);
    assert_eq!(read(&good[..40]).unwrap_err(), ElfError::Truncated(64, 40));
    assert_eq!(with(4, 1), ElfError::Class(1));
    assert_eq!(with(5, 2), ElfError::Endian(2));
    assert_eq!(with(16, 1), ElfError::Type(1));
    assert_eq!(with(18, 183), ElfError::Machine(183));
    assert_eq!(with(20, 0), ElfError::Version(0));
    assert_eq!(with(54, 32), ElfError::PhentSize(32));
    assert_eq!(with(56, 0), ElfError::PhNum(0));
    assert_eq!(with(57, 0xff), ElfError::PhNum(0xff01));
    assert_eq!(read(&elf_file(2, HIGH, &[CODE])).unwrap_err(), ElfError::Entry(HIGH));
    assert_eq!(with(57, 4).to_string(), "truncated elf file: 57464 bytes needed, 12288 there");
}

#[test]
fn a_wrong_segment_is_named() {
    let with = |change: fn(&mut Ph)| {
        let mut segment = DATA;
        change(&mut segment);
        error(&[CODE, segment])
    };
    assert_eq!(error(&[]), ElfError::PhNum(0));
    assert_eq!(error(&[(4, 0, 0, 0, 0, 0, 0)]), ElfError::NoSegments);
    assert_eq!(error(&[(1, 0, 0, 0, 0, 0, 0)]), ElfError::NoSegments);
    assert_eq!(error(&[(1, 0, 0, 0, 9, 0, 0)]), ElfError::SegmentSize(9, 0));
    assert_eq!(with(|data| data.4 = 0x3001), ElfError::SegmentSize(0x3001, 0x3000));
    assert_eq!(with(|data| data.2 = 0x1234), ElfError::SegmentCongruence(0x40_2ff0, 0x1234));
    assert_eq!(with(|data| data.6 = 0x1001), ElfError::SegmentAlign(0x1001));
    assert_eq!(with(|data| data.6 = 1 << 62), ElfError::SegmentAlign(1 << 62));
    assert_eq!(with(|data| data.5 = HIGH), ElfError::SegmentRange(0x40_2ff0, HIGH));
    assert_eq!(with(|data| data.5 = u64::MAX), ElfError::SegmentRange(0x40_2ff0, u64::MAX));
    assert_eq!(with(|data| data.3 = 0xff0), ElfError::SegmentRange(0xff0, 0x3000));
    assert_eq!(with(|data| data.2 = 0x10_0ff0), ElfError::Truncated(0x10_1000, 0x3000));
    assert_eq!(with(|data| data.3 = 0x40_0ff0), ElfError::SegmentOverlap(0x40_0ff0, 0x40_1234));
    assert_eq!(error(&[DATA, CODE]), ElfError::SegmentOverlap(0x40_0000, 0x40_5ff0));
    assert_eq!(error(&[CODE, (3, 4, 0, 0, 1, 1, 1)]), ElfError::InterpLength(1));
    assert_eq!(error(&[CODE, (3, 4, 0, 0, 5000, 1, 1)]), ElfError::InterpLength(5000));
}

#[test]
fn errors_of_the_reader_are_passed_on() {
    let limits = Limits { low: LOW, high: HIGH, file_len: 9 };
    let read = ElfPlan::read(limits, |_, _| Err("broken disk"));
    assert_eq!(read.unwrap_err().to_string(), "can't read the file: broken disk");
}

#[test]
fn programs_of_this_system_are_planned() {
    for path in ["/bin/true", "/bin/sh", "/lib64/ld-linux-x86-64.so.2"] {
        let plan = read(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(plan.phdr_vaddr, 64, "{path}");
        assert!(plan.segments.iter().any(|segment| segment.prot.exec), "{path}");
        assert_eq!(plan.interp.is_none(), path.contains("ld-linux"), "{path}");
    }
}

proptest! {
    /// Whatever the headers say, a plan that is accepted keeps its promises.
    #[test]
    fn accepted_plans_are_sound(
        mut headers in prop::collection::vec(
            (prop::sample::select(vec![1u32, 1, 1, 3, 6]), 0u32..8, 0u64..0x4000, 0u64..0x9000,
             0u64..0x3000, 0u64..0x3000, prop::sample::select(vec![0u64, 1, 16, 4096, 1 << 21])),
            1..5),
        congruent: bool, dynamic: bool, flip in prop::option::of((0usize..300, any::<u8>())),
    ) {
        if congruent {
            for header in &mut headers {
                header.3 = (header.3 & !0xfff) | (header.2 & 0xfff) | 0x40_0000;
            }
            headers.sort_by_key(|header| header.3);
        }
        let mut file = elf_file(if dynamic { 3 } else { 2 }, 0x40_1000, &headers);
        if let Some((at, byte)) = flip {
            file[at] = byte;
        }
        invariants::check(&file);
    }
}
