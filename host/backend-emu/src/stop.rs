//! A thread that a signal stopped inside.

use std::ptr;
use std::sync::atomic::Ordering;

use libc::{c_int, ucontext_t};
use sgx_types::{PageFaultCode, SecInfoFlags, Vector};

use crate::asm;
use crate::context::{Context, Registers, mode};
use crate::enclave::{Inner, count};
use crate::enter::Fault;
use crate::frame::{clear_vectors, registers, rip, set, store};
use crate::leaves::{self, After};
use crate::patch::JUMP_SIZE;
use crate::reason;
use crate::ssa::{self, Event};
use crate::tcs::TcsState;

/// ENCLU.
pub(crate) const ENCLU: [u8; 3] = [0x0f, 0x01, 0xd7];

/// A thread that an exception stopped inside.
pub(crate) struct Stop<'a> {
    pub(crate) frame: &'a mut ucontext_t,
    pub(crate) context: &'a mut Context,
    /// What FS will be when the thread goes on.
    pub(crate) fs: &'a mut u64,
    pub(crate) inner: &'a Inner,
    pub(crate) tcs: &'a TcsState,
}

impl Stop<'_> {
    pub(crate) fn reg(&self, index: c_int) -> u64 {
        self.frame.uc_mcontext.gregs[index as usize] as u64
    }

    pub(crate) fn set(&mut self, index: c_int, value: u64) {
        set(self.frame, index, value);
    }

    pub(crate) fn rip(&self) -> u64 {
        rip(self.frame)
    }

    /// Whether the code at RIP starts with `bytes`.
    pub(crate) fn code_is(&self, bytes: &[u8; 3]) -> bool {
        let mut code = [0u8; 3];
        // SAFETY: faults become a count.
        let left = unsafe { asm::emu_copy(code.as_mut_ptr() as u64, self.rip(), 3) };
        left == 0 && code == *bytes
    }

    /// Turns the kernel's report into the processor's, unless only the mapping lags behind.
    pub(crate) fn fault(&mut self) {
        let vector = self.reg(libc::REG_TRAPNO) as u8;
        let mut code = self.reg(libc::REG_ERR) as u32;
        let mut address = 0;
        if vector == Vector::PageFault as u8 {
            address = self.reg(libc::REG_CR2);
            if self.inner.mapping.range().contains(&address) {
                if self.inner.catch_up_with(self.context, address, wanted(code)) {
                    return;
                }
                self.context.awaited = address & !0xfff;
                self.inner.augment(address & !0xfff);
                code |= (PageFaultCode::P | PageFaultCode::SGX).bits();
            }
        }
        if vector == Vector::Breakpoint as u8 {
            // INT3 is fault-like in an enclave that is not debugged (SDM 43.3).
            let rip = self.rip().wrapping_sub(1);
            self.set(libc::REG_RIP, rip);
        }
        self.raise(vector, code, address);
    }

    /// AEX with an exception.
    pub(crate) fn raise(&mut self, vector: u8, error_code: u32, address: u64) {
        count(&self.inner.counters.exceptions);
        let event = Event { vector: Some(vector), error_code, address };
        self.context.exception = Some(self.inner.exception(&event));
        self.aex(event, reason::EXCEPTION);
    }

    /// AEX: saves the state, and sends the thread to the end of `emu_enter`.
    pub(crate) fn aex(&mut self, event: Event, reason: u64) {
        let regs = registers(self.frame, *self.fs);
        let vectors = self.frame.uc_mcontext.fpregs as u64;
        save_or_die(self.inner, self.tcs, &regs, vectors, event);
        self.tcs.release();
        self.leave(reason);
        clear_vectors(self.frame);
        self.set(libc::REG_RBX, self.tcs.address);
        self.set(libc::REG_RCX, asm::emu_aep as *const () as u64);
    }

    /// Makes the thread go on at the end of `emu_enter`.
    fn leave(&mut self, reason: u64) {
        self.context.mode.store(mode::TRANSIT, Ordering::Relaxed);
        self.set(libc::REG_RIP, asm::emu_finish as *const () as u64);
        self.set(libc::REG_RSP, self.context.host_rsp);
        let context = ptr::from_mut(self.context) as u64;
        self.set(libc::REG_R11, context);
        self.set(libc::REG_RAX, reason);
        self.set(libc::REG_EFL, 2);
        *self.fs = self.context.host_fs;
    }

    /// Whether an ENCLU was at RIP, and is a jump now.
    pub(crate) fn is_at_patch(&self) -> bool {
        self.inner.stubs.get().is_some_and(|stubs| stubs.has_site(self.rip()))
    }

    /// Executes the leaf at RIP.
    pub(crate) fn leaf(&mut self) {
        count(&self.inner.counters.trapped_leaves);
        self.context.regs = registers(self.frame, *self.fs);
        match leaves::execute(self.inner, self.context) {
            After::Continue => {
                let regs = self.context.regs;
                store(self.frame, &regs);
                let len = if self.is_at_patch() { JUMP_SIZE } else { ENCLU.len() as u64 };
                let rip = self.rip() + len;
                self.set(libc::REG_RIP, rip);
            }
            After::Exit => {
                self.tcs.release();
                self.leave(reason::EXIT);
            }
            After::Fault(Fault { vector, error_code, address }) => {
                self.raise(vector as u8, error_code, address);
            }
        }
    }
}

/// AEX, or the end: an enclave whose state is lost cannot go on.
pub(crate) fn save_or_die(
    inner: &Inner,
    tcs: &TcsState,
    regs: &Registers,
    vectors: u64,
    event: Event,
) {
    if let Err(fault) = ssa::aex(inner, tcs, regs, vectors, event) {
        eprintln!("the state save area at {:#x} is gone: the enclave is lost", fault.address);
        std::process::abort();
    }
}

/// The access that a page fault was about.
fn wanted(code: u32) -> SecInfoFlags {
    let code = PageFaultCode::from_bits_retain(code);
    if code.contains(PageFaultCode::I) {
        SecInfoFlags::X
    } else if code.contains(PageFaultCode::W) {
        SecInfoFlags::W
    } else {
        SecInfoFlags::R
    }
}
