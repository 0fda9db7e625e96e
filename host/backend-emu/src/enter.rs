//! EENTER, ERESUME and what follows EEXIT.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use backend::{ENTRY_FLAGS, EnterLeaf, Exception, ExitHandler, Kick, Outcome, Run};
use sgx_types::{PageFaultCode, PageType, SecInfoFlags, Vector};

use crate::asm;
use crate::context::{Again, Context, mode, with_current};
use crate::cost::spend;
use crate::create::MAX_SIZE;
use crate::enclave::{Inner, count};
use crate::reason;
use crate::signals;
use crate::ssa;
use crate::sys;
use crate::tcs::TcsState;

const PAGE: u64 = 4096;

/// Bytes of the host's stack that leaves may use, between the host's frames and the stack pointer that
/// the enclave sees.
const LEAF_STACK: u64 = 64 * 1024;

/// A fault raised by an ENCLU leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) vector: Vector,
    pub(crate) error_code: u32,
    pub(crate) address: u64,
}

impl Fault {
    /// #GP(0).
    pub(crate) const GP: Self =
        Self { vector: Vector::GeneralProtection, error_code: 0, address: 0 };

    /// #PF on a page to which the EPCM denies the access.
    pub(crate) fn epcm(address: u64, write: bool) -> Self {
        let mut code = PageFaultCode::P | PageFaultCode::U | PageFaultCode::SGX;
        code.set(PageFaultCode::W, write);
        Self { vector: Vector::PageFault, error_code: code.bits(), address }
    }
}

/// Enters, and stays until EEXIT or an exception.
pub(crate) fn enter(inner: &Arc<Inner>, run: &mut Run, handler: Option<&ExitHandler>) -> Outcome {
    with_current(|context| {
        signals::attach_thread(inner);
        // SAFETY: the context belongs to this thread; handlers that interrupt it touch only what they
        // must, and never while this reference is used: they run when the enclave does.
        stay(inner, unsafe { &mut *context }, run, handler)
    })
    .unwrap_or_else(|| general_protection(EnterLeaf::Eenter))
}

fn general_protection(leaf: EnterLeaf) -> Outcome {
    refused(leaf, Fault::GP)
}

fn refused(leaf: EnterLeaf, fault: Fault) -> Outcome {
    Outcome::Exception(Exception {
        leaf,
        vector: fault.vector as u16,
        error_code: fault.error_code as u16,
        address: fault.address,
    })
}

/// Enters; kicks that come meanwhile wait, unless they can interrupt the enclave.
fn stay(
    inner: &Arc<Inner>,
    context: &mut Context,
    run: &mut Run,
    handler: Option<&ExitHandler>,
) -> Outcome {
    let before = context.mode.swap(mode::TRANSIT, Ordering::Relaxed);
    // With a cost model each transition is Rust's: the short cut takes no time.
    let handler = handler.filter(|_| inner.costs.is_off());
    let outcome = go_on(inner, context, run, handler);
    context.mode.store(before, Ordering::Relaxed);
    if before == mode::OUTSIDE {
        deliver_pending(context, None);
    }
    outcome
}

/// Goes in again after each kick.
fn go_on(
    inner: &Arc<Inner>,
    context: &mut Context,
    run: &mut Run,
    handler: Option<&ExitHandler>,
) -> Outcome {
    let mut leaf = run.leaf;
    loop {
        let prepared = acquire(inner, context, run.tcs).and_then(|tcs| {
            prepare(inner, context, &tcs, leaf, run).inspect_err(|_| tcs.release()).map(|()| tcs)
        });
        let tcs = match prepared {
            Ok(tcs) => tcs,
            Err(fault) => return refused(leaf, fault),
        };
        context.again = again(inner, context, &tcs, handler);
        let reason = go(inner, context, &tcs);
        let tcs = context.last_tcs.insert(tcs);
        match reason {
            reason::EXIT => return exited(inner, context, run),
            reason::AGAIN => {
                take_registers(context, run);
                leaf = EnterLeaf::Eenter;
                deliver_pending(context, None);
            }
            reason::EXCEPTION => {
                spend(inner.costs.aex);
                let exception = context.exception.take().expect("the handler told the exception");
                return Outcome::Exception(exception);
            }
            reason::KICK => {
                spend(inner.costs.aex);
                count(&inner.counters.kicks);
                deliver_pending(context, Some(run.tcs));
                leaf = EnterLeaf::Eresume;
            }
            _ => {
                undo(tcs, leaf);
                let inside = leaf == EnterLeaf::Eresume;
                deliver_pending(context, inside.then_some(run.tcs));
            }
        }
    }
}

/// Runs the enclave.
fn go(inner: &Arc<Inner>, context: &mut Context, tcs: &Arc<TcsState>) -> u64 {
    context.enclave = Arc::as_ptr(inner);
    context.tcs = Arc::as_ptr(tcs);
    tcs.key.enter(context);
    // SAFETY: the context was prepared; enclave and TCS outlive the stay, since the caller holds both.
    let reason = unsafe { asm::emu_enter(context) };
    inner.flush(context);
    reason
}

/// Finds the TCS and marks it as in use.
fn acquire(inner: &Inner, context: &mut Context, address: u64) -> Result<Arc<TcsState>, Fault> {
    if !address.is_multiple_of(PAGE) || !inner.contains(address, PAGE) || !inner.is_initialised() {
        return Err(Fault::GP);
    }
    let entry = inner.epcm.get(address);
    if !entry.is(PageType::Tcs) || !entry.is_settled() {
        return Err(Fault::epcm(address, false));
    }
    let known = context.last_tcs.take().filter(|tcs| tcs.is_at(address));
    let tcs = known.or_else(|| inner.tcs_at(address)).ok_or(Fault::epcm(address, false))?;
    if tcs.acquire() { Ok(tcs) } else { Err(Fault::GP) }
}

