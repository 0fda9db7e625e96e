//! `struct rt_sigframe` of x86-64: what a handler finds on its stack.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{AltStack, SigInfo};

/// Bytes below the stack pointer that belong to the interrupted function.
const RED_ZONE: u64 = 128;
/// Offset of `sw_reserved` in an XSAVE image.
const SW_RESERVED: usize = 464;
const MAGIC1: u32 = 0x4650_5853;
const MAGIC2: u32 = 0x4650_5845;
const MAGIC2_SIZE: usize = size_of::<u32>();
/// Offset of XSTATE_BV.
const XSTATE_BV: usize = 512;
/// Bytes of the legacy region of an XSAVE image, and of that with its header.
const FXSAVE_SIZE: usize = 512;
const MIN_SIZE: usize = 576;
/// UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS.
const UC_FLAGS: u64 = 7;
/// CS and SS of 64-bit user code, with GS and FS between them.
const SEGMENTS: u64 = 0x33 | 0x2b << 48;

/// `struct sigcontext_64`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SigContext {
    /// r8 to r15.
    pub r8_15: [u64; 8],
    /// General register.
    pub rdi: u64,
    /// General register.
    pub rsi: u64,
    /// General register.
    pub rbp: u64,
    /// General register.
    pub rbx: u64,
    /// General register.
    pub rdx: u64,
    /// General register.
    pub rax: u64,
    /// General register.
    pub rcx: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Instruction pointer.
    pub rip: u64,
    /// Flags.
    pub rflags: u64,
    /// CS, GS, FS, SS.
    pub segments: u64,
    /// Error code of the last fault.
    pub err: u64,
    /// Vector of the last fault.
    pub trapno: u64,
    /// Not used by programs.
    pub oldmask: u64,
    /// Address of the last page fault.
    pub cr2: u64,
    /// Address of the XSAVE image, or zero.
    pub fpstate: u64,
    /// Reserved.
    pub reserved: [u64; 8],
}

/// `struct ucontext` of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UContext {
    /// UC_ flags.
    pub flags: u64,
    /// Zero.
    pub link: u64,
    /// The alternate stack at the time of the signal.
    pub stack: AltStack,
    /// The registers.
    pub context: SigContext,
    /// What was blocked.
    pub mask: u64,
}

/// The fixed part of `struct rt_sigframe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Frame {
    /// Return address of the handler.
    pub restorer: u64,
    /// The interrupted context.
    pub ucontext: UContext,
    /// The signal.
    pub info: SigInfo,
}

/// Offset of the context from the start of the frame.
pub const UCONTEXT: u64 = 8;
/// Offset of the siginfo from the start of the frame.
pub const INFO: u64 = UCONTEXT + size_of::<UContext>() as u64;

const _: () = assert!(size_of::<SigContext>() == 256 && size_of::<UContext>() == 304);
const _: () = assert!(size_of::<Frame>() == 440);

/// Where the parts of a frame go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The frame: the handler's stack pointer.
    pub frame: u64,
    /// The XSAVE image, aligned to 64 bytes.
    pub fpstate: u64,
    /// Whether the alternate stack is used.
    pub on_altstack: bool,
}

/// Finds the place for a frame with an XSAVE image of `xstate` bytes, on the stack of `rsp` or on
/// the alternate one if that is `wanted`. `None` if the alternate stack is too small.
#[must_use]
pub fn place(rsp: u64, altstack: &AltStack, wanted: bool, xstate: u64) -> Option<Place> {
    let on_it = altstack.is_on(rsp);
    let enter = wanted && altstack.size != 0 && !on_it;
    let top = if enter { altstack.top() } else { rsp.wrapping_sub(RED_ZONE) };
    let fpstate = top.wrapping_sub(xstate + MAGIC2_SIZE as u64) & !63;
    let frame = (fpstate.wrapping_sub(size_of::<Frame>() as u64) & !15).wrapping_sub(8);
    let fits = !(enter || on_it) || altstack.contains(frame);
    fits.then_some(Place { frame, fpstate, on_altstack: enter })
}

impl Frame {
    /// A frame. `context` gives the registers; what belongs to the frame itself is filled in.
    #[must_use]
    pub fn new(
        place: &Place,
        restorer: u64,
        altstack: AltStack,
        context: SigContext,
        mask: u64,
        info: SigInfo,
    ) -> Self {
        let context = SigContext { segments: SEGMENTS, fpstate: place.fpstate, ..context };
        let ucontext = UContext { flags: UC_FLAGS, link: 0, stack: altstack, context, mask };
        Self { restorer, ucontext, info }
    }
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(target) = image.get_mut(at..at + bytes.len()) {
        target.copy_from_slice(bytes);
    }
}

/// Makes an XSAVE image what the kernel puts into a frame: with its size and the `components`
/// (XCR0) in the software-reserved bytes, and a mark behind the end.
pub fn seal(image: &mut alloc::vec::Vec<u8>, components: u64) {
    let size = u32::try_from(image.len()).unwrap_or(0);
    put(image, SW_RESERVED, &[0; 48]);
    put(image, SW_RESERVED, &MAGIC1.to_le_bytes());
    put(image, SW_RESERVED + 4, &(size + 4).to_le_bytes());
    put(image, SW_RESERVED + 8, &components.to_le_bytes());
    put(image, SW_RESERVED + 16, &size.to_le_bytes());
    // Legacy state is always said to be there, for programs that edit it.
    if let Some(first) = image.get_mut(XSTATE_BV) {
        *first |= 3;
    }
    image.extend_from_slice(&MAGIC2.to_le_bytes());
}

fn word32(image: &[u8], at: usize) -> Option<u32> {
    image.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
}

/// How many bytes of the image in a frame are to be restored, given its legacy region: all `size`
/// bytes if a whole image is announced, the legacy region otherwise.
#[must_use]
pub fn announced(legacy: &[u8], size: usize) -> usize {
    let magic = word32(legacy, SW_RESERVED) == Some(MAGIC1);
    let announced = word32(legacy, SW_RESERVED + 16).map_or(0, |size| size as usize);
    let extended = word32(legacy, SW_RESERVED + 4).map_or(0, |size| size as usize);
    if magic && (MIN_SIZE..=size).contains(&announced) && extended >= announced + MAGIC2_SIZE {
        announced
    } else {
        FXSAVE_SIZE
    }
}

/// Whether the mark stands behind a whole image.
#[must_use]
pub fn is_sealed(mark: [u8; MAGIC2_SIZE]) -> bool {
    u32::from_le_bytes(mark) == MAGIC2
}
