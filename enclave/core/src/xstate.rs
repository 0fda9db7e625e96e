//! x87, vector and mask registers.
//!
//! The runtime itself touches only the low halves of xmm0-15, which the system call path saves.
//! The rest stays live in the registers until something else may use them: an exit, or a switch
//! to another thread. Then whatever XINUSE shows is saved, and put back afterwards. MXCSR likewise:
//! the image contains no instruction that it has an effect on, or that changes it.

use core::{
    arch::asm,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    UserRegs,
    data::{self, RUNTIME_STACK},
    stacks::AREA_BYTES,
    wide::{self, scone_wide_load, scone_wide_save},
};

const X87: u64 = 1;
const AVX: u64 = 1 << 2;
const PKRU: u64 = 1 << 9;
/// SSE is saved by the system call path, PKRU is not ours to change.
const NOT_LIVE: u64 = 1 << 1 | PKRU;
/// Components that an area has room for: x87, SSE, AVX, MPX, AVX-512, PKRU.
const KNOWN: u64 = 0x2ff;
/// Offset of XSTATE_BV in an XSAVE area.
const XSTATE_BV: u64 = 512;
/// Bytes of the legacy region and the header.
const MIN_SIZE: u64 = 576;

/// Components that a full restore loads.
pub(crate) static RESTORE_MASK: AtomicU64 = AtomicU64::new(3);
static SIZE: AtomicU64 = AtomicU64::new(MIN_SIZE);

/// An XSAVE area.
#[repr(C, align(64))]
struct Area([u8; 4096]);

/// Everything in its initial state, MXCSR at its default.
static INITIAL: Area = {
    let mut bytes = [0; 4096];
    bytes[24] = 0x80;
    bytes[25] = 0x1f;
    Area(bytes)
};

/// Takes the host's claims about the XSAVE area: the components enabled (XFRM) and its size. Must be
/// called before any thread of the program is there. In an enclave, XCR0 is XFRM; the emulator has the
/// machine's, which may have more that nobody here knows.
///
/// # Errors
///
/// The size, if the claims cannot be right.
pub fn configure(xfrm: u64, size: u64) -> Result<(), u64> {
    /// Opmask, ZMM_Hi256 and Hi16_ZMM: all or none of them (SDM volume 1, 13.3).
    const AVX512: u64 = 7 << 5;
    let possible = xfrm & 3 == 3 && [0, AVX512].contains(&(xfrm & AVX512));
    let enabled = components(ENABLED);
    // Of what is enabled and left out here, the host would see the registers at each exit.
    let left_out = enabled & !xfrm & KNOWN & !PKRU;
    if !possible || xfrm & !(KNOWN & enabled) != 0 || left_out != 0 {
        return Err(size);
    }
    RESTORE_MASK.store(xfrm & !PKRU, Ordering::Relaxed);
    // A size that is too small would cut off registers of the program.
    if !(written().max(MIN_SIZE)..=AREA_BYTES).contains(&size) {
        return Err(size);
    }
    SIZE.store(size, Ordering::Relaxed);
    Ok(())
}

/// XCR0: the components that the processor saves and restores here.
const ENABLED: u32 = 0;
/// XINUSE: those that are not in their initial state.
const IN_USE: u32 = 1;

