//! Instructions that need two mappings of one page of a file at once. An enclave page has one address, so
//! what is written at one of them is not there at the other until it is touched: such an instruction would
//! fault for ever. Copying is done for it; others end with a signal.

use core::sync::atomic::{AtomicU64, Ordering};

use enclave_core::{AppSlice, Fault, UserRegs};
use enclave_mm::PAGE_SIZE;
use enclave_signals::exception::StringMove;
use enclave_threads::current;

use crate::{coherence, exception::code_at, process::process, rewrite, task};

/// Direction flag.
const DF: u64 = 1 << 10;

/// Faults at two addresses in turn, with the same registers, after which an instruction is known to need
/// both: other threads may take a page away in between.
const TURNS: u64 = 16;

/// What a fault has to do with pages that are mapped twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twins {
    /// Nothing, as far as is known.
    Apart,
    /// The instruction, or a part of it, has been executed.
    Copied,
    /// The instruction needs both at once.
    Needed,
}

/// What a thread keeps of its last fault.
#[derive(Debug, Default)]
pub(crate) struct LastFault {
    address: AtomicU64,
    /// A digest of the registers.
    registers: AtomicU64,
    /// How often it went on between two addresses.
    turns: AtomicU64,
}

/// Call before the page of `address` is brought in, at which the program has faulted with `regs`.
pub(crate) fn before_fault(regs: &mut UserRegs, address: u64) -> Twins {
    if !coherence::is_expected() {
        return Twins::Apart;
    }
    let thread = current();
    let last = &task::of(&thread).twins;
    let registers = digest(regs);
    let before = last.address.swap(address, Ordering::Relaxed);
    let same = last.registers.swap(registers, Ordering::Relaxed) == registers;
    if !(same && process().space().are_twins(before, address)) {
        last.turns.store(0, Ordering::Relaxed);
        return Twins::Apart;
    }
    if let Some(instruction) = StringMove::decode(code_at(regs.rip)) {
        // Where it may not copy, the fault itself tells.
        return if copy(regs, instruction).is_ok() { Twins::Copied } else { Twins::Apart };
    }
    let turns = last.turns.fetch_add(1, Ordering::Relaxed);
    if turns < TURNS { Twins::Apart } else { Twins::Needed }
}

/// Executes as many elements as do not read what they have written, and lie in one page.
fn copy(regs: &mut UserRegs, instruction: StringMove) -> Result<(), Fault> {
    let StringMove { width, repeated, len } = instruction;
    let elements = if repeated { regs.rcx } else { 1 };
    let (source, target) = (regs.rsi % PAGE_SIZE, regs.rdi % PAGE_SIZE);
    let apart = target.wrapping_sub(source) % PAGE_SIZE;
    let down = regs.rflags & DF != 0;
    let room = match apart {
        _ if down => width,
        0 => PAGE_SIZE - source,
        _ => apart.min(PAGE_SIZE - source).min(PAGE_SIZE - target),
    };
    let count = (room / width).max(1).min(elements);
    let bytes = AppSlice::new(regs.rsi, count * width)?.to_vec()?;
    AppSlice::new(regs.rdi, count * width)?.write_bytes(&bytes)?;
    let step = if down { width.wrapping_neg() } else { count * width };
    regs.rsi = regs.rsi.wrapping_add(step);
    regs.rdi = regs.rdi.wrapping_add(step);
    if repeated {
        regs.rcx -= count;
    }
    if !repeated || regs.rcx == 0 {
        let next = regs.rip + len;
        // The next instruction may be inside of a patch.
        regs.rip = rewrite::relocated(next).unwrap_or(next);
    }
    Ok(())
}

/// Tells registers from others, but for an unlikely chance.
fn digest(regs: &UserRegs) -> u64 {
    let words = [
        regs.rip, regs.rsp, regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp,
        regs.r8, regs.r9, regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
    ];
    words.iter().fold(0, |digest: u64, word| {
        (digest.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}
