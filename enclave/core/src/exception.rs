//! Exceptions: the first stage, at CSSA 1, and what it hands to the second.
//!
//! Only what hardware wrote is believed: the SSA frame with its EXITINFO. The host can enter here
//! at any time it likes ("kick"), and can do no more with it than make the thread look for work.

use core::arch::asm;

use hostcall_abi::layout::{EXCEPTION_STACK_PAGES, IMAGE_BASE, PAGE, TCS_AREA, thread_data};
use sgx_types::{ExInfo, ExitInfo, GprSgx, Vector};

use crate::{
    UserRegs,
    app::in_program,
    asm::Places,
    copies,
    data::{self, FAULT_ADDRESS, FAULT_RIP, RESCHEDULE, RUNTIME_STACK},
    fatal,
    hooks::hooks,
    xstate,
};

/// What interrupted the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// The host entered without an exception: there may be signals, or it is time for another
    /// thread.
    Kick,
    /// Page fault at an address, with the error code of the processor.
    PageFault {
        /// Linear address.
        address: u64,
        /// Error code (bit 0 present, 1 write, 4 instruction fetch).
        code: u64,
    },
    /// Any other exception, with its vector.
    Other(Vector),
}

/// Bytes of a half of the exception stack. The first stage has the upper one.
pub(crate) const HALF_STACK: u64 = EXCEPTION_STACK_PAGES * PAGE / 2;
/// Word that stands for [`Exception::Kick`] between the stages.
const KICK: u64 = u64::MAX;
/// Alignment of data is checked.
const AC: u64 = 1 << 18;
/// Flags of the program that are kept: arithmetic flags, DF, AC and ID.
const KEPT_FLAGS: u64 = 0xcd5 | AC | 1 << 21;
const WRITE: u64 = 2;

struct Frame {
    gpr: *mut GprSgx,
    exinfo: *const ExInfo,
    xsave: *const u8,
}

impl Frame {
    /// The first frame of this enclave thread: what was interrupted at CSSA 0.
    fn first() -> Self {
        let start = data::read::<{ thread_data::SSA }>();
        let end = start + data::read::<{ thread_data::SSA_FRAME_SIZE }>();
        let gpr = end - size_of::<GprSgx>() as u64;
        let exinfo = gpr - size_of::<ExInfo>() as u64;
        Self { gpr: gpr as *mut GprSgx, exinfo: exinfo as *const ExInfo, xsave: start as *const u8 }
    }
}

/// Whether this is executed by [`first_stage`]: by the stack that it has to itself.
pub(crate) fn in_first_stage() -> bool {
    let rsp: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) rsp, options(nomem, nostack, preserves_flags)) };
    let top = data::read::<{ thread_data::EXCEPTION_STACK }>();
    (top - HALF_STACK..top).contains(&rsp)
}

/// Whether `rip` is the runtime's: everything else is the program's, wherever it jumped.
const fn is_runtime(rip: u64) -> bool {
    rip >= IMAGE_BASE && rip < TCS_AREA
}