/// Reads [`ENABLED`] or [`IN_USE`].
#[inline]
fn components(which: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: XGETBV only reads a register, and every processor with SGX2 has both.
    unsafe {
        asm!("xgetbv", in("ecx") which, out("eax") low, out("edx") high,
            options(nostack, nomem, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Bytes up to the last one that XSAVE writes.
fn written() -> u64 {
    // In their initial state no register ends in ones.
    reset();
    let area = data::read::<RUNTIME_STACK>();
    let (low, high) = halves(mask());
    // SAFETY: the full area of the current stack is aligned, has room for all components that are
    // KNOWN, and belongs to no thread of the program yet.
    let bytes = unsafe {
        let bytes =
            core::slice::from_raw_parts_mut(area as *mut u8, crate::app::to_usize(AREA_BYTES));
        bytes.fill(0xff);
        ((area + XSTATE_BV) as *mut [u64; 8]).write([0; 8]);
        asm!("xsave64 [{}]", in(reg) area, in("eax") low, in("edx") high, options(nostack));
        bytes
    };
    let last = bytes.iter().rposition(|&byte| byte != 0xff);
    bytes.fill(0);
    last.map_or(0, |last| last as u64 + 1)
}

/// Bytes of the XSAVE image in standard format.
#[must_use]
pub fn size() -> usize {
    crate::app::to_usize(SIZE.load(Ordering::Relaxed))
}

/// Components enabled, without PKRU.
#[must_use]
pub fn mask() -> u64 {
    RESTORE_MASK.load(Ordering::Relaxed)
}

/// Puts all registers into their initial state.
pub(crate) extern "sysv64" fn reset() {
    restore_from(&raw const INITIAL as u64, mask());
}

fn halves(mask: u64) -> (u32, u32) {
    #[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
    (mask as u32, (mask >> 32) as u32)
}

fn restore_from(area: u64, mask: u64) {
    let (low, high) = halves(mask);
    // SAFETY: the callers pass an aligned area that holds a valid image; the registers loaded are
    // either scratch in this ABI or dead for the runtime.
    unsafe {
        asm!("xrstor64 [{}]", in(reg) area, in("eax") low, in("edx") high,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
            out("xmm5") _, out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _,
            out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _,
            out("xmm15") _, options(nostack));
    }
}

/// Components that plain instructions move: all of AVX-512, if it is there. (Processors that lack
/// the byte and word instructions, AVX512BW, have no SGX.)
fn movable() -> u64 {
    const ALL: u64 = wide::LOW | wide::HIGH;
    if mask() & ALL == ALL { ALL } else { 0 }
}

/// Saves what is live beyond SSE into the current stack's second area, and resets it. Returns the
/// components for [`restore_live`].
pub(crate) fn save_live() -> u64 {
    let live = components(IN_USE) & mask() & !NOT_LIVE;
    if live == 0 {
        return 0;
    }
    let area = data::read::<RUNTIME_STACK>() + AREA_BYTES;
    let (moved, others) = (live & movable(), live & !movable());
    if moved != 0 {
        // SAFETY: the second area of the current stack is aligned and only used here; XFRM says
        // that the registers are there, and all are scratch in this ABI.
        unsafe { scone_wide_save(area, moved) };
    }
    if others == 0 { moved } else { moved | save_others(area + wide::BYTES, others) }
}

fn mxcsr() -> u32 {
    let mut value = 0_u32;
    // SAFETY: stores the register into the variable.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack, preserves_flags)) };
    value
}

fn set_mxcsr(value: u32) {
    // SAFETY: the value was in the register before.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack, preserves_flags)) };
}

/// The part of [`save_live`] for rare components; returns those that have to be restored.
#[cold]
fn save_others(area: u64, live: u64) -> u64 {
    /// Control word, status word and tags of x87 registers in their initial state.
    const INITIAL_X87: u64 = 0x37f;
    let (low, high) = halves(live);
    // SAFETY: what remains of the second area has room for x87 state and AVX in the compacted
    // format (checked by `configure`), is aligned, and only used here. Its header is zero at first
    // and valid ever after.
    let x87 = unsafe {
        asm!("xsavec64 [{}]", in(reg) area, in("eax") low, in("edx") high, options(nostack));
        *(area as *const u64) & 0xff_ffff_ffff
    };
    // XRSTOR loads MXCSR along with AVX.
    let mxcsr = mxcsr();
    restore_from(&raw const INITIAL as u64, live);
    set_mxcsr(mxcsr);
    // Processors may call x87 state used for good once it was: then it is not worth restoring.
    if x87 == INITIAL_X87 { live & !X87 } else { live }
}

/// Puts back what [`save_live`] saved on this stack, and clears what somebody else has left behind.
pub(crate) fn restore_live(live: u64) {
    let area = data::read::<RUNTIME_STACK>() + AREA_BYTES;
    let movable = movable();
    if movable != 0 {
        // SAFETY: as in `save_live`; the components were saved there.
        unsafe { scone_wide_load(area, live & movable) };
    } else if mask() & !live & AVX != 0 {
        // SAFETY: XFRM says that AVX is there; the upper halves are dead.
        unsafe { asm!("vzeroupper", options(nostack, nomem, preserves_flags)) };
    }
    if live & !movable != 0 {
        restore_from(area + wide::BYTES, live & !movable);
    }
}

/// Completes the program's registers in memory: after this, its whole vector state is in the full
/// area, `regs.flags` has [`UserRegs::FULL`], and the registers themselves are reset.
pub fn capture(regs: &mut UserRegs) {
    if regs.flags & UserRegs::FULL != 0 {
        return;
    }
    let area = data::read::<RUNTIME_STACK>();
    let (low, high) = halves(mask());
    // SAFETY: the full area of the current stack is aligned and large enough (`configure`). The
    // header is zeroed first, because XSAVE leaves XCOMP_BV and bits out of the mask alone.
    unsafe {
        ((area + XSTATE_BV) as *mut [u64; 8]).write([0; 8]);
        asm!("xsave64 [{}]", in(reg) area, in("eax") low, in("edx") high, options(nostack));
        // The low halves of xmm0-15 are what the program had, not what is there now.
        ((area + 160) as *mut [[u64; 2]; 16]).write(regs.xmm);
        *((area + XSTATE_BV) as *mut u64) |= 2;
    }
    regs.flags |= UserRegs::FULL;
    reset();
}

/// The program's full XSAVE image, valid while its registers have [`UserRegs::FULL`].
#[must_use]
pub fn image() -> alloc::vec::Vec<u8> {
    let area = data::read::<RUNTIME_STACK>();
    // SAFETY: the area belongs to the current stack, nobody writes it during this copy.
    unsafe { core::slice::from_raw_parts(area as *const u8, size()) }.to_vec()
}

/// Replaces the program's full XSAVE image by one that it supplied (from a signal frame, or of a
/// parent thread); what it may not contain is masked out.
///
/// # Panics
///
/// If `bytes` is longer than [`size`].
pub fn set_image(bytes: &[u8]) {
    assert!(bytes.len() <= size());
    write_image(data::read::<RUNTIME_STACK>(), bytes);
}

/// Writes an image into the full area at the top of a stack, made safe for XRSTOR.
pub(crate) fn write_image(area: u64, bytes: &[u8]) {
    // SAFETY: the area belongs to the current stack or to one that is not running yet; its length
    // is AREA_BYTES, at least `size()`.
    let target = unsafe {
        core::slice::from_raw_parts_mut(area as *mut u8, crate::app::to_usize(AREA_BYTES))
    };
    target.fill(0);
    target[..bytes.len()].copy_from_slice(bytes);
    let word = |target: &[u8], at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&target[at..at + 8]);
        u64::from_le_bytes(word)
    };
    // XRSTOR faults on unknown components, on a compacted format it does not expect, on non-zero
    // reserved bytes of the header, and on reserved bits of MXCSR.
    let components = if bytes.len() < 576 { 3 } else { word(target, 512) & mask() };
    target[512..576].fill(0);
    target[512..520].copy_from_slice(&components.to_le_bytes());
    target[26] = 0;
    target[27] = 0;
}
