//! Where things stand in ELRANGE. These numbers are part of the measurement.

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Size of ELRANGE, which starts at address 0: everything below is the enclave, everything from
/// here on is the host.
pub const ELRANGE_SIZE: u64 = 1 << 46;
/// First address a program may use (the host refuses mappings below `vm.mmap_min_addr`).
pub const USER_BASE: u64 = 0x1_0000;
/// End of the program's area.
pub const USER_END: u64 = 0x3f00_0000_0000;
/// Where the runtime image is linked to, and runs.
pub const IMAGE_BASE: u64 = USER_END;
/// Where the verifier is linked to: it is entered first, and checks what lies below.
pub const VERIFIER_BASE: u64 = IMAGE_BASE + (1 << 29);
/// The page of the verifier that holds the [`manifest`](crate::manifest).
pub const MANIFEST: u64 = VERIFIER_BASE + PAGE;
/// The per-thread data pages, then the TCS blocks: as far from the start of the image that it may
/// grow without moving them.
pub const TCS_AREA: u64 = IMAGE_BASE + (1 << 30);
/// Start of the runtime's own heap: committed on demand.
pub const HEAP_BASE: u64 = 0x3f80_0000_0000;
/// End of the runtime's own heap.
pub const HEAP_END: u64 = 0x3fc0_0000_0000;
/// Enclave threads (TCS) in the measured image.
pub const TCS_COUNT: u64 = 16;
/// State save areas of each TCS: one for the program, one for the exception handler, and two for
/// the page faults which the kernel resolves under it (EAUG).
pub const NSSA: u64 = 4;
/// SSAFRAMESIZE: pages of one state save area frame.
pub const SSA_FRAME_PAGES: u64 = 4;
/// Pages of the stack on which the first stage of exception handling runs. The verifier, and the start of
/// the first enclave thread on its lower half, run on it too.
pub const EXCEPTION_STACK_PAGES: u64 = 8;

/// Pages between the starts of two TCS blocks.
///
/// A block is, from its start: guard page, exception stack, guard page, TCS, SSA frames.
pub const TCS_BLOCK_PAGES: u64 = 1 + EXCEPTION_STACK_PAGES + 1 + 1 + NSSA * SSA_FRAME_PAGES;

/// Addresses of the parts of TCS block `index` (`index < TCS_COUNT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcsBlock {
    /// Lowest address of the exception stack.
    pub exception_stack: u64,
    /// The TCS page.
    pub tcs: u64,
    /// First SSA frame.
    pub ssa: u64,
    /// The per-thread data page, to which GS and FS point on entry.
    pub thread_data: u64,
}

/// Computes where the parts of TCS block `index` stand.
#[must_use]
pub const fn tcs_block(index: u64) -> TcsBlock {
    let start = TCS_AREA + (TCS_COUNT + index * TCS_BLOCK_PAGES) * PAGE;
    let exception_stack = start + PAGE;
    let tcs = exception_stack + (EXCEPTION_STACK_PAGES + 1) * PAGE;
    TcsBlock { exception_stack, tcs, ssa: tcs + PAGE, thread_data: TCS_AREA + index * PAGE }
}

/// Words of the per-thread data page as it is measured; the rest is zero.
pub mod thread_data {
    /// Byte offset of the page's own address.
    pub const SELF: u64 = 0;
    /// Byte offset of the top of the exception stack.
    pub const EXCEPTION_STACK: u64 = 8;
    /// Byte offset of the index of the TCS.
    pub const INDEX: u64 = 16;
    /// Byte offset of the address of the first SSA frame.
    pub const SSA: u64 = 24;
    /// Byte offset of the size of a SSA frame in bytes.
    pub const SSA_FRAME_SIZE: u64 = 32;
    /// Byte offset of the address of the system call entry, which rewritten sites jump to.
    pub const SYSCALL_ENTRY: u64 = 0x40;
}