pub(crate) extern "sysv64" fn first_stage() {
    let frame = Frame::first();
    // SAFETY: the frame is part of the measured image; at CSSA 1 the hardware does not write to
    // frame 0, and only this function on this enclave thread reads or writes it.
    let (mut gpr, exinfo) = unsafe { (frame.gpr.read(), frame.exinfo.read()) };
    let vector = gpr.exit_info.vector();
    let former = (data::read::<FAULT_RIP>(), data::read::<FAULT_ADDRESS>());
    let recurs = former == (gpr.rip, exinfo.address);
    data::write::<FAULT_RIP>(0);
    if !is_runtime(gpr.rip) {
        let regs = save_program(&frame, &gpr);
        gpr.rsi = vector.map_or(KICK, |vector| vector as u64);
        gpr.rdx = exinfo.address;
        gpr.rcx = exinfo.error_code.into();
        gpr.rsp = regs;
        gpr.rip = Places::second_stage();
        gpr.rflags = 0x202;
    } else if vector == Some(Vector::PageFault)
        && copies::contains(gpr.rip)
        && (in_program(exinfo.address) || recurs)
    {
        gpr.rax = 1 | u64::from(exinfo.error_code) & WRITE;
        gpr.rdx = exinfo.address;
        gpr.rip = copies::fixup();
    } else if vector == Some(Vector::AlignmentCheck) {
        // The program's flag, which a system call leaves as it is: to look at it then would cost
        // more than this does, which no usual program needs.
        gpr.rflags &= !AC;
    } else if vector == Some(Vector::PageFault) && !recurs {
        // Maybe the kernel has resolved it, and there is a kick besides. If not, it comes again at once.
        data::write::<FAULT_RIP>(gpr.rip);
        data::write::<FAULT_ADDRESS>(exinfo.address);
        data::write::<RESCHEDULE>(1);
    } else if vector.is_some() {
        // To leave from here would leave a thread that the host can resume. So it dies there.
        gpr.rdi = gpr.rip;
        gpr.rsi = exinfo.address;
        gpr.rip = die as *const () as u64;
        gpr.rsp = data::read::<{ thread_data::EXCEPTION_STACK }>() - HALF_STACK - 8;
        gpr.rflags = 2;
    } else if Places::returning(gpr.rip) {
        gpr.rip = Places::return_again();
        gpr.rflags = 0x202;
    } else {
        data::write::<RESCHEDULE>(1);
    }
    // What has been seen to is no exception any more: a host that enters twice before it resumes the
    // thread only kicks it.
    gpr.exit_info = ExitInfo::NONE;
    // SAFETY: as above.
    unsafe { frame.gpr.write(gpr) }
}

/// An exception of the runtime itself is a defect: nothing can go on. Where the thread that had it goes on, on
/// the lower half of its exception stack.
extern "sysv64" fn die(rip: u64, address: u64) -> ! {
    // An overflow of a runtime stack is the likeliest cause, and worth a message of its own.
    if address >= crate::stacks::STACKS_BASE && address.wrapping_add(PAGE) > address {
        fatal("a runtime stack overflowed");
    }
    crate::panic::fatal_at(rip - IMAGE_BASE, address)
}

/// Puts the interrupted program's registers where the system call path would have put them, and
/// its vector state into the full area. Returns the address of the registers.
fn save_program(frame: &Frame, gpr: &GprSgx) -> u64 {
    let top = data::read::<RUNTIME_STACK>();
    let regs = top - size_of::<UserRegs>() as u64;
    let mut saved = UserRegs::start_at(gpr.rip, gpr.rsp);
    saved.r15 = gpr.r15;
    saved.r14 = gpr.r14;
    saved.r13 = gpr.r13;
    saved.r12 = gpr.r12;
    saved.rbp = gpr.rbp;
    saved.rbx = gpr.rbx;
    saved.r11 = gpr.r11;
    saved.r10 = gpr.r10;
    saved.r9 = gpr.r9;
    saved.r8 = gpr.r8;
    saved.rax = gpr.rax;
    saved.rcx = gpr.rcx;
    saved.rdx = gpr.rdx;
    saved.rsi = gpr.rsi;
    saved.rdi = gpr.rdi;
    saved.rflags = gpr.rflags & KEPT_FLAGS | 0x202;
    // SAFETY: the program was running, so its runtime stack is unused; the XSAVE image in the SSA
    // was written by the hardware at this AEX, and is at most a frame long.
    let image = unsafe {
        (regs as *mut UserRegs).write(saved);
        core::slice::from_raw_parts(frame.xsave, xstate::size())
    };
    xstate::write_image(top, image);
    regs
}

pub(crate) extern "sysv64" fn second_stage(
    regs: &mut UserRegs,
    what: u64,
    address: u64,
    code: u64,
) {
    let exception = match u8::try_from(what).ok().and_then(Vector::from_bits) {
        None => Exception::Kick,
        Some(Vector::PageFault) => Exception::PageFault { address, code },
        Some(vector) => Exception::Other(vector),
    };
    (hooks().exception)(regs, exception);
}
