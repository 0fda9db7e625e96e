//! The state save area: what AEX writes and ERESUME reads.

use std::mem::{offset_of, size_of};
use std::sync::atomic::Ordering;

use sgx_types::{
    ExInfo, ExitInfo, ExitType, GprSgx, MiscSelect, SecInfoFlags, Vector, exinfo_offset,
    gprsgx_offset,
};
use zerocopy::IntoBytes;

use crate::asm::emu_copy;
use crate::context::{Context, Registers, XSAVE_SPACE};
use crate::enclave::Inner;
use crate::enter::Fault;
use crate::sys;
use crate::tcs::TcsState;

/// Bytes of the legacy region that XSAVE writes; behind them is room for software.
const LEGACY: u64 = 416;
/// Where the XSAVE header stands: XSTATE_BV, XCOMP_BV, and reserved bytes.
const HEADER: u64 = 512;
/// Offset of MXCSR and of its mask in the legacy region.
const MXCSR: usize = 24;
/// User-changeable flags that ERESUME loads; TF is not, as for every enclave that is not debugged.
const RFLAGS: u64 = 0x0024_0cd5;

/// Copies within the address space, catching up with mappings that lag behind.
///
/// # Errors
/// #PF, if the enclave may not access the page.
pub(crate) fn copy(inner: &Inner, to: u64, from: u64, len: u64) -> Result<(), Fault> {
    let (mut to, mut from, mut len) = (to, from, len);
    loop {
        // SAFETY: faults become a count. The callers pass memory of the enclave, to which they have
        // checked its right, and memory of their own.
        let left = unsafe { emu_copy(to, from, len) };
        if left == 0 {
            return Ok(());
        }
        (to, from, len) = (to + len - left, from + len - left, left);
        let written = inner.contains(to, 1) && inner.catch_up(to, SecInfoFlags::W);
        let read = inner.contains(from, 1) && inner.catch_up(from, SecInfoFlags::R);
        if !written && !read {
            let (address, write) = if inner.contains(to, 1) { (to, true) } else { (from, false) };
            return Err(Fault::epcm(address, write));
        }
    }
}

/// Copies a structure of ours to the enclave.
pub(crate) fn put<T: IntoBytes + zerocopy::Immutable>(
    inner: &Inner,
    to: u64,
    value: &T,
) -> Result<(), Fault> {
    copy(inner, to, value.as_bytes().as_ptr() as u64, size_of::<T>() as u64)
}

/// Copies a structure from the enclave.
pub(crate) fn get<T: IntoBytes + zerocopy::FromBytes>(
    inner: &Inner,
    from: u64,
) -> Result<T, Fault> {
    let mut value = T::new_zeroed();
    copy(inner, value.as_mut_bytes().as_mut_ptr() as u64, from, size_of::<T>() as u64)?;
    Ok(value)
}

/// Address of GPRSGX in a frame.
fn gprsgx(tcs: &TcsState, index: u32) -> u64 {
    tcs.frame(index) + gprsgx_offset(tcs.frame_size() as usize) as u64
}

/// Where a frame takes RSP and RBP of the host.
pub(crate) fn host_stack(tcs: &TcsState, index: u32) -> u64 {
    gprsgx(tcs, index) + offset_of!(GprSgx, ursp) as u64
}

/// EENTER and ERESUME store RSP and RBP of the host in the frame that an AEX would use.
pub(crate) fn save_host_stack(
    inner: &Inner,
    tcs: &TcsState,
    index: u32,
    stack: [u64; 2],
) -> Result<(), Fault> {
    put(inner, host_stack(tcs, index), &stack)
}

/// What stopped the enclave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    /// Interrupt vector as the processor counts; `None` for an interrupt.
    pub(crate) vector: Option<u8>,
    pub(crate) error_code: u32,
    pub(crate) address: u64,
}

impl Event {
    /// An interrupt.
    pub(crate) const INTERRUPT: Self = Self { vector: None, error_code: 0, address: 0 };

    /// EXITINFO for this event (SDM 37.9.1.1).
    fn exit_info(&self, misc_select: MiscSelect) -> ExitInfo {
        let Some(vector) = self.vector.and_then(Vector::from_bits) else { return ExitInfo::NONE };
        match vector {
            Vector::PageFault | Vector::GeneralProtection
                if !misc_select.contains(MiscSelect::EXINFO) =>
            {
                ExitInfo::NONE
            }
            Vector::ControlProtection => ExitInfo::NONE,
            Vector::Breakpoint => ExitInfo::new(vector, ExitType::Software),
            _ => ExitInfo::new(vector, ExitType::Hardware),
        }
    }
}

