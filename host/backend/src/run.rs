//! Entering an enclave: the terms of `__vdso_sgx_enter_enclave`.

/// What is called right after EEXIT, in the place of a return (`sgx_enclave_user_handler_t`): with RDI,
/// RSI, RDX, `data` in RCX, R8 and R9. It answers in EAX with the leaf that shall be executed next, for
/// which it leaves these registers (2, EENTER), or with 0 and the registers as they were: then the
/// stay ends with [`Outcome::Exited`]. Otherwise it obeys the System V ABI.
///
/// FS and GS may be the enclave's: so it makes no use of thread-local storage, which excludes most of
/// Rust. A backend need not call it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ExitHandler {
    /// Address of the function.
    pub function: u64,
    /// What it needs to know.
    pub data: u64,
}

/// Arguments and results of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Address of the TCS.
    pub tcs: u64,
    /// The leaf to execute.
    pub leaf: EnterLeaf,
    /// RDI at entry; at EEXIT what the enclave left there. Likewise the others.
    pub rdi: u64,
    /// RSI.
    pub rsi: u64,
    /// RDX.
    pub rdx: u64,
    /// R8.
    pub r8: u64,
    /// R9.
    pub r9: u64,
    /// RFLAGS at EENTER beside the bit that is always set. An honest host leaves them zero; nothing
    /// keeps another one from DF, AC and NT ([`ENTRY_FLAGS`]).
    pub flags: u64,
}

/// Flags that an enclave may find set: CF, PF, AF, ZF, SF, DF, OF, NT and AC.
pub const ENTRY_FLAGS: u64 = 0x4_4cd5;

/// Leaves that enter an enclave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EnterLeaf {
    /// Starts at the entry point.
    #[default]
    Eenter,
    /// Goes on where the last asynchronous exit happened; the registers of [`Run`] are ignored.
    Eresume,
}

/// How a stay in the enclave ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// EEXIT: the registers of [`Run`] hold the enclave's answer.
    Exited,
    /// An exception; the registers of [`Run`] are unchanged.
    Exception(Exception),
}

/// An exception while entering or inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// `Eresume`: it happened inside the enclave, whose state an AEX has saved. `Eenter`: `ENCLU[EENTER]`
    /// itself faulted, and nothing happened. (`ENCLU[ERESUME]` faulting also reports `Eresume`: then
    /// the thread was not inside, and CSSA has not changed. The same ambiguity exists on hardware.)
    pub leaf: EnterLeaf,
    /// Interrupt vector.
    pub vector: u16,
    /// Error code that the processor pushed.
    pub error_code: u16,
    /// Faulting address; inside ELRANGE only the page is told.
    pub address: u64,
}
