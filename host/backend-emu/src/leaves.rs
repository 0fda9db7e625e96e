//! ENCLU leaves that the enclave executes.

use std::sync::atomic::Ordering;

use sgx_types::Enclu;

use crate::asm::reason;
use crate::context::{Context, mode};
use crate::edmm;
use crate::enclave::{Inner, count};
use crate::enter::Fault;
use crate::signals::save_or_die;
use crate::ssa::Event;

use backend::{EnterLeaf, Exception};

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

/// Executes the leaf that `context.regs` call for, at a patched site; returns 0 to go on inside,
/// else the reason for `emu_enter` to return, plus nothing.
pub(crate) unsafe extern "C" fn leaf(context: *mut Context) -> u64 {
    // SAFETY: `emu_leaf` passes the context of this thread.
    let context = unsafe { &mut *context };
    // SAFETY: a thread that is inside holds its enclave and TCS.
    let (inner, tcs) = unsafe { (&*context.enclave, &*context.tcs) };
    let event = match execute(inner, context) {
        After::Continue if context.pending.load(Ordering::Relaxed) == 0 => return 0,
        After::Continue => Event::INTERRUPT,
        After::Exit => return reason::EXIT,
        After::Fault(fault) => {
            context.regs.rip -= 14;
            Event {
                vector: Some(fault.vector as u8),
                error_code: fault.error_code,
                address: fault.address,
            }
        }
    };
    context.mode.store(mode::TRANSIT, Ordering::Relaxed);
    save_or_die(inner, tcs, &context.regs, context.leaf_vectors, event);
    tcs.release();
    let Some(vector) = event.vector else { return reason::KICK };
    count(&inner.counters.exceptions);
    context.exception = Some(Exception {
        leaf: EnterLeaf::Eresume,
        vector: vector.into(),
        error_code: event.error_code as u16,
        address: event.address & !0xfff,
    });
    reason::EXCEPTION
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
        _ => Err(Fault::GP),
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
