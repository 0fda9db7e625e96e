//! Software SGX: enclaves that run natively, and unprotected, on processors without SGX.
//!
//! Principles:
//! - The architecture is implemented, not a shortcut: what a processor checks is checked, what it
//!   faults on faults, with the SDM's error codes. The enclave cannot tell the difference, except by
//!   looking for what this page admits to.
//! - The enclave's code runs on the processor as it is, at full speed. Signals report its exceptions
//!   (`signals`), Syscall User Dispatch keeps its system calls out of the kernel, and ENCLU, which
//!   traps here, is patched to a jump where the image leaves room (`patch`).
//! - The page tables of ELRANGE follow the EPCM (`epcm`, `mapping`).
//! - While a thread is inside, FS and GS are the enclave's. Nothing of Rust runs before the host's
//!   are back: see `asm` for how, and `context` for how the state is found without them.
//!
//! Differences from hardware, besides that it protects nothing:
//! - Code of the host runs when the enclave jumps to it (a processor would fault), and so do system
//!   calls there. CPUID and RDTSC are not intercepted.
//! - A `syscall` in the enclave is #UD, but RCX and R11 are lost: the kernel has overwritten them.
//! - #DB and #BP are told to the caller like other exceptions, where Linux sends a signal.
//! - EEXIT to anywhere but the address in RCX at entry ends the process with a message.
//! - There is one enclave per process, and ELRANGE starts at 0.
#![expect(unsafe_code, reason = "enters enclaves, handles signals, maps memory")]

mod accept;
mod asm;
mod audit;
mod context;
mod cost;
mod create;
mod driver;
mod edmm;
mod enclave;
mod enter;
mod epcm;
mod executable;
mod exit;
mod filled;
mod frame;
mod keys;
mod leaves;
mod lookup;
mod mapping;
mod moved;
mod patch;
mod reason;
mod signals;
mod ssa;
mod stop;
mod sys;
mod tcs;

pub use cost::{CostModel, CostModelError};

use std::ops::Range;
use std::sync::Arc;

use backend::{
    Backend, Capabilities, Enclave, Errno, ExitHandler, KickHandler, Kind, Operation, Outcome,
    Refused, Run, Source,
};
use sgx_types::{MiscSelect, PageType, SecInfo, SecInfoFlags, Secs, Sigstruct, Xfrm};

use crate::enclave::Inner;

/// The emulator.
#[derive(Clone, Debug)]
pub struct EmuBackend {
    costs: CostModel,
    audit: bool,
}

impl EmuBackend {
    /// An emulator with that cost model.
    ///
    /// # Errors
    /// What this machine lacks.
    pub fn new(costs: CostModel) -> Result<Self, Unsupported> {
        if !sys::has_fsgsbase() {
            return Err(Unsupported::FsGsBase);
        }
        if !sys::has_xsaveopt() {
            return Err(Unsupported::XsaveOpt);
        }
        if !sys::dispatch_syscalls(Some(create::MAX_SIZE..2 * create::MAX_SIZE)) {
            return Err(Unsupported::SyscallUserDispatch);
        }
        sys::dispatch_syscalls(None);
        Ok(Self { costs, audit: std::env::var_os("SCONE_EMU_AUDIT").is_some() })
    }

    /// The same, with a seccomp filter on each thread that enters, which kills the process should a
    /// system call instruction in ELRANGE ever reach the kernel. For tests: it cannot be undone, holds
    /// for child processes too, and makes system calls slower. The environment variable
    /// `SCONE_EMU_AUDIT` does the same.
    #[must_use]
    pub fn audited(self) -> Self {
        Self { audit: true, ..self }
    }
}

/// Why this machine cannot run the emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Needs Linux 5.9 and a processor of 2012 or later.
    #[error("user mode cannot set FS and GS (FSGSBASE)")]
    FsGsBase,
    /// Needs a processor of 2011 or later.
    #[error("the processor has no XSAVEOPT")]
    XsaveOpt,
    /// Needs Linux 5.11 with CONFIG_GENERIC_ENTRY.
    #[error("the kernel has no Syscall User Dispatch, or refuses it")]
    SyscallUserDispatch,
}

impl Backend for EmuBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: Kind::Emulated,
            edmm: true,
            misc_select: MiscSelect::EXINFO,
            attributes: create::ATTRIBUTES,
            xfrm: Xfrm::from_bits_truncate(sys::xfeatures()),
            max_size: create::MAX_SIZE,
            epc: None,
            note: format!("cost model {}", self.costs.name),
        }
    }

    fn create(&self, secs: &Secs) -> Result<Arc<dyn Enclave>, Refused> {
        Ok(Arc::new(EmuEnclave(Arc::new(create::create(secs, self.costs.clone(), self.audit)?))))
    }
}

struct EmuEnclave(Arc<Inner>);

impl Enclave for EmuEnclave {
    fn add_pages(
        &self,
        offset: u64,
        secinfo: &SecInfo,
        source: Source<'_>,
        measure: bool,
    ) -> Result<(), Refused> {
        create::add_pages(&self.0, offset, secinfo, source, measure)
    }

    fn init(&self, sigstruct: &Sigstruct) -> Result<(), Refused> {
        create::init(&self.0, sigstruct)
    }

    fn enter_with(&self, run: &mut Run, handler: Option<&ExitHandler>) -> Outcome {
        enter::enter(&self.0, run, handler)
    }

    fn restrict_permissions(
        &self,
        range: Range<u64>,
        permissions: SecInfoFlags,
    ) -> Result<(), Refused> {
        driver::restrict_permissions(&self.0, range, permissions)
    }

    fn modify_types(&self, range: Range<u64>, page_type: PageType) -> Result<(), Refused> {
        driver::modify_types(&self.0, range, page_type)
    }

    fn remove_pages(&self, range: Range<u64>) -> Result<(), Refused> {
        driver::remove_pages(&self.0, range)
    }

    fn install_kick(&self, signal: i32, handler: KickHandler) -> Result<(), Refused> {
        if signals::install_kick(signal, handler) {
            return Ok(());
        }
        let reason = format!("signal {signal} cannot be used");
        Err(Refused::new(Operation::InstallKick, Errno::EINVAL, reason))
    }

    fn statistics(&self) -> Vec<(&'static str, u64)> {
        self.0.statistics()
    }
}
