//! CPUID and RDTSC, which an enclave cannot execute itself (CPUID never, RDTSC on SGX1).
//!
//! What CPUID says is the host's claim, asked once for each leaf. Programs choose code by it, so
//! what the enclave's registers cannot hold is taken out.

use alloc::collections::BTreeMap;

use enclave_core::{Mutex, UserRegs, timestamp, xstate};
use enclave_hostcalls::Call;
use hostcall_abi::service;

/// An instruction that is emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instruction {
    Cpuid,
    Rdtsc,
    Rdtscp,
}

/// The instruction that starts with these bytes, if it is one.
pub(crate) fn decode(code: [u8; 3]) -> Option<Instruction> {
    match code {
        [0x0f, 0xa2, _] => Some(Instruction::Cpuid),
        [0x0f, 0x31, _] => Some(Instruction::Rdtsc),
        [0x0f, 0x01, 0xf9] => Some(Instruction::Rdtscp),
        _ => None,
    }
}

/// Executes it and goes on behind it.
pub(crate) fn emulate(regs: &mut UserRegs, instruction: Instruction) {
    let low = |word: u64| word & 0xffff_ffff;
    match instruction {
        Instruction::Cpuid => {
            let [eax, ebx, ecx, edx] = cpuid(half(regs.rax), half(regs.rcx)).map(u64::from);
            (regs.rax, regs.rbx, regs.rcx, regs.rdx) = (eax, ebx, ecx, edx);
            regs.rip += 2;
        }
        Instruction::Rdtsc | Instruction::Rdtscp => {
            let ticks = timestamp();
            (regs.rax, regs.rdx) = (low(ticks), ticks >> 32);
            regs.rip += 2;
            if instruction == Instruction::Rdtscp {
                regs.rcx = enclave_core::tcs_index();
                regs.rip += 1;
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the instruction uses the low half")]
const fn half(word: u64) -> u32 {
    word as u32
}

/// Answers so far, by leaf and subleaf.
static ANSWERS: Mutex<BTreeMap<(u32, u32), [u32; 4]>> = Mutex::new(BTreeMap::new());
/// More leaves than a processor has: beyond, answers are not kept.
const KEPT: usize = 512;

/// EAX, EBX, ECX and EDX of a leaf.
pub(crate) fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    if let Some(known) = ANSWERS.lock().get(&(leaf, subleaf)) {
        return *known;
    }
    let answer = checked(leaf, subleaf, ask(leaf, subleaf));
    let mut answers = ANSWERS.lock();
    if answers.len() < KEPT {
        answers.insert((leaf, subleaf), answer);
    }
    answer
}

fn ask(leaf: u32, subleaf: u32) -> [u32; 4] {
    let Ok(mut call) = Call::new(service::CPUID, 32) else { return [0; 4] };
    let words = call.room(32);
    words.word(0).write(leaf.into());
    words.word(1).write(subleaf.into());
    match call.args([words.address()]).zero(enclave_hostcalls::Wait::No) {
        Ok(()) => [0, 1, 2, 3].map(|index| half(words.word(index).read())),
        Err(_) => [0; 4],
    }
}

/// Takes out what the enclave's state components do not cover.
fn checked(leaf: u32, subleaf: u32, answer: [u32; 4]) -> [u32; 4] {
    const AVX: u64 = 1 << 2;
    const AVX512: u64 = 0xe0;
    const OSXSAVE_AND_AVX: u32 = 1 << 28;
    const AVX2_AND_512: [u32; 2] = [1 << 5, 0xdc23_0000];
    let mask = xstate::mask();
    let has = |components: u64| mask & components == components;
    let [eax, mut ebx, mut ecx, edx] = answer;
    match (leaf, subleaf) {
        (1, _) if !has(AVX) => ecx &= !OSXSAVE_AND_AVX,
        (7, 0) => {
            if !has(AVX) {
                ebx &= !AVX2_AND_512[0];
            }
            if !has(AVX512) {
                ebx &= !AVX2_AND_512[1];
            }
        }
        (0xd, 0) => return [eax & half(mask), ebx, ecx, edx & half(mask >> 32)],
        _ => {}
    }
    [eax, ebx, ecx, edx]
}
