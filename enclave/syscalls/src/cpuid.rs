//! CPUID and RDTSC, which an enclave cannot execute itself (CPUID never, RDTSC on SGX1).
//!
//! What CPUID says is the host's claim, asked once for each leaf. Programs choose code by it, so
//! what the enclave's registers cannot hold is taken out.

use alloc::collections::BTreeMap;

use enclave_core::{Mutex, UserRegs, timestamp, xstate};
use enclave_hostcalls::Call;
use enclave_signals::exception::{Instruction, checked_cpuid};
use hostcall_abi::service;

/// Executes an instruction and goes on behind it; system calls are made elsewhere.
pub(crate) fn emulate(regs: &mut UserRegs, instruction: Instruction) {
    let low = |word: u64| word & 0xffff_ffff;
    match instruction {
        Instruction::Cpuid => {
            let [eax, ebx, ecx, edx] = cpuid(half(regs.rax), half(regs.rcx)).map(u64::from);
            (regs.rax, regs.rbx, regs.rcx, regs.rdx) = (eax, ebx, ecx, edx);
        }
        Instruction::Rdtsc | Instruction::Rdtscp => {
            let ticks = timestamp();
            (regs.rax, regs.rdx) = (low(ticks), ticks >> 32);
            if instruction == Instruction::Rdtscp {
                regs.rcx = enclave_core::tcs_index();
            }
        }
        Instruction::Syscall => return,
    }
    regs.rip += instruction.len();
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
    let answer = checked_cpuid(leaf, subleaf, ask(leaf, subleaf), xstate::mask());
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
