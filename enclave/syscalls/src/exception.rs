//! Exceptions of the program: page faults, system calls that were not rewritten, faults of its own.

use enclave_core::{AppPtr, AppSlice, Exception, UserRegs, exit_forever};
use enclave_mm::{Access, FaultOutcome};
use hostcall_abi::service;
use sgx_types::Vector;

use crate::{dispatch, process::process, stats};

const WRITE: u64 = 1 << 1;
const FETCH: u64 = 1 << 4;

const SIGILL: u64 = 4;
const SIGTRAP: u64 = 5;
const SIGBUS: u64 = 7;
const SIGFPE: u64 = 8;
const SIGSEGV: u64 = 11;

/// Second stage of an exception.
pub fn exception(regs: &mut UserRegs, exception: Exception) {
    match exception {
        Exception::Kick => {}
        Exception::PageFault { address, code } => page_fault(address, code),
        Exception::Other(Vector::InvalidOpcode) => invalid_opcode(regs),
        Exception::Other(vector) => die(match vector {
            Vector::DivideError | Vector::X87 | Vector::Simd => SIGFPE,
            Vector::Debug | Vector::Breakpoint => SIGTRAP,
            Vector::AlignmentCheck => SIGBUS,
            _ => SIGSEGV,
        }),
    }
    if exception == Exception::Kick {
        enclave_threads::check_events();
        enclave_threads::yield_now();
    }
}

fn die(signal: u64) -> ! {
    exit_forever(service::KILL, signal)
}

fn page_fault(address: u64, code: u64) {
    let access = if code & FETCH != 0 {
        Access::Exec
    } else if code & WRITE != 0 {
        Access::Write
    } else {
        Access::Read
    };
    let outcome = process().space().fault(address, access);
    match outcome {
        FaultOutcome::Resolved => {}
        FaultOutcome::Segv(_) => die(SIGSEGV),
        FaultOutcome::Bus | FaultOutcome::OutOfMemory => die(SIGBUS),
    }
}

/// Makes a page accessible for the runtime's own copies.
pub fn fault(address: u64, write: bool) -> bool {
    let access = if write { Access::Write } else { Access::Read };
    process().space().fault(address, access) == FaultOutcome::Resolved
}

fn invalid_opcode(regs: &mut UserRegs) {
    let mut code = [0; 2];
    let readable = AppSlice::new(AppPtr::<u8>::new(regs.rip).address(), 2)
        .and_then(|slice| slice.read_bytes(&mut code));
    if readable.is_err() || code != [0x0f, 0x05] {
        die(SIGILL);
    }
    stats::TRAPPED.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
    regs.rip += 2;
    regs.rcx = regs.rip;
    regs.r11 = regs.rflags;
    regs.orig_rax = regs.rax;
    dispatch::syscall(regs);
}
