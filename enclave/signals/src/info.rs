//! `siginfo_t`: what is known about a signal.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Values of `si_code`.
pub mod code {
    /// Sent by kill(2).
    pub const USER: i32 = 0;
    /// Sent by the kernel.
    pub const KERNEL: i32 = 0x80;
    /// Sent by sigqueue(3).
    pub const QUEUE: i32 = -1;
    /// A timer of timer_create(2) expired.
    pub const TIMER: i32 = -2;
    /// Sent by tkill(2) or tgkill(2).
    pub const TKILL: i32 = -6;
    /// Illegal operand (SIGILL).
    pub const ILL_OPN: i32 = 2;
    /// Integer division by zero (SIGFPE).
    pub const FPE_INTDIV: i32 = 1;
    /// Floating-point division by zero.
    pub const FPE_FLTDIV: i32 = 3;
    /// Floating-point overflow.
    pub const FPE_FLTOVF: i32 = 4;
    /// Floating-point underflow.
    pub const FPE_FLTUND: i32 = 5;
    /// Floating-point inexact result.
    pub const FPE_FLTRES: i32 = 6;
    /// Invalid floating-point operation.
    pub const FPE_FLTINV: i32 = 7;
    /// Address not mapped (SIGSEGV).
    pub const SEGV_MAPERR: i32 = 1;
    /// Access not permitted (SIGSEGV).
    pub const SEGV_ACCERR: i32 = 2;
    /// Address not aligned (SIGBUS).
    pub const BUS_ADRALN: i32 = 1;
    /// Nothing behind the address (SIGBUS).
    pub const BUS_ADRERR: i32 = 2;
    /// The memory itself has failed (SIGBUS).
    pub const BUS_OBJERR: i32 = 3;
    /// Breakpoint (SIGTRAP).
    pub const TRAP_BRKPT: i32 = 1;
    /// Single step or hardware breakpoint (SIGTRAP).
    pub const TRAP_TRACE: i32 = 2;
}

/// A `siginfo_t`: 128 bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SigInfo {
    /// `si_signo`.
    pub signo: i32,
    /// `si_errno`.
    pub errno: i32,
    /// `si_code`.
    pub code: i32,
    /// Padding, zero.
    pub pad: u32,
    /// The union: what its words are depends on the signal and the code.
    pub fields: [u64; 14],
}

const _: () = assert!(size_of::<SigInfo>() == 128);

fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

impl SigInfo {
    fn new(signal: u32, code: i32, first: u64, second: u64) -> Self {
        let mut fields = [0; 14];
        (fields[0], fields[1]) = (first, second);
        Self { signo: signal.cast_signed(), errno: 0, code, pad: 0, fields }
    }

    /// From a process: kill(2), tgkill(2).
    #[must_use]
    pub fn sent(signal: u32, code: i32, pid: u32, uid: u32) -> Self {
        Self::new(signal, code, pair(pid, uid), 0)
    }

    /// From the kernel, without more to say.
    #[must_use]
    pub fn kernel(signal: u32) -> Self {
        Self::new(signal, code::KERNEL, 0, 0)
    }

    /// From a process, with a value.
    #[must_use]
    pub fn queued(signal: u32, code: i32, pid: u32, uid: u32, value: u64) -> Self {
        Self::new(signal, code, pair(pid, uid), value)
    }

    /// From timer `id` of the program.
    #[must_use]
    pub fn timer(signal: u32, id: u32, value: u64) -> Self {
        Self::new(signal, code::TIMER, pair(id, 0), value)
    }

    /// From a fault at `address`.
    #[must_use]
    pub fn fault(signal: u32, code: i32, address: u64) -> Self {
        Self::new(signal, code, address, 0)
    }

    /// What another process gets of it: as much as the kernel takes, 48 bytes. What else the program has left in it
    /// is nobody's to see.
    #[must_use]
    pub fn for_others(&self) -> Self {
        let mut fields = [0; 14];
        fields[..4].copy_from_slice(&self.fields[..4]);
        Self { pad: 0, fields, ..*self }
    }

    /// The signal's number.
    #[must_use]
    pub fn signal(&self) -> u32 {
        self.signo.cast_unsigned()
    }

    /// Id of the timer that sent it.
    #[must_use]
    pub fn timer_id(&self) -> Option<u32> {
        (self.code == code::TIMER).then(|| low(self.fields[0]))
    }

    /// Sets `si_overrun` of a timer's signal.
    pub fn set_overrun(&mut self, overrun: u32) {
        self.fields[0] = pair(low(self.fields[0]), overrun);
    }

    /// Sender's process id and user id, where there is one.
    #[must_use]
    pub fn sender(&self) -> (u32, u32) {
        (low(self.fields[0]), low(self.fields[0] >> 32))
    }

    /// `si_value`, where there is one.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.fields[1]
    }

    /// `si_addr`, where there is one.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.fields[0]
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
const fn low(word: u64) -> u32 {
    word as u32
}
