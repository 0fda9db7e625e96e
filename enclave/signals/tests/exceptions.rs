//! What exceptions mean.

use std::arch::x86_64::__cpuid_count;

use enclave_signals::{
    code,
    exception::{FloatingPoint, Instruction, StringMove, checked_cpuid, signal},
    number::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP},
};

#[test]
fn only_four_instructions_are_emulated() {
    let mut found = Vec::new();
    for first in 0..=255 {
        for second in 0..=255 {
            for third in [0x00, 0x05, 0xa2, 0xd7, 0xf8, 0xf9, 0xff] {
                found.extend(Instruction::decode([first, second, third]));
            }
        }
    }
    let count = |wanted| found.iter().filter(|&&found| found == wanted).count();
    assert_eq!(found.len(), 7 * 3 + 1);
    assert_eq!((count(Instruction::Syscall), count(Instruction::Rdtscp)), (7, 1));
    assert_eq!(Instruction::Cpuid.len() + Instruction::Rdtscp.len(), 5);
}

#[test]
fn string_moves_are_told_by_their_prefixes() {
    let decode = |code: &[u8]| {
        let mut bytes = [0x90; 15];
        bytes[..code.len()].copy_from_slice(code);
        let found = StringMove::decode(bytes);
        found.map(|StringMove { width, repeated, len }| (width, repeated, len))
    };
    assert_eq!(decode(&[0xa4]), Some((1, false, 1)));
    assert_eq!(decode(&[0xf3, 0xa4]), Some((1, true, 2)));
    assert_eq!(decode(&[0xf2, 0xa5]), Some((4, true, 2)));
    assert_eq!(decode(&[0x66, 0xf3, 0xa5]), Some((2, true, 3)));
    assert_eq!(decode(&[0xf3, 0x48, 0xa5]), Some((8, true, 3)));
    assert_eq!(decode(&[0x66, 0x4f, 0xa5]), Some((8, false, 3)));
    assert_eq!(
        decode(&[0x48, 0xf3, 0xa5]),
        Some((4, true, 3)),
        "REX before another prefix is none"
    );
    assert_eq!(decode(&[0x41, 0xa5]), Some((4, false, 2)));
    // Other addresses, other segments, other instructions, and nothing but prefixes.
    for code in [&[0x67, 0xa4][..], &[0x64, 0xa4], &[0xf3, 0xaa], &[0x48, 0x89], &[0xf3; 15]] {
        assert_eq!(decode(code), None, "{code:x?}");
    }
}

#[test]
fn floating_point_exceptions_are_told_apart_by_what_is_not_masked() {
    let all = [
        (0x01, code::FPE_FLTINV),
        (0x02, code::FPE_FLTUND),
        (0x04, code::FPE_FLTDIV),
        (0x08, code::FPE_FLTOVF),
        (0x10, code::FPE_FLTUND),
        (0x20, code::FPE_FLTRES),
    ];
    for (bit, code) in all {
        // Another one is raised, too, but masked.
        let other = if bit == 0x20 { 0x01 } else { 0x20 };
        let x87 = FloatingPoint { control: !bit, status: bit | other, mxcsr: 0 };
        let sse = FloatingPoint { mxcsr: bit | other | (!bit & 0x3f) << 7, ..Default::default() };
        assert_eq!((x87.code(false), sse.code(true)), (code, code));
    }
    assert_eq!(FloatingPoint { control: 0x3f, status: 0x3f, mxcsr: 0x1fbf }.code(true), 0);
    let mut image = [0; 512];
    (image[2], image[24]) = (4, 1);
    let read = FloatingPoint::of(&image);
    assert_eq!((read.code(false), read.code(true)), (code::FPE_FLTDIV, code::FPE_FLTINV));
}

#[test]
fn vectors_become_the_signals_of_linux() {
    let told = |vector| {
        let info = signal(vector, 0x1234, FloatingPoint::default());
        (info.signal(), info.code, info.address())
    };
    assert_eq!(told(0), (SIGFPE, code::FPE_INTDIV, 0x1234));
    assert_eq!(told(3), (SIGTRAP, code::KERNEL, 0));
    assert_eq!(told(6), (SIGILL, code::ILL_OPN, 0x1234));
    assert_eq!(told(13), (SIGSEGV, code::KERNEL, 0));
    assert_eq!(told(17), (SIGBUS, code::BUS_ADRALN, 0));
}

#[test]
fn a_program_sees_no_registers_that_the_enclave_does_not_have() {
    let asked = |leaf, subleaf| {
        let answer = __cpuid_count(leaf, subleaf);
        [answer.eax, answer.ebx, answer.ecx, answer.edx]
    };
    let all = [u32::MAX; 4];
    for (leaf, subleaf) in [(0, 0), (1, 0), (7, 0), (7, 1), (0xd, 0), (0x8000_0001, 0)] {
        let real = asked(leaf, subleaf);
        assert_eq!(checked_cpuid(leaf, subleaf, real, u64::MAX), real);
    }
    let [_, ebx, ecx, edx] = checked_cpuid(7, 0, all, 7);
    assert_eq!((ebx >> 16 & 1, ebx >> 5 & 1, ecx >> 11 & 1, ecx >> 9 & 1), (0, 1, 0, 1));
    assert_eq!(edx >> 24 & 1, 0);
    let [_, _, ecx, _] = checked_cpuid(1, 0, all, 3);
    assert_eq!((ecx >> 28 & 1, ecx >> 20 & 1), (0, 1));
    assert_eq!(checked_cpuid(0xd, 0, all, 0x2_0000_00e7)[0], 0xe7);
    assert_eq!(checked_cpuid(0xd, 0, all, 0x2_0000_00e7)[3], 2);
}
