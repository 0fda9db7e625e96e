//! Frames of handlers: onto the program's stack, and back from it.

use core::sync::atomic::Ordering;

use alloc::vec::Vec;

use enclave_core::{AppPtr, AppSlice, Fault, UserRegs, to_usize, xstate};
use enclave_signals::{
    AltStack, Delivery, SigSet, flags,
    frame::{self, Frame, INFO, SigContext, UCONTEXT, UContext},
};
use enclave_threads::current;
use hostcall_abi::layout::USER_END;
use zerocopy::IntoBytes;

use super::look;
use crate::{process::process, rewrite, task};

/// Flags that a handler starts without: TF, DF, RF.
const CLEARED_FLAGS: u64 = 1 << 8 | 1 << 10 | 1 << 16;
/// Flags that a frame may set: arithmetic and DF.
const RESTORED_FLAGS: u64 = 0xcd5;
const FIXED_FLAGS: u64 = 0x202;
/// Bytes of the legacy region of an XSAVE image.
const LEGACY: u64 = 512;

/// Writes the frame and gives the registers with which the handler starts.
pub(super) fn push(regs: &mut UserRegs, delivery: &Delivery) -> Result<(), Fault> {
    let action = &delivery.action;
    if !action.has(flags::RESTORER) || action.handler >= USER_END {
        return Err(Fault);
    }
    xstate::capture(regs);
    let mut image = xstate::image();
    let tid = current().tid();
    let altstack = look(|state| state.signals.altstack(tid).copied()).unwrap_or_default();
    let wanted = action.has(flags::ONSTACK);
    let place = frame::place(regs.rsp, &altstack, wanted, image.len() as u64).ok_or(Fault)?;
    frame::seal(&mut image, xstate::mask());
    let mask = delivery.mask.0;
    let new = Frame::new(&place, action.restorer, altstack, context(regs), mask, delivery.info);
    AppSlice::new(place.fpstate, image.len() as u64)?.write_bytes(&image)?;
    AppPtr::<Frame>::new(place.frame).write(&new)?;
    if altstack.flags & AltStack::AUTODISARM != 0 {
        look(|state| state.signals.altstack(tid).map(|stack| *stack = AltStack::default()));
    }
    xstate::set_image(&initial());
    regs.rdi = delivery.info.signal().into();
    regs.rsi = place.frame + INFO;
    regs.rdx = place.frame + UCONTEXT;
    regs.rax = 0;
    regs.rip = action.handler;
    regs.rsp = place.frame;
    regs.rflags &= !CLEARED_FLAGS;
    Ok(())
}

/// An XSAVE image of registers in their initial state.
fn initial() -> [u8; 576] {
    let mut image = [0; 576];
    image[24..28].copy_from_slice(&0x1f80_u32.to_le_bytes());
    image
}

fn context(regs: &UserRegs) -> SigContext {
    let thread = current();
    let [trapno, err, cr2] =
        [0, 1, 2].map(|index| task::of(&thread).signals.fault[index].load(Ordering::Relaxed));
    SigContext {
        r8_15: [regs.r8, regs.r9, regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15],
        rdi: regs.rdi,
        rsi: regs.rsi,
        rbp: regs.rbp,
        rbx: regs.rbx,
        rdx: regs.rdx,
        rax: regs.rax,
        rcx: regs.rcx,
        rsp: regs.rsp,
        rip: shown(regs.rip),
        rflags: regs.rflags,
        err,
        trapno,
        cr2,
        ..SigContext::default()
    }
}

/// The instruction pointer as the program knows its code: not in a trampoline.
fn shown(rip: u64) -> u64 {
    let mut map = process().rewritten.lock();
    let Some(original) = map.original(rip) else { return rip };
    match map.inside(original).map(|inside| inside.now) {
        // In the middle of what stands for one instruction: it cannot be said otherwise.
        Some(start) if start != rip => rip,
        _ => original,
    }
}

/// What a frame restores besides the registers.
pub(super) struct Restored {
    pub(super) mask: SigSet,
    pub(super) altstack: AltStack,
}

/// Takes the registers from the frame on the program's stack, after its handler has returned.
pub(super) fn pop(regs: &mut UserRegs) -> Result<Restored, Fault> {
    let ucontext = AppPtr::<UContext>::new(regs.rsp).read()?;
    let context = &ucontext.context;
    let rip = rewrite::relocated(context.rip).unwrap_or(context.rip);
    if rip >= USER_END {
        return Err(Fault);
    }
    let image =
        if context.fpstate == 0 { initial().to_vec() } else { read_image(context.fpstate)? };
    xstate::capture(regs);
    xstate::set_image(&image);
    [regs.r8, regs.r9, regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15] = context.r8_15;
    (regs.rdi, regs.rsi, regs.rbp, regs.rbx) = (context.rdi, context.rsi, context.rbp, context.rbx);
    (regs.rdx, regs.rax, regs.rcx) = (context.rdx, context.rax, context.rcx);
    (regs.rsp, regs.rip) = (context.rsp, rip);
    regs.rflags = context.rflags & RESTORED_FLAGS | FIXED_FLAGS;
    Ok(Restored { mask: SigSet(ucontext.mask), altstack: ucontext.stack })
}

fn read_image(address: u64) -> Result<Vec<u8>, Fault> {
    let legacy = AppSlice::new(address, LEGACY)?.to_vec()?;
    let len = frame::announced(&legacy, xstate::size());
    if len == to_usize(LEGACY) {
        return Ok(legacy);
    }
    let image = AppSlice::new(address, len as u64)?.to_vec()?;
    let mut mark = [0_u8; 4];
    AppSlice::new(address + len as u64, mark.len() as u64)?.read_bytes(mark.as_mut_bytes())?;
    Ok(if frame::is_sealed(mark) { image } else { legacy })
}