/// Loads what the leaf loads.
fn prepare(
    inner: &Inner,
    context: &mut Context,
    tcs: &TcsState,
    leaf: EnterLeaf,
    run: &Run,
) -> Result<(), Fault> {
    context.host_gs = sys::gs_base();
    (context.entering, context.load_bases) = (1, 1);
    (context.limit, context.epcm) = (inner.base() + inner.secs.size, inner.epcm.address());
    context.next = inner.mapping.next();
    match leaf {
        EnterLeaf::Eenter => {
            spend(inner.costs.eenter);
            eenter(inner, context, tcs, run)?;
            tcs.count_entry();
        }
        EnterLeaf::Eresume => {
            spend(inner.costs.eresume);
            ssa::eresume(inner, context, tcs)?;
            count(&inner.counters.resumes);
        }
    }
    Ok(())
}

fn eenter(inner: &Inner, context: &mut Context, tcs: &TcsState, run: &Run) -> Result<(), Fault> {
    let cssa = tcs.cssa.load(Ordering::Relaxed);
    if cssa >= tcs.nssa || tcs.oentry >= MAX_SIZE * 2 {
        return Err(Fault::GP);
    }
    check_frame(inner, tcs, cssa)?;
    let regs = &mut context.regs;
    regs.rax = u64::from(cssa);
    regs.rbx = tcs.address;
    regs.rcx = asm::emu_aep as *const () as u64;
    (regs.rdi, regs.rsi, regs.rdx, regs.r8, regs.r9) = (run.rdi, run.rsi, run.rdx, run.r8, run.r9);
    (regs.rsp, regs.rbp) = host_stack();
    (regs.rip, regs.rflags) = (tcs.oentry, 2 | run.flags & ENTRY_FLAGS);
    (regs.fs_base, regs.gs_base) = (tcs.fs_base, tcs.gs_base);
    context.load_vectors = 0;
    ssa::save_host_stack(inner, tcs, cssa, [regs.rsp, regs.rbp])
}

/// All pages of the frame must be writable regular ones.
fn check_frame(inner: &Inner, tcs: &TcsState, index: u32) -> Result<(), Fault> {
    let start = tcs.frame(index);
    let access = SecInfoFlags::R | SecInfoFlags::W;
    let missing = (start..start.saturating_add(tcs.frame_size()))
        .step_by(4096)
        .find(|&page| !inner.allows(page, access));
    missing.map_or(Ok(()), |page| Err(Fault::epcm(page, true)))
}

/// What the short cut from EEXIT to the next EENTER needs.
fn again(inner: &Inner, context: &Context, tcs: &TcsState, handler: Option<&ExitHandler>) -> Again {
    let possible = inner.contains(tcs.frame(0), tcs.frame_size());
    let Some(handler) = handler.filter(|_| possible) else { return Again::default() };
    let (rsp, rbp) = host_stack();
    Again {
        function: handler.function,
        data: handler.data,
        tcs_cell: inner.epcm.cell(tcs.address).as_ptr() as u64,
        frame_cells: inner.epcm.cell(tcs.frame(0)).as_ptr() as u64,
        frame_pages: tcs.frame_size() / PAGE,
        host_stack: ssa::host_stack(tcs, 0),
        key: tcs.key.address().unwrap_or(&raw const context.again.nowhere as u64),
        nowhere: 0,
        rbx: tcs.address,
        rsp,
        rbp,
        rip: tcs.oentry,
        fs_base: tcs.fs_base,
        gs_base: tcs.gs_base,
    }
}

/// RSP and RBP that the enclave finds.
fn host_stack() -> (u64, u64) {
    ((sys::stack_pointer() - LEAF_STACK) & !0xf, sys::stack_pointer())
}

fn take_registers(context: &Context, run: &mut Run) {
    let regs = &context.regs;
    (run.rdi, run.rsi, run.rdx, run.r8, run.r9) = (regs.rdi, regs.rsi, regs.rdx, regs.r8, regs.r9);
}

fn exited(inner: &Inner, context: &Context, run: &mut Run) -> Outcome {
    take_registers(context, run);
    let (target, aep) = (context.regs.rbx, asm::emu_aep as *const () as u64);
    spend(inner.costs.eexit);
    // EEXIT goes wherever the enclave says: on hardware anything can happen now.
    assert!(target == aep, "the enclave left to {target:#x}, which is not where it came from");
    Outcome::Exited
}

/// Takes back what `prepare` did, since the thread did not go in.
fn undo(tcs: &TcsState, leaf: EnterLeaf) {
    if leaf == EnterLeaf::Eresume {
        tcs.cssa.fetch_add(1, Ordering::Relaxed);
    }
    tcs.release();
}

/// Tells the launcher of a kick that could not be told at once. Like a signal during its own handler,
/// the next one waits until the launcher is done.
fn deliver_pending(context: &mut Context, tcs: Option<u64>) {
    let mut pending = context.pending.swap(0, Ordering::Relaxed);
    if pending == 0 {
        return;
    }
    let before = context.telling.swap(1, Ordering::Relaxed);
    while pending != 0 {
        let signal = pending.trailing_zeros() as i32 + 1;
        pending &= pending - 1;
        signals::tell(&Kick { signal, tcs, context: std::ptr::null_mut() });
    }
    context.telling.store(before, Ordering::Relaxed);
    let deferred = context.deferred.swap(0, Ordering::Relaxed);
    context.pending.fetch_or(deferred, Ordering::Relaxed);
}
