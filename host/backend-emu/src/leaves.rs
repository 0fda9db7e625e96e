//! ENCLU leaves that the enclave executes.

use std::sync::atomic::Ordering;

use sgx_types::Enclu;

use crate::context::{Context, mode};
use crate::edmm;
use crate::enclave::{Inner, count};
use crate::enter::Fault;
use crate::keys;
use crate::patch::JUMP_SIZE;
use crate::reason;
use crate::ssa::Event;
use crate::stop::save_or_die;

/// Flags that leaves with a result clear or set: CF, PF, AF, ZF, SF, OF.
const STATUS: u64 = 0x8d5;
const ZF: u64 = 0x40;

/// How it goes on after a leaf.
pub(crate) enum After {
    /// With the next instruction.
    Continue,
    /// Outside.
    Exit,
    /// With an asynchronous exit at the leaf.
    Fault(Fault),
}

/// Executes the leaf that `context.regs` call for, at a patched site. Returns 0 to go on inside, else
/// the reason for `emu_enter` to return.
///
/// # Safety
/// Only for `emu_leaf`, with the context of the thread, which is inside.
pub(crate) unsafe extern "C" fn leaf(context: *mut Context) -> u64 {
    // SAFETY: see above; a thread that is inside holds its enclave.
    let (context, inner) = unsafe { (&mut *context, &*(*context).enclave) };
    match execute(inner, context) {
        After::Continue => 0,
        After::Exit => {
            // SAFETY: a thread that is inside holds its TCS.
            unsafe { &*context.tcs }.release();
            reason::EXIT
        }
        After::Fault(fault) => {
            context.regs.rip -= JUMP_SIZE;
            let event = Event {
                vector: Some(fault.vector as u8),
                error_code: fault.error_code,
                address: fault.address,
            };
            aex(inner, context, event);
            count(&inner.counters.exceptions);
            context.exception = Some(inner.exception(&event));
            reason::EXCEPTION
        }
    }
}

/// A kick came when the thread was about to go in. Returns the reason for `emu_enter` to return.
///
/// # Safety
/// Only for `emu_enter`, with the context of the thread, which is about to go in.
pub(crate) unsafe extern "C" fn interrupted(context: *mut Context) -> u64 {
    // SAFETY: see above; a thread that goes in holds its enclave.
    let (context, inner) = unsafe { (&mut *context, &*(*context).enclave) };
    if context.entering != 0 {
        return reason::NOT_ENTERED;
    }
    aex(inner, context, Event::INTERRUPT);
    reason::KICK
}

/// AEX of a thread whose registers and vector state are in its context.
fn aex(inner: &Inner, context: &mut Context, event: Event) {
    // SAFETY: the thread was inside and so holds its TCS.
    let tcs = unsafe { &*context.tcs };
    context.mode.store(mode::TRANSIT, Ordering::Relaxed);
    save_or_die(inner, tcs, &context.regs, context.leaf_vectors, event);
    tcs.release();
}

/// Executes the leaf that `context.regs` call for.
pub(crate) fn execute(inner: &Inner, context: &mut Context) -> After {
    let Some(leaf) = Enclu::from_bits(context.regs.rax as u32) else {
        return After::Fault(Fault::GP);
    };
    let result = match leaf {
        Enclu::Eexit => return After::Exit,
        Enclu::Eaccept => edmm::eaccept(inner, context).map(Some),
        Enclu::Emodpe => edmm::emodpe(inner, context).map(|()| None),
        Enclu::Eacceptcopy => edmm::eacceptcopy(inner, context).map(Some),
        Enclu::Ereport => keys::ereport(inner, context).map(|()| None),
        Enclu::Egetkey => keys::egetkey(inner, context).map(Some),
        Enclu::Eenter | Enclu::Eresume | Enclu::Everifyreport2 | Enclu::Edeccssa => Err(Fault::GP),
    };
    match result {
        Ok(None) => After::Continue,
        Ok(Some(code)) => {
            let regs = &mut context.regs;
            regs.rax = code.into();
            regs.rflags = regs.rflags & !STATUS | if code == 0 { 0 } else { ZF };
            After::Continue
        }
        Err(fault) => After::Fault(fault),
    }
}
