//! The context of interrupted code, as the kernel saves it on a signal.

use std::mem;

use libc::{c_int, ucontext_t};

use crate::context::Registers;
use crate::sys;

/// The address at which it goes on.
pub(crate) fn rip(frame: &ucontext_t) -> u64 {
    frame.uc_mcontext.gregs[libc::REG_RIP as usize] as u64
}

/// Changes a register.
pub(crate) fn set(frame: &mut ucontext_t, index: c_int, value: u64) {
    frame.uc_mcontext.gregs[index as usize] = value as i64;
}

/// The kernel's indices of registers, in the order of [`Registers`].
const ORDER: [c_int; 18] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
    libc::REG_EFL,
    libc::REG_RIP,
];

/// Registers of the interrupted code.
pub(crate) fn registers(frame: &ucontext_t, fs_base: u64) -> Registers {
    let mut words = [0; 20];
    for (word, index) in words.iter_mut().zip(ORDER) {
        *word = frame.uc_mcontext.gregs[index as usize] as u64;
    }
    (words[18], words[19]) = (fs_base, sys::gs_base());
    // SAFETY: both are twenty words.
    unsafe { mem::transmute(words) }
}

/// Puts registers back, except for RIP and the segment bases.
pub(crate) fn store(frame: &mut ucontext_t, regs: &Registers) {
    // SAFETY: both are twenty words.
    let words: [u64; 20] = unsafe { mem::transmute(*regs) };
    for (word, index) in words.into_iter().zip(ORDER).filter(|(_, index)| *index != libc::REG_RIP) {
        set(frame, index, word);
    }
}

/// Gives the interrupted code the initial vector state, as AEX does.
pub(crate) fn clear_vectors(frame: &mut ucontext_t) {
    const HEADER: usize = 512;
    const MXCSR: usize = 24;
    let image = frame.uc_mcontext.fpregs.cast::<u8>();
    // SAFETY: the kernel saved an XSAVE image there, which sigreturn will load.
    unsafe {
        image.add(HEADER).cast::<u64>().write(0);
        image.add(MXCSR).cast::<u32>().write(0x1f80);
    }
}
