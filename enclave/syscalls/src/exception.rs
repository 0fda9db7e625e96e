//! Exceptions of the program: page faults, instructions that an enclave must not execute, faults.

use core::sync::atomic::Ordering;

use enclave_core::{AppSlice, Exception, UserRegs, xstate};
use enclave_mm::{Access, FaultOutcome, SegvCode};
use enclave_signals::{
    SigInfo, code,
    exception::{self, FloatingPoint, Instruction},
    number::{SIGBUS, SIGSEGV},
};
use hostcall_abi::layout;
use sgx_types::Vector;

use crate::{
    cpuid, dispatch,
    process::process,
    rewrite, signal, stats,
    twins::{self, Twins},
};

const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const FETCH: u64 = 1 << 4;
/// Bits of a page fault's error code that Linux shows.
const SHOWN: u64 = 0x1f;

/// Second stage of an exception.
pub fn exception(regs: &mut UserRegs, exception: Exception) {
    match exception {
        Exception::Kick => dispatch::tick(),
        Exception::PageFault { address, code } => page_fault(regs, address, code),
        Exception::Other(Vector::InvalidOpcode) => invalid_opcode(regs),
        Exception::Other(Vector::Breakpoint) if leave_patch(regs) => {}
        Exception::Other(vector) => other(regs, vector),
    }
}

fn page_fault(regs: &mut UserRegs, address: u64, error: u64) {
    // The data of enclave threads, where calls find the runtime, is always there: it was the kernel that took
    // it away, and gives it back.
    const END: u64 = layout::TCS_AREA + layout::TCS_COUNT * layout::PAGE;
    if (layout::TCS_AREA..END).contains(&address) {
        return;
    }
    match twins::before_fault(regs, address) {
        Twins::Apart => {}
        Twins::Copied => return,
        Twins::Needed => return raise(SIGBUS, code::BUS_OBJERR, address, error),
    }
    let access = if error & FETCH != 0 {
        Access::Exec
    } else if error & WRITE != 0 {
        Access::Write
    } else {
        Access::Read
    };
    let outcome = resolve(address, access);
    let (signal, what) = match outcome {
        FaultOutcome::Resolved => return,
        FaultOutcome::Segv(SegvCode::MapErr) => (SIGSEGV, code::SEGV_MAPERR),
        FaultOutcome::Segv(SegvCode::AccErr) => (SIGSEGV, code::SEGV_ACCERR),
        FaultOutcome::Bus | FaultOutcome::OutOfMemory => (SIGBUS, code::BUS_ADRERR),
    };
    raise(signal, what, address, error);
}

fn raise(signal: u32, what: i32, address: u64, error: u64) {
    let info = SigInfo::fault(signal, what, address);
    signal::fault(info, Vector::PageFault as u64, error & SHOWN | USER, address);
}

/// Makes a page accessible for the runtime's own copies.
pub fn fault(address: u64, write: bool) -> bool {
    let access = if write { Access::Write } else { Access::Read };
    resolve(address, access) == FaultOutcome::Resolved
}

fn resolve(address: u64, access: Access) -> FaultOutcome {
    let mut space = process().space();
    rewrite::before_fault(&mut space, address);
    space.fault(address, access)
}

/// Reads up to `N` bytes of code; what cannot be read is zero.
pub(crate) fn code_at<const N: usize>(rip: u64) -> [u8; N] {
    let mut code = [0; N];
    for (index, byte) in code.chunks_mut(1).enumerate() {
        let read = AppSlice::new(rip.wrapping_add(index as u64), 1)
            .and_then(|slice| slice.read_bytes(byte));
        if read.is_err() {
            break;
        }
    }
    code
}

fn invalid_opcode(regs: &mut UserRegs) {
    match Instruction::decode(code_at::<3>(regs.rip)) {
        Some(Instruction::Syscall) => trapped_syscall(regs),
        Some(instruction) => {
            stats::EMULATED.fetch_add(1, Ordering::Relaxed);
            cpuid::emulate(regs, instruction);
        }
        None if leave_patch(regs) => {}
        None => other(regs, Vector::InvalidOpcode),
    }
}

/// Goes on where the instruction is that stood here, if this is inside of a patch: a branch that the
/// rewriter did not know of leads here.
fn leave_patch(regs: &mut UserRegs) -> bool {
    let Some(now) = rewrite::relocated(regs.rip) else { return false };
    stats::ENTERED.fetch_add(1, Ordering::Relaxed);
    regs.rip = now;
    true
}

/// A system call that was not rewritten: executed as the processor would have entered the kernel.
fn trapped_syscall(regs: &mut UserRegs) {
    stats::TRAPPED.fetch_add(1, Ordering::Relaxed);
    regs.rip += Instruction::Syscall.len();
    regs.rcx = regs.rip;
    regs.r11 = regs.rflags;
    regs.orig_rax = regs.rax;
    // The next instruction may be inside of a patch.
    let next = rewrite::relocated(regs.rip);
    dispatch::syscall(regs);
    if let Some(next) = next.filter(|_| regs.rip == regs.rcx) {
        regs.rip = next;
    }
}

fn other(regs: &mut UserRegs, vector: Vector) {
    // An enclave reports INT3 at the instruction; Linux shows the next one.
    if vector == Vector::Breakpoint && code_at::<1>(regs.rip) == [0xcc] {
        regs.rip += 1;
    }
    let floating_point = FloatingPoint::of(&xstate::image());
    let info = exception::signal(vector as u8, regs.rip, floating_point);
    signal::fault(info, vector as u64, 0, 0);
}