/// AEX: saves the state in the current frame and moves to the next one.
///
/// `vectors` is the address of a standard-format XSAVE image.
///
/// # Errors
/// #PF, if the frame that EENTER has checked is no longer there; then the state is lost.
pub(crate) fn aex(
    inner: &Inner,
    tcs: &TcsState,
    regs: &Registers,
    vectors: u64,
    event: Event,
) -> Result<(), Fault> {
    let index = tcs.cssa.load(Ordering::Relaxed);
    let frame = tcs.frame(index);
    save_vectors(inner, frame, vectors)?;
    let at = gprsgx(tcs, index);
    copy(inner, at, std::ptr::from_ref(regs) as u64, offset_of!(Registers, fs_base) as u64)?;
    let exit_info = event.exit_info(inner.secs.misc_select);
    put(inner, at + offset_of!(GprSgx, exit_info) as u64, &exit_info)?;
    put(inner, at + offset_of!(GprSgx, fs_base) as u64, &[regs.fs_base, regs.gs_base])?;
    if inner.secs.misc_select.contains(MiscSelect::EXINFO)
        && matches!(exit_info.vector(), Some(Vector::PageFault | Vector::GeneralProtection))
    {
        let is_fault = exit_info.vector() == Some(Vector::PageFault);
        let address = if is_fault { event.address } else { 0 };
        let exinfo = ExInfo::new(address, event.error_code);
        put(inner, frame + exinfo_offset(tcs.frame_size() as usize) as u64, &exinfo)?;
    }
    tcs.cssa.store(index + 1, Ordering::Relaxed);
    Ok(())
}

/// Writes the XSAVE area of a frame: the components of XFRM.
fn save_vectors(inner: &Inner, frame: u64, vectors: u64) -> Result<(), Fault> {
    let xfrm = inner.secs.attributes.xfrm.bits();
    copy(inner, frame, vectors, LEGACY)?;
    // SAFETY: the image has a header; it belongs to this thread.
    let present = unsafe { *((vectors + HEADER) as *const u64) } & xfrm;
    let header = [present, 0, 0, 0, 0, 0, 0, 0];
    put(inner, frame + HEADER, &header)?;
    let (body, end) = (HEADER + 64, inner.xsave_size);
    copy(inner, frame + body, vectors + body, end - body)
}

/// ERESUME: loads the last saved frame into the context, and makes it the current one again.
///
/// # Errors
/// #GP when no frame is saved, or its contents cannot be loaded; #PF when it is not accessible.
pub(crate) fn eresume(inner: &Inner, context: &mut Context, tcs: &TcsState) -> Result<(), Fault> {
    let cssa = tcs.cssa.load(Ordering::Relaxed);
    let index = cssa.checked_sub(1).ok_or(Fault::GP)?;
    let at = gprsgx(tcs, index);
    // Straight into the context, which stands for the processor: nothing of it on the host's stack.
    let (regs, bases) = (&raw mut context.regs as u64, offset_of!(Registers, fs_base) as u64);
    copy(inner, regs, at, bases)?;
    copy(inner, regs + bases, at + offset_of!(GprSgx, fs_base) as u64, 16)?;
    load_vectors(inner, context, tcs.frame(index))?;
    let canonical = |address: u64| address < 1 << 47;
    let regs = &mut context.regs;
    if !canonical(regs.rip) || !canonical(regs.fs_base) || !canonical(regs.gs_base) {
        return Err(Fault::GP);
    }
    regs.rflags = regs.rflags & RFLAGS | 2;
    context.load_vectors = context.resume_vectors;
    save_host_stack(inner, tcs, index, [sys::stack_pointer(); 2])?;
    tcs.cssa.store(index, Ordering::Relaxed);
    Ok(())
}

/// Takes the XSAVE area of a frame, with the checks of XRSTOR.
fn load_vectors(inner: &Inner, context: &Context, frame: u64) -> Result<(), Fault> {
    let xfrm = inner.secs.attributes.xfrm.bits();
    let size = inner.xsave_size;
    assert!(size as usize <= XSAVE_SPACE, "XSAVE area of {size} bytes");
    let image = context.resume_vectors;
    copy(inner, image, frame, size)?;
    // SAFETY: the image belongs to this thread and is large enough for both.
    let (header, mxcsr) = unsafe {
        (*((image + HEADER) as *const [u64; 8]), *((image + MXCSR as u64) as *const u32))
    };
    let bad_header = header[0] & !xfrm != 0 || header[1..].iter().any(|&word| word != 0);
    if bad_header || mxcsr & !0xffff != 0 { Err(Fault::GP) } else { Ok(()) }
}
