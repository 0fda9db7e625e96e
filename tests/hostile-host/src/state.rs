//! The state of the processor that EENTER leaves as it is.

#![expect(unsafe_code, reason = "there is no other way to the control words")]

use std::arch::asm;

/// x87: no exception masked, single precision, rounded towards zero.
static X87_CONTROL: u16 = 0x0c00;
/// No exception masked, rounded towards zero, denormals taken as zero.
static MXCSR: u32 = 0xe040;

static USUAL_MXCSR: u32 = 0x1f80;

/// Enters by `enter` with control words that no code expects, the x87 stack in use, and an x87 exception
/// that the next instruction would raise.
pub(crate) fn with_bad<R>(enter: impl FnOnce() -> R) -> R {
    // SAFETY: nothing between here and the way back computes with floating-point numbers.
    unsafe {
        asm!(
            "fninit",
            "fld1",
            "fldz",
            "fdivr st(0), st(1)",
            "fldcw [{x87}]",
            "ldmxcsr [{mxcsr}]",
            x87 = in(reg) &raw const X87_CONTROL,
            mxcsr = in(reg) &raw const MXCSR,
            options(nostack),
        );
    }
    let outcome = enter();
    // SAFETY: as it was before.
    unsafe { asm!("fninit", "ldmxcsr [{}]", in(reg) &raw const USUAL_MXCSR, options(nostack)) };
    outcome
}
