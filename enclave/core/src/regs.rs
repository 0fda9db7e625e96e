//! The program's registers as they lie on its runtime stack.

/// What the program had in its registers when it entered the runtime. Lies at the top of the
/// thread's runtime stack; [`crate::asm`] knows the offsets.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct UserRegs {
    /// General register.
    pub r15: u64,
    /// General register.
    pub r14: u64,
    /// General register.
    pub r13: u64,
    /// General register.
    pub r12: u64,
    /// General register.
    pub rbp: u64,
    /// General register.
    pub rbx: u64,
    /// General register; a system call clobbers it.
    pub r11: u64,
    /// General register; fourth argument of a system call.
    pub r10: u64,
    /// General register; sixth argument of a system call.
    pub r9: u64,
    /// General register; fifth argument of a system call.
    pub r8: u64,
    /// General register; result of a system call.
    pub rax: u64,
    /// General register; a system call clobbers it.
    pub rcx: u64,
    /// General register; third argument of a system call.
    pub rdx: u64,
    /// General register; second argument of a system call.
    pub rsi: u64,
    /// General register; first argument of a system call.
    pub rdi: u64,
    /// Number of the system call, or `u64::MAX` if the program entered by an exception.
    pub orig_rax: u64,
    /// Where the program goes on.
    pub rip: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// How to return: see [`UserRegs::FULL`].
    pub flags: u64,
    pub(crate) reserved: [u64; 2],
    /// xmm0-15, if `flags` is zero.
    pub xmm: [[u64; 2]; 16],
}

impl UserRegs {
    /// Bit of `flags`: all registers are restored on return (rcx and r11 too), and the vector and
    /// x87 state comes from the thread's XSAVE area instead of `xmm` and the registers.
    pub const FULL: u64 = 1;

    /// Registers of a thread that starts at `rip` on stack `rsp` with everything else zero.
    #[must_use]
    pub const fn start_at(rip: u64, rsp: u64) -> Self {
        Self {
            r15: 0,
            r14: 0,
            r13: 0,
            r12: 0,
            rbp: 0,
            rbx: 0,
            r11: 0,
            r10: 0,
            r9: 0,
            r8: 0,
            rax: 0,
            rcx: 0,
            rdx: 0,
            rsi: 0,
            rdi: 0,
            orig_rax: u64::MAX,
            rip,
            rflags: 0x202,
            rsp,
            flags: Self::FULL,
            reserved: [0; 2],
            xmm: [[0; 2]; 16],
        }
    }

    /// The six arguments of the system call, in order.
    #[must_use]
    pub fn args(&self) -> [u64; 6] {
        // Word by word: a wider load would wait for the stores of the entry.
        // SAFETY: each is a reference.
        [&self.rdi, &self.rsi, &self.rdx, &self.r10, &self.r8, &self.r9]
            .map(|word| unsafe { core::ptr::read_volatile(word) })
    }
}

const _: () = assert!(size_of::<UserRegs>() == 432 && align_of::<UserRegs>() == 16);
